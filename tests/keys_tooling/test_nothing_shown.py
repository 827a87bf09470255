"""What a whole session of keys draws stands in locked files alone: not on the screen, in journals, minutes or the relay."""

import base64
import json
import secrets
from pathlib import Path

import pytest
from click.testing import CliRunner

from keys_tooling.console import World as Outside
from keys_tooling.keys_main import keys
from tests.keys_tooling.admin_place import made
from tests.keys_tooling.policy_place import served, write_secret
from tests.simulated_world import PASSPHRASE, World

LOCKED = (".fpk", ".fpb")
HELD = ("pass", "passphrase")
"""Files that hold a passphrase because somebody put it there."""


class Typing:
    """Somebody who types commands; everything that they drew, and everything that they said."""

    def __init__(self, world: World) -> None:
        self.world, self.drawn, self.said = world, list[bytes](), ""

    def draw(self, size: int) -> bytes:
        self.drawn.append(secrets.token_bytes(size))
        return self.drawn[-1]

    def __call__(self, *words: str | Path) -> dict:
        typed = [*map(str, words), "--passphrase-file", str(self.world.folder / "pass"), "--json"]
        done = CliRunner().invoke(keys, typed, obj=Outside(self.world.clock, self.draw))
        assert done.exit_code == 0, (words, done.output, done.exception)
        self.said += done.output + done.stderr
        found: dict = json.loads(done.stdout.splitlines()[-1])
        return found


def spelt(secret: bytes) -> list[bytes]:
    return [
        secret,
        secret.hex().encode(),
        base64.b64encode(secret)[:40],
        base64.urlsafe_b64encode(secret)[:40],
    ]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path, "Peacock", "IDVAS")


def test_no_secret_of_a_session_is_anywhere_but_in_locked_files(world: World):
    types, home, quick = Typing(world), world.folder / "Peacock", "--demonstration-cost"
    new = world.folder / "new"
    with served(world):
        types("rotate", "--dir", home, "--use", "op", "--use", "renew", quick, "--yes")
        place = ("--dir", world.folder / "ann", "--agency", world.parties["Peacock"].id, "--role", "lead")
        card = types("role", "new", *place, "--person", "2", quick)["card"]
        types("role", "publish", card, "--dir", home, "--yes")
        types("policy", "signer", "init", "--person", "policy-3", "--out", world.folder / "p3.fpk", quick)
        write_secret(world.folder / "words", b"other words of a backup\n")
        types(
            "backup",
            "--dir",
            home,
            "--out",
            world.folder / "a.fpb",
            "--backup-passphrase-file",
            world.folder / "words",
            quick,
        )
        restore = (
            "--dir",
            new,
            "--passphrase-file",
            world.folder / "words",
            "--new-passphrase-file",
            world.folder / "pass",
        )
        restored = CliRunner().invoke(
            keys, ["restore", str(world.folder / "a.fpb"), *map(str, restore), quick],
            obj=Outside(world.clock, types.draw),
        )  # fmt: skip
        assert restored.exit_code == 0, restored.output
        types.said += restored.output + restored.stderr
        types("revoke", "--dir", home, "--use", "witness", "--reason", "compromised", "--yes")
    seeds = {drawn for drawn in types.drawn if len(drawn) == 32}
    assert len(seeds) > 4
    found = {
        path.relative_to(world.folder): path.read_bytes()
        for path in world.folder.rglob("*")
        if path.is_file()
    }
    clear = {
        path: data for path, data in found.items() if path.suffix not in LOCKED and path.name not in HELD
    }
    assert any(path.name.startswith("relay.db") for path in clear)
    clear[Path("what was said")] = types.said.encode()
    shown = [
        str(path) for path, data in clear.items() for secret in (*seeds, PASSPHRASE) for text in spelt(secret) if text in data
    ]  # fmt: skip
    assert shown == []
