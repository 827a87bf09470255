"""The calculator as the relay sees it: an offload, and only ever that.

Python does not do two things at once in one process. So under load batches of arithmetic go to a process of their own,
and the relay reads and decides meanwhile. Where there is none, or when it has died or hangs, whoever asked is told so
and does the same sum here.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from broker import logs
from broker.calculator import SEAL, asked
from broker.memory import wipe

STARTS = 3
"""How often a calculator is started; one that keeps dying is not what a relay should spend its time on."""
LOADING = 30.0
"""Seconds after which one that does not listen will not; the relay does its sums itself meanwhile."""
ROOM = 1024 * 1024
"""Bytes that may be on the way to it; the system may allow less."""
Tell = Callable[[bytes | None], None]
"""Hears the answer, or None when there will be none."""


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is away, and since when. `keys` is what went, where it holds keys: to be overwritten."""

    tell: Tell
    sent: float
    keys: bytes = field(default=b"", repr=False)


class Line(asyncio.Protocol):
    """The way to the process and back: jobs out, answers in the same order."""

    patience = 5.0
    """Seconds after which a calculator that does not answer is one that has died."""

    def __init__(self) -> None:
        self.away: deque[Job] = deque()
        self.process: subprocess.Popen[bytes] | None = None
        self._said = bytearray()
        self._way: asyncio.Transport | None = None
        self._listens: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def ready(self) -> bool:
        return self._way is not None

    def send(self, kind: int, batch: bytes, tell: Tell) -> None:
        if self._way is None:
            tell(None)
            return
        loop = asyncio.get_running_loop()
        work = asked(kind, batch)
        self.away.append(Job(tell, loop.time(), work if kind == SEAL else b""))
        self._way.write(work)
        if self._alarm is None:
            self._alarm = loop.call_later(self.patience, self._late)

    async def listening(self) -> None:
        """Wait until the process has loaded what it needs: work that was sent sooner would wait for that.

        Raises:
            OSError: it ended before, or is not there in time.
        """
        if self._listens is not None:
            async with asyncio.timeout(LOADING):
                await self._listens

    async def close(self) -> None:
        """Let it end, which it does when nothing more can come, and wait for that."""
        if self._way is not None:
            self._way.close()
        if self.process is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._ended, self.process)

    def _ended(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(self.patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._way = cast("asyncio.Transport", transport)
        self._listens = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._said += data
        while len(self._said) >= 4:
            end = 4 + int.from_bytes(self._said[:4], "big")
            if len(self._said) < end:
                return
            answer = bytes(self._said[4:end])
            del self._said[:end]
            if self._listens is not None and not self._listens.done():
                self._listens.set_result(None)
                continue
            job = self.away.popleft()
            wipe(job.keys)  # it was answered, so all of it was sent, and nothing here reads it again
            job.tell(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        # Nobody may wait for an answer that will not come.
        self._way = None
        if self._listens is not None and not self._listens.done():
            self._listens.set_exception(ConnectionResetError("it ended before it listened"))
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self.away:
            self.away.popleft().tell(None)

    def _late(self) -> None:
        """Give up a calculator whose oldest job has waited too long; else look again when it would have."""
        loop, self._alarm = asyncio.get_running_loop(), None
        if not self.away:
            return
        left = self.away[0].sent + self.patience - loop.time()
        if left > 0:
            self._alarm = loop.call_later(left, self._late)
            return
        if self.process is not None:
            self.process.kill()
        if self._way is not None:
            self._way.abort()  # what it has said or will say answers nobody any more
        self.connection_lost(None)


def _pair() -> tuple[socket.socket, socket.socket]:
    """Two ends, with room for a whole turn's records: else they go in a dozen pieces, each a wake-up."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
    return ends


class Calculator:
    """Takes jobs to a process of their own. `apart` says whether there is a processor for one."""

    def __init__(self, *, apart: bool) -> None:
        self._line = Line()
        self._starts = STARTS if apart else 0
        self._starting: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        return self._line.ready

    @property
    def busy(self) -> bool:
        """Whether anything is away."""
        return bool(self._line.away)

    def send(self, kind: int, batch: bytes, tell: Tell) -> None:
        """Have this calculated; `tell` hears of it, at once when there is nobody to do it."""
        if not self.ready and self._starts and self._starting is None:
            self._starts -= 1
            self._starting = asyncio.create_task(self._start())
        self._line.send(kind, batch, tell)

    def ask(self, kind: int, batch: bytes) -> asyncio.Future[bytes | None]:
        """The answer, or None when there is nobody to calculate."""
        done: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

        def tell(answer: bytes | None) -> None:
            if not done.done():
                done.set_result(answer)

        self.send(kind, batch, tell)
        return done

    async def close(self) -> None:
        self._starts = 0
        if self._starting is not None:
            await self._starting
        await self._line.close()

    async def _start(self) -> None:
        """Only under load: an idle relay on a small machine does with one process."""
        await self._line.close()  # one that died has a process to be done with
        try:
            self._line = await _started()
        except OSError as error:
            logs.get().warning("calculator", error=type(error).__name__)
        finally:
            self._starting = None


async def _started() -> Line:
    line, (ours, theirs) = Line(), _pair()
    try:
        with theirs:
            line.process = subprocess.Popen(  # noqa: ASYNC220 -- a start costs a millisecond, and happens once
                [sys.executable, "-m", "broker.calculator"], stdin=theirs.fileno(), stdout=theirs.fileno()
            )
    except OSError:
        ours.close()
        raise
    await asyncio.get_running_loop().create_connection(lambda: line, sock=ours)
    try:
        await line.listening()
    except OSError:
        line.process.kill()
        await line.close()
        raise
    return line
