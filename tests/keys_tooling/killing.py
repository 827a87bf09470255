"""Commands of fenpost-keys killed with SIGKILL before any durable step and around any request, in forked processes."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulated_world import World

Post = Callable[[Any, Any], Awaitable[Any]]
STEPS = ("os.rename", "os.link", "os.remove", "os.mkdir")
NEVER = 1_000_000
PAGE = 65_536


def type_and_die(words: list[str], now: float, at: int) -> int:
    """In a process of its own: the command, killed before its `at`-th step; how many steps it took."""
    from agent.client import Relay
    from keys_tooling.console import World as Outside
    from keys_tooling.invite_line import InviteLine
    from keys_tooling.keys_main import keys

    left = at

    def step() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sync = os.fsync

    def fsync(handle: int) -> None:
        step()
        sync(handle)

    def around(post: Post) -> Post:
        async def posted(self: Relay, request: object) -> object:
            step()
            answer = await post(self, request)
            step()
            return answer

        return posted

    os.fsync, Relay.post_statements = fsync, around(Relay.post_statements)
    InviteLine.post_invite = around(InviteLine.post_invite)
    sys.addaudithook(lambda event, _args: step() if event in STEPS else None)
    keys.main(words, obj=Outside(lambda: now, secrets.token_bytes), standalone_mode=False)
    return at - left


@dataclass(frozen=True, slots=True)
class Nursery:
    """A process with everything imported and no threads, which forks one child for each command."""

    asks: int
    answers: int

    def killed(self, world: World, words: tuple[str | Path, ...], at: int) -> bool:
        """Whether the command died of it; False when it was done before so many steps."""
        return self._run(world, words, at) is None

    def steps(self, world: World, words: tuple[str | Path, ...]) -> int:
        """How many steps the command takes, which is carried out."""
        taken = self._run(world, words, NEVER)
        assert taken is not None
        return taken

    def _run(self, world: World, words: tuple[str | Path, ...], at: int) -> int | None:
        typed = [*map(str, words), "--passphrase-file", str(world.folder / "pass")]
        order = json.dumps([typed, world.clock(), at]).encode()
        os.write(self.asks, struct.pack(">I", len(order)) + order)
        status, taken = struct.unpack(">ii", os.read(self.answers, 8))
        said = (world.folder / "said").read_text()
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, said
        return None if os.WIFSIGNALED(status) else taken


@contextlib.contextmanager
def nursery(said: Path) -> Iterator[Nursery]:
    from keys_tooling import (  # noqa: F401 -- imported once, before any fork
        backup,
        carrying_out,
        enrolling,
        invite_line,
        invites,
        leaving,
        making,
        partnership,
        policy,
        recovering,
        roster,
        rotation,
        share_pages,
    )

    (asked, asks), (answers, answered) = os.pipe(), os.pipe()
    process = os.fork()
    if process == 0:
        os.close(asks)
        while head := os.read(asked, 4):
            words, now, at = json.loads(os.read(asked, struct.unpack(">I", head)[0]))
            os.write(answered, struct.pack(">ii", *_forked(said, words, now, at)))
        os._exit(0)
    os.close(asked)
    os.close(answered)
    try:
        yield Nursery(asks, answers)
    finally:
        os.close(asks)
        os.close(answers)
        os.waitpid(process, 0)


def _forked(said: Path, words: list[str], now: float, at: int) -> tuple[int, int]:
    """How the command's process ended, and how many steps it took if it was not killed."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        null = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            os.write(writes, struct.pack(">i", type_and_die(words, now, at)))
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        taken = pipe.read(4)
    return os.waitpid(child, 0)[1], struct.unpack(">i", taken)[0] if taken else 0


def chosen(steps: int, kills: int, offset: int) -> list[int]:
    """Steps to be killed at: all of them, or so many, evenly apart."""
    if kills >= steps:
        return list(range(1, steps + 1))
    return sorted({1 + (offset + at * steps // kills) % steps for at in range(kills)})
