"""fenpost-keys rotate killed with SIGKILL before every single durable step and every request, and resumed: each time the
keys held are the keys published, and nothing is published twice."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from keys_tooling import journal as journals
from schemas.directory import Directory
from schemas.keyfile import unlock
from schemas.keyring import AdminKeys
from schemas.signing import Signed
from tests.keys_tooling.admin_place import done, made
from tests.keys_tooling.killing import nursery
from tests.keys_tooling.policy_place import served
from tests.simulated_world import PASSPHRASE, World

MOST = 80


def view(world: World) -> tuple[Directory, list[str]]:
    """The directory as the relay has it, and the operations of Peacock's chain."""
    found, ops = Directory(world.parties["oversight"].id), []
    with sqlite3.connect(world.folder / "relay" / "relay.db") as database:
        for text, sig in database.execute("SELECT text, sig FROM statements ORDER BY n"):
            said = found.apply(Signed(text, sig))
            if said.agency == world.parties["Peacock"].id:
                ops.append(said.op)
    database.close()
    return found, ops


def held(folder: Path) -> AdminKeys:
    return AdminKeys.from_json(unlock((folder / "admin.fpk").read_bytes(), AdminKeys.HOLDS, PASSPHRASE))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path, "Peacock")


def test_a_rotation_killed_at_every_step_is_whole_or_not_begun_once_it_was_resumed(world: World):
    folder = world.folder / "Peacock"
    rotate = ("rotate", "--dir", folder, "--use", "op", "--use", "renew", "--demonstration-cost", "--yes")
    resume: Callable[[], dict] = lambda: done(world, "resume", "--dir", folder)  # noqa: E731
    with nursery(world.folder / "said") as forks, served(world):
        before, died = view(world)[1].count("rotate-op"), 0
        for at in range(1, MOST):
            world.clock.advance(1)
            if not forks.killed(world, rotate, at):
                break
            died += 1
            forks.killed(world, ("resume", "--dir", folder), 1 + at % 7)  # and killed again while it goes on
            resume()
            found, ops = view(world)
            after = ops.count("rotate-op")
            assert after in (before, before + 1), at
            assert found.agencies[world.parties["Peacock"].id].op == held(folder).op.public, at
            assert not (folder / journals.NAME).exists(), at
            assert not [path.name for path in folder.iterdir() if path.name.startswith(("next-", ".unf"))], at
            renews = [
                k for k in found.agencies[world.parties["Peacock"].id].keys.values() if k.use == "renew"
            ]
            assert len(list(folder.glob("renew-*.fpk"))) == after == len(renews) - 1, at
            before = after
        assert 15 < died < MOST - 1
        assert resume()["plan"] is None
