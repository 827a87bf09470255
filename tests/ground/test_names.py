"""Our import names are plain words; nothing else in the environment may claim them."""

import importlib.metadata
import re
from pathlib import Path

import pytest

OURS = "fenpost"
NAMES = {"schemas", "broker", "agent", "keys_tooling", "benchmarks", "tests"}


def shipped_at_top(distribution: importlib.metadata.Distribution) -> set[str]:
    return {Path(file.parts[0]).stem for file in distribution.files or () if file.parts[0] != ".."}


def test_no_other_distribution_ships_files_under_our_names():
    claims = {
        (distribution.name, name)
        for distribution in importlib.metadata.distributions()
        if distribution.name != OURS
        for name in shipped_at_top(distribution) & NAMES
    }
    assert claims == set()


def test_the_environment_is_seen_at_all():
    names = {distribution.name.lower() for distribution in importlib.metadata.distributions()}
    assert {OURS, "pynacl", "aiohttp"} <= names


@pytest.mark.parametrize("name", ["schemas", "broker", "agent", "keys_tooling"])
def test_each_package_is_this_folder(name: str):
    root = Path(__file__).parents[2]
    found = importlib.import_module(name)
    assert Path(found.__file__) == root / name / "__init__.py"


def test_no_package_below_tests_shadows_a_real_one():
    assert list(Path(__file__).parents[1].rglob("__init__.py")) == []


def test_every_command_can_be_loaded():
    commands = importlib.metadata.entry_points(group="console_scripts").select()
    ours = {c.name: c for c in commands if re.match(r"fenpost-", c.name)}
    assert set(ours) == {"fenpost-broker", "fenpost-agent", "fenpost-keys", "fenpost-audit"}
    for command in ours.values():
        assert callable(command.load())
