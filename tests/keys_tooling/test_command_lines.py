"""Every command of fenpost-keys and fenpost-audit, found by walking their help: what each of them takes.

A new command that cannot say its result as JSON, or changes something without a plan, fails here.
"""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from keys_tooling.audit_main import audit
from keys_tooling.console import World
from keys_tooling.keys_main import keys

LINES = {"fenpost-audit headers"}
"""Prints a line of JSON for each header, and nothing else."""
LOOKS = {
    "fenpost-keys agency pending", "fenpost-keys agency show", "fenpost-keys ceremony verify", "fenpost-keys check",
    "fenpost-keys invite list", "fenpost-keys policy check", "fenpost-keys policy dry-run", "fenpost-keys policy show",
    "fenpost-keys policy signer list", "fenpost-keys role roster", "fenpost-keys role show",
}  # fmt: skip
"""Commands that change nothing."""
PLANNED_ELSEWHERE = {
    "fenpost-keys resume": "goes on with a plan that was agreed to",
    "fenpost-keys emergency start": "signs a file that does nothing before a second person has seen the plan",
    "fenpost-keys ceremony run": "asks at each step",
    "fenpost-keys ceremony sign": "adds a signature to minutes",
    "fenpost-keys invite new": "opens a door that admits nobody, and is withdrawn",
    "fenpost-keys invite withdraw": "closes that door",
    "fenpost-keys token take": "copies a key; the old file stays until a person destroys it",
}
"""Commands without a plan of their own, and why."""


def walked(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for under, one in sorted(command.commands.items()):
            yield from walked(one, f"{name} {under}")
    else:
        yield name, command


ALL = dict([*walked(keys, "fenpost-keys"), *walked(audit, "fenpost-audit")])
CHANGES = [
    name for name in ALL if name.startswith("fenpost-keys") and name not in LOOKS | set(PLANNED_ELSEWHERE)
]
by_name = pytest.mark.parametrize("name", ALL)


def options(command: click.Command) -> dict[str, click.Parameter]:
    return {word: one for one in command.params for word in one.opts}


@by_name
def test_every_command_says_its_result_as_json_too(name: str):
    if name in LINES:
        return
    found = options(ALL[name]).get("--json")
    assert isinstance(found, click.Option), name
    assert (found.is_flag, found.hidden) == (True, False)


@pytest.mark.parametrize("name", CHANGES)
def test_every_command_that_changes_something_can_be_tried_dry_and_asks_first(name: str):
    found = options(ALL[name])
    assert found.keys() >= {"--dry-run", "--yes"}, name


def test_the_exceptions_are_commands_that_are_there():
    assert ALL.keys() >= LOOKS | set(PLANNED_ELSEWHERE) | LINES
    assert len(CHANGES) > 25


@by_name
def test_no_command_takes_a_secret_as_an_argument(name: str):
    for word, one in options(ALL[name]).items():
        secret = any(part in word for part in ("passphrase", "pin", "secret", "share"))
        assert not secret or isinstance(one.type, click.Path) or getattr(one, "is_flag", False), (name, word)


@pytest.mark.parametrize("name", [name for name in ALL if name.startswith("fenpost-keys")])
def test_every_help_has_an_example_that_names_the_command(name: str):
    world = World(lambda: 0.0, bytes)
    program, *words = name.split()
    said = (
        CliRunner().invoke(keys if program == "fenpost-keys" else audit, [*words, "--help"], obj=world).output
    )
    _, _, example = said.partition("Example:")
    assert program in example, said
    assert f" {' '.join(words)} " in example, said
