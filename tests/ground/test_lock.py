"""requirements.lock holds names, pins and hashes, and no address."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="ascii")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

PIN = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>[0-9][0-9a-z.+]*)( ; [^\\]+)? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")


def test_every_line_is_a_pin_or_a_hash():
    odd = [line for line in LOCK.splitlines() if not (PIN.fullmatch(line) or HASH.fullmatch(line))]
    assert odd == []


def test_every_pin_has_a_hash():
    lines = LOCK.splitlines()
    for this, following in zip(lines, [*lines[1:], ""], strict=True):
        if PIN.fullmatch(this):
            assert HASH.fullmatch(following), this


def test_the_lock_meets_what_the_project_asks_for():
    pins = {found["name"]: found["version"] for found in map(PIN.fullmatch, LOCK.splitlines()) if found}
    asked = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
    asked += [Requirement(text) for text in PROJECT["dependency-groups"]["test"]]
    for requirement in asked:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), str(requirement)
