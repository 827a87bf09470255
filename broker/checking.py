"""Where signatures are checked: few at once where they arise, many by a process of their own.

A verification costs about as much as everything else that is asked of a receipt, and Python does not do two things at
once in one process. So when requests come in numbers, what one round of the event loop gathered goes to the checker as
one batch, and the relay reads and decides meanwhile. The checker is only ever an offload: where there is none, or when
it has died, the same function runs here. Parsing megabytes must not hold up everybody else either; it goes to a thread.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from broker import logs
from broker.checker import HELD, packed, verdict
from schemas.signing import Check

T = TypeVar("T")
LARGE = 256 * 1024
THREADS = 2
FEW = 2
"""Checks that are not worth the way to another process and back, when nothing else is on it."""
STARTS = 3
"""How often a checker is started; one that keeps dying is not what a relay should spend its time on."""
Verdicts = list[bool]


class Batch:
    """Checks that travel together, and who waits for which of them."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self.sent = 0.0
        self._waiting: list[tuple[asyncio.Future[Verdicts], int]] = []

    def add(self, checks: Sequence[Check], done: asyncio.Future[Verdicts]) -> None:
        self.checks += checks
        self._waiting.append((done, len(checks)))

    def answer(self, said: bytes) -> None:
        """Tell everybody; `said` has a byte for each check."""
        verdicts, at = [byte == HELD[0] for byte in said], 0
        for done, count in self._waiting:
            if not done.done():
                done.set_result(verdicts[at : at + count])
            at += count

    def answer_here(self) -> None:
        self.answer(b"".join(map(verdict, self.checks)))


class Checker(asyncio.SubprocessProtocol):
    """The checker's process as the relay sees it: batches out, verdicts back in the same order."""

    patience = 5.0
    """Seconds after which a checker that does not answer is one that has died."""

    def __init__(self) -> None:
        self.away: deque[Batch] = deque()
        self._said = bytearray()
        self._input: asyncio.WriteTransport | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()

    @property
    def ready(self) -> bool:
        return self._input is not None

    def send(self, batch: Batch) -> None:
        now = asyncio.get_running_loop().time()
        if self.away and now - self.away[0].sent > self.patience and self._transport is not None:
            self._transport.kill()
            self._end()
        if self._input is None:
            batch.answer_here()
            return
        batch.sent = now
        self.away.append(batch)
        self._input.write(packed(batch.checks))

    async def close(self) -> None:
        """Let it end, which it does when its input does, and wait for that."""
        if self._transport is not None:
            if self._input is not None:
                self._input.close()
            await self._exited.wait()
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.SubprocessTransport):
            self._transport = transport
            pipe = transport.get_pipe_transport(0)
            self._input = pipe if isinstance(pipe, asyncio.WriteTransport) else None

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 -- only its output is a pipe
        self._said += data
        while self.away and len(self._said) >= (count := len(self.away[0].checks)):
            self.away.popleft().answer(bytes(self._said[:count]))
            del self._said[:count]

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002
        self._end()

    def process_exited(self) -> None:
        self._exited.set()
        self._end()

    def _end(self) -> None:
        # Nobody may wait for an answer that will not come.
        self._input = None
        while self.away:
            self.away.popleft().answer_here()


class Checks:
    """Checks signatures and runs pure functions. `apart` says whether there is a processor for a second process."""

    def __init__(self, *, apart: bool) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="check")
        self._batch: Batch | None = None
        self._checker = Checker()
        self._starts = STARTS if apart else 0
        self._starting: asyncio.Task[None] | None = None

    async def run(self, size: int, job: Callable[[], T]) -> T:
        """What `job` returns or raises; `size` is the number of bytes it has to look at."""
        if size < LARGE:
            return job()
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def held(self, checks: Sequence[Check]) -> asyncio.Future[Verdicts]:
        """For each of these, whether its signature holds."""
        loop = asyncio.get_running_loop()
        if self._batch is None:
            self._batch = Batch()
            loop.call_soon(self._send, self._batch)  # once this round of the loop has read what came with it
        done: asyncio.Future[Verdicts] = loop.create_future()
        self._batch.add(checks, done)
        return done

    async def close(self) -> None:
        self._starts = 0
        if self._starting is not None:
            await self._starting
        await self._checker.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _send(self, batch: Batch) -> None:
        self._batch = None
        if len(batch.checks) <= FEW and not self._checker.away:
            batch.answer_here()
            return
        if not self._checker.ready and self._starts and self._starting is None:
            self._starts -= 1
            self._starting = asyncio.create_task(self._start())
        self._checker.send(batch)

    async def _start(self) -> None:
        """Only under load: an idle relay on a small machine does with one process."""
        command = (sys.executable, "-m", "broker.checker")
        await self._checker.close()  # one that died has a process to be done with
        try:
            _, self._checker = await asyncio.get_running_loop().subprocess_exec(
                Checker, *command, stderr=None
            )
        except OSError as error:
            logs.get().warning("checker", error=type(error).__name__)
        self._starting = None
