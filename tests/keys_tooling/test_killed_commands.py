"""Every command that changes keys, killed at some of its steps: typed again, it ends where it would have ended.

What all changes of the directory share is killed at every step in test_killed_changes; here each command shows that it
stands on that. tests/storm/test_killed_commands.py kills each at every step.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.keys_tooling.admin_place import made
from tests.keys_tooling.killed_commands import COMMANDS, ENDING, LEAVERS, Command, try_every_kill
from tests.keys_tooling.killing import Nursery, nursery
from tests.keys_tooling.policy_place import served
from tests.simulated_world import World

OFTEN = {
    "agency enrol": 4,
    "invite new": 4,
    "policy apply": 4,
    "partnership init": 3,
    "agency init": 3,
    "backup": 3,
    "restore": 3,
}


def kills(command: Command) -> int:
    """Once where a command stands on what all changes share, more often where it makes files or more than a change."""
    return OFTEN.get(command.name, 2 if command.party is None else 1)


def names(ending: bool) -> pytest.MarkDecorator:
    found = [one for one in COMMANDS if (one.name in ENDING) == ending]
    return pytest.mark.parametrize("command", found, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Nursery]]:
    world = made(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS")
    with nursery(world.folder / "said") as forks, served(world):
        yield world, forks


@names(ending=False)
def test_typed_again_after_a_kill_it_ends_where_it_would_have_ended(
    place: tuple[World, Nursery], command: Command
):
    offset = 3 * COMMANDS.index(command)
    assert try_every_kill(*place, command, kills(command), offset) == kills(command)


@names(ending=True)
def test_an_agency_that_leaves_leaves_whole(tmp_path: Path, command: Command):
    world = made(tmp_path, "Peacock", *LEAVERS[:2])
    with nursery(world.folder / "said") as forks, served(world):
        assert try_every_kill(world, forks, command, 1, 3 * COMMANDS.index(command)) == 1
