"""Where the checks of a replay are made: by a process of their own while the next page is taken, or else here.

Rules of this house:
- whoever comes out of `async with Checks()` without a refusal has had every check made; only then may anything count;
- a process is believed where it says that a check holds; what it calls broken is checked here, and refused here;
- where there is none, or it has died, hangs or says what is no answer, the same checks are made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self, cast

from agent.logs import log
from schemas.directory import Later
from schemas.errors import Refusal
from schemas.hashing import framed
from schemas.verdicts import BROKEN, HELD, packed

PROCESSORS = os.cpu_count() or 1
PAGES = 2
"""How many pages may be away at once: one that is worked on, and one that is there when it is done."""
PATIENCE = 15.0
"""Seconds after which a process that is waited for is one that hangs; a page takes a fraction of one."""


class Line:
    """The way to a process of our own and back. Raises OSError where none can be started.

    A thread writes and another reads, as taking a page holds up the event loop and a pipe has no room for a page.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "agent.checker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._to, self._from = cast("BinaryIO", self._process.stdin), cast("BinaryIO", self._process.stdout)
        self._out, self._back = (ThreadPoolExecutor(1, thread_name_prefix="check") for _ in range(2))

    def ask(self, checks: Later) -> asyncio.Future[bytes | None]:
        """HELD or BROKEN for each of these, or None where the process says anything else."""
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._out, self._send, framed(packed(checks)))
        return loop.run_in_executor(self._back, self._answer, len(checks))

    def close(self) -> None:
        """End the process, whatever it is doing: it has nothing that could be lost."""
        self._process.kill()
        for thread in (self._out, self._back):
            thread.shutdown(cancel_futures=True)  # what they wait for has gone
        with contextlib.suppress(OSError):  # what was not written never will be
            self._process.communicate()

    def _send(self, batch: bytes) -> None:
        with contextlib.suppress(OSError):  # whoever waits for the answer hears that there is none
            self._to.write(batch)
            self._to.flush()

    def _answer(self, count: int) -> bytes | None:
        said = self._from.read(4 + count)
        size, verdicts = said[:4], said[4:]
        whole = size == count.to_bytes(4, "big") and len(verdicts) == count
        return verdicts if whole and not verdicts.strip(HELD + BROKEN) else None


class Away(NamedTuple):
    """Checks that a process is making, and what it will say of them."""

    checks: Later
    said: asyncio.Future[bytes | None]


class Checks:
    """The checks of one replay.

    Args:
        apart: whether there are so many to come that a process is worth starting.
    """

    def __init__(self, *, apart: bool = False) -> None:
        self._apart = apart and PROCESSORS > 1
        self._line: Line | None = None
        self._away: deque[Away] = deque()

    async def __aenter__(self) -> Self:
        if self._apart:
            try:
                self._line = Line()
            except OSError as error:
                log.warning("checker-not-started", error=type(error).__name__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all that are away. Raises Refusal of the first that fails, also in the place of a later refusal."""
        try:
            if error is None or isinstance(error, Refusal):
                while self._away:
                    await self._hear()
        finally:
            self._end()

    async def make(self, checks: Later) -> None:
        """Have these made, until the end of the block at the latest.

        Raises:
            Refusal: SIGNATURE or KEY, of one that fails, of these or of those before.
        """
        await asyncio.sleep(0)  # what was said while the page was taken is heard
        while self._away and self._away[0].said.done():
            await self._hear()
        if self._line is not None and len(self._away) < PAGES:
            self._away.append(Away(checks, self._line.ask(checks)))
        else:
            await _hold(checks)

    async def _hear(self) -> None:
        """What became of the checks that are away for longest."""
        checks, said = self._away.popleft()
        verdicts = None
        if self._line is not None:
            with contextlib.suppress(TimeoutError):
                verdicts = await asyncio.wait_for(said, PATIENCE)
            if verdicts is None:
                log.warning("checker-given-up")
                self._end()  # whatever else it says answers nobody
        if verdicts is None:
            await _hold(checks)
        else:
            await _hold([check for check, byte in zip(checks, verdicts, strict=True) if byte != HELD[0]])

    def _end(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None


async def _hold(checks: Later) -> None:
    """Make these here, in a thread: libsodium works without Python's lock."""
    if checks:
        await asyncio.to_thread(_each, checks)


def _each(checks: Later) -> None:
    for check in checks:
        check.hold()
