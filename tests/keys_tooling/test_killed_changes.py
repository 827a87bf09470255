"""fenpost-keys rotate killed with SIGKILL before every single durable step and every request, and resumed: each time the
keys held are the keys published, and nothing is published twice."""

import contextlib
import json
import os
import secrets
import signal
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from keys_tooling import journal as journals
from schemas.directory import Directory
from schemas.keyfile import unlock
from schemas.keyring import AdminKeys
from schemas.signing import Signed
from tests.keys_tooling.admin_place import done, made
from tests.keys_tooling.policy_place import served
from tests.simulated_world import PASSPHRASE, World

MOST = 80
STEPS = ("os.rename", "os.link", "os.remove")


def type_and_die(words: list[str], now: float, at: int) -> None:
    """In a process of its own: the command, killed before its `at`-th durable step or around a request."""
    from agent.client import Relay
    from keys_tooling.console import World as Outside
    from keys_tooling.keys_main import keys

    left = at

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sync, post = os.fsync, Relay.post_statements

    def fsync(handle: int) -> None:
        step()
        sync(handle)

    async def posted(self: Relay, request: object) -> object:
        step()
        answer = await post(self, request)
        step()
        return answer

    os.fsync, Relay.post_statements = fsync, posted
    sys.addaudithook(lambda event, _args: step() if event in STEPS else None)
    keys.main(words, obj=Outside(lambda: now, secrets.token_bytes), standalone_mode=False)


@dataclass(frozen=True, slots=True)
class Nursery:
    """A process with everything imported and no threads, which forks one child for each command."""

    asks: int
    answers: int

    def killed(self, world: World, words: tuple[str | Path, ...], at: int) -> bool:
        """Whether the command died of it; False when it was done before so many steps."""
        typed = [*map(str, words), "--passphrase-file", str(world.folder / "pass")]
        order = json.dumps([typed, world.clock(), at]).encode()
        os.write(self.asks, struct.pack(">I", len(order)) + order)
        (status,) = struct.unpack(">i", os.read(self.answers, 4))
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, (world.folder / "said").read_text()
        return os.WIFSIGNALED(status)


@contextlib.contextmanager
def nursery(said: Path) -> Iterator[Nursery]:
    import keys_tooling.carrying_out
    import keys_tooling.rotation  # noqa: F401 -- imported once, before any fork

    (asked, asks), (answers, answered) = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        os.close(asks)
        while head := os.read(asked, 4):
            words, now, at = json.loads(os.read(asked, struct.unpack(">I", head)[0]))
            child = os.fork()
            if child == 0:
                null = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(null, 1)
                os.dup2(null, 2)
                try:
                    type_and_die(words, now, at)
                except BaseException as error:
                    print(repr(error), file=sys.stderr, flush=True)
                    os._exit(1)
                os._exit(0)
            os.write(answered, struct.pack(">i", os.waitpid(child, 0)[1]))
        os._exit(0)
    os.close(asked)
    os.close(answered)
    try:
        yield Nursery(asks, answers)
    finally:
        os.close(asks)
        os.close(answers)
        os.waitpid(process, 0)


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
