"""What a plan says to a person: dates in UTC, never Unix seconds; --json keeps the seconds."""

import json
import re
from collections.abc import Iterator

import pytest

from keys_tooling.plan import MOMENTS, Said, sentence
from schemas import directory_statement, emergency, policing, roots
from tests.keys_tooling.admin_place import made, run
from tests.keys_tooling.killed_commands import COMMANDS, ENDING, Command
from tests.keys_tooling.policy_place import served
from tests.simulated_world import World

SECONDS = re.compile(r"(?<![0-9A-Za-z_-])1[0-9]{9}(?![0-9A-Za-z_-])")
MADE_OF_NUMBERS = {"count", "v", "void_from", "threshold", "version", "seq"}
"""Fields of statements that are numbers and no times."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = made(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS")
    with served(found):
        yield found


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if one.name not in ENDING], ids=lambda one: one.name
)
def test_a_plan_says_no_unix_seconds(world: World, command: Command):
    words = [word for word in command.words(world, 900) if word != "--yes"]
    shown = run(world, *words, "--dry-run")
    assert shown.exit_code == 0, (shown.output, shown.exception)
    assert "This will happen" in shown.stderr
    said = re.sub(r"(?m)^.* \[info .*$", "", shown.output)  # the relay of this process prints there too
    assert not SECONDS.findall(said), said
    facts = json.loads(run(world, *words, "--dry-run", "--json").stdout.splitlines()[-1])
    assert facts["applied"] is False


def test_a_plan_for_programs_keeps_the_seconds(world: World):
    words = (
        "revoke",
        "--dir",
        world.folder / "Peacock",
        "--use",
        "witness",
        "--reason",
        "rotated",
        "--dry-run",
    )
    said = json.loads(run(world, *words, "--json").stdout.splitlines()[-1])
    assert said["plan"]["publishes"][0]["body"]["since"] == world.now
    assert "from 2026-11-22 00:00 UTC" in run(world, *words).stderr


def test_every_number_that_a_statement_may_hold_is_a_time_that_is_said_as_one_or_no_time():
    modules = (directory_statement, emergency, policing, roots)
    named = {
        name
        for module in modules
        for model in vars(module).values()
        if hasattr(model, "model_fields")
        for name, field in model.model_fields.items()
        if field.annotation is int or str(field.annotation) == "int | None"
    }
    assert named - MOMENTS.keys() - MADE_OF_NUMBERS == set()
    assert sentence(Said("leave", {"stops": 1_795_305_600})) == "leave: from 2026-11-22 00:00 UTC"
