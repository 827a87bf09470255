"""Every command that changes keys, killed at every one of its steps; typed again or resumed each time."""

from pathlib import Path

import pytest

from tests.keys_tooling.admin_place import made
from tests.keys_tooling.killed_commands import COMMANDS, ENDING, LEAVERS, Command, try_every_kill
from tests.keys_tooling.killing import NEVER, nursery
from tests.keys_tooling.policy_place import served


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: one.name)
def test_a_command_killed_at_every_step_ends_where_it_would_have_ended(tmp_path: Path, command: Command):
    world = made(tmp_path, "Peacock", *(LEAVERS if command.name in ENDING else ("IDVAS",)))
    with nursery(world.folder / "said") as forks, served(world):
        died = try_every_kill(world, forks, command, NEVER)
    print(f"\n{command.name}: killed {died} times, whole each time")
    assert died >= (len(LEAVERS) - 1 if command.name in ENDING else 3)
