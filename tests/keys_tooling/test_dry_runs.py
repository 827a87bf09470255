"""A dry run shows what the same command then publishes, statement by statement; only what is drawn anew differs."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys_tooling import roles
from schemas.keyfile import QUICK, lock
from schemas.keyring import PersonKeys
from schemas.keys import SigningKey
from tests.keys_tooling.admin_place import done, made
from tests.keys_tooling.policy_place import served, write_secret
from tests.keys_tooling.test_killed_changes import view
from tests.keys_tooling.test_recover import write_roots
from tests.simulated_world import PASSPHRASE, World

DRAWN = frozenset({"pub", "op_key", "next_roots", "sigs"})
"""Fields that hold, or sign, a key that every run draws anew."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = made(tmp_path, "Peacock", "IDVAS")
    party = found.parties["Peacock"]
    write_roots(tmp_path / "next-roots.fpk", party.member.next_roots)
    lead = PersonKeys(party.id, "lead-2", SigningKey(secrets.token_bytes(32)))
    for name, held in (("officer", party.officer), ("lead-2", lead)):
        write_secret(
            tmp_path / f"{name}.fpk", lock(held.to_json(), held.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
        )
    (tmp_path / "lead-2.json").write_bytes(roles.card_bytes(roles.card_of(lead)))
    with served(found):
        yield found


def at(world: World, *words: str) -> list[str | Path]:
    return [word if "." not in word else world.folder / word for word in words] + [
        "--dir",
        world.folder / "Peacock",
    ]


OFFICER = ("--officer", "officer.fpk")
COMMANDS = [
    ("rotate", "--use", "op", "--use", "renew", "--demonstration-cost"),
    ("revoke", "--use", "witness", "--reason", "compromised"),
    ("recover", "agent", *OFFICER, "--demonstration-cost"),
    ("recover", "agent", "--copied", *OFFICER, "--demonstration-cost"),
    ("recover", "op", "--roots", "next-roots.fpk", "--void-from", "3", "--demonstration-cost"),
    ("role", "publish", "lead-2.json"),
    ("role", "desk", "intake", "--role", "idva"),
    ("agency", "leave", "--stops", "now"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_is_shown_is_what_is_published(world: World, words: tuple[str, ...]):
    before = view(world)[0].size
    shown = done(world, *at(world, *words), "--dry-run")
    assert (shown["applied"], view(world)[0].size) == (False, before)
    said = done(world, *at(world, *words), "--yes")
    assert said["applied"] is True
    assert undrawn(shown) == undrawn(said)
    recorded = view(world)[1][-len(said["plan"]["publishes"]) :]
    assert recorded == [one["op"] for one in shown["plan"]["publishes"]]
    assert shown["plan"]["affects"] == said["plan"]["affects"]


def undrawn(said: dict) -> list[str]:
    """What a plan publishes, but for what was drawn."""
    return [
        json.dumps([one["op"], {name: value for name, value in one["body"].items() if name not in DRAWN}], sort_keys=True)
        for one in said["plan"]["publishes"]
    ]  # fmt: skip
