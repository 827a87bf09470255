"""No program takes a secret on its command line or from the environment: both are seen by others, and kept in histories."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.__main__ import main as agent
from broker.__main__ import main as broker
from keys_tooling.audit_main import audit
from keys_tooling.keys_main import keys

ROOT = Path(__file__).parents[2]
SECRET = re.compile(r"passphrase|password|\bpin\b|secret|seed|share|root|private|token|invite|mnemonic")
PROGRAMS = {"fenpost-agent": agent, "fenpost-audit": audit, "fenpost-broker": broker, "fenpost-keys": keys}
HARMLESS = {"fenpost-keys role new --token", "fenpost-keys token take --token"}
"""They name a token by its label."""


def commands(
    command: click.Command, path: str, parent: click.Context | None = None
) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, parent=parent)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, f"{path} {name}", context)


EVERY = [pair for name, program in PROGRAMS.items() for pair in commands(program, name)]


def bare(parameter: click.Parameter) -> bool:
    """Whether somebody types a text there, and not the name of a file, or nothing at all."""
    flag = isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count)
    return not flag and not isinstance(parameter.type, click.Path | click.IntRange | click.Choice)


def test_nobody_types_a_secret_after_a_command():
    found = {
        f"{path} {name}"
        for path, command in EVERY
        for parameter in command.params
        for name in (parameter.opts if isinstance(parameter, click.Option) else [str(parameter.name)])
        if bare(parameter) and SECRET.search(name)
    }
    assert found == HARMLESS


def test_nothing_is_read_from_the_environment_instead():
    asked = [
        (path, parameter.name) for path, command in EVERY for parameter in command.params if parameter.envvar
    ]
    prefixed = [path for path, command in EVERY if command.context_settings.get("auto_envvar_prefix")]
    assert (asked, prefixed) == ([], [])


def test_only_the_entrances_of_relay_and_agent_look_at_the_environment():
    """What they hand on is read entry by entry from closed lists; nothing else can pick a secret up there."""
    looking = set()
    for package in ("schemas", "broker", "agent", "keys_tooling"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            read = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            read |= {
                alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }
            if read & {"environ", "environb", "getenv", "getenvb"}:
                looking.add(path.relative_to(ROOT).as_posix())
    assert looking == {"broker/__main__.py", "agent/__main__.py"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_walk_sees_each_program(name: str):
    assert sum(path.startswith(f"{name} ") for path, _ in EVERY) > 3
