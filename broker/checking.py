"""Where signatures are checked: few at once where they arise, many by the calculator.

A verification costs about as much as everything else that is asked of a receipt. What one round of the event loop
gathered goes as one batch. Parsing megabytes must not hold up everybody else either; it goes to a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from broker.calculating import Calculator
from broker.calculator import CHECK
from schemas.signing import Check
from schemas.verdicts import HELD, packed, verdict

T = TypeVar("T")
LARGE = 256 * 1024
THREADS = 2
FEW = 2
"""Checks that are not worth the way to another process and back, when nothing else is on it."""
Verdicts = list[bool]


class Batch:
    """Checks that travel together, and who waits for which of them."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self._waiting: list[tuple[asyncio.Future[Verdicts], int]] = []

    def add(self, checks: Sequence[Check], done: asyncio.Future[Verdicts]) -> None:
        self.checks += checks
        self._waiting.append((done, len(checks)))

    def tell(self, said: bytes | None) -> None:
        """Tell everybody; `said` has a byte for each check. None is said by a calculator that is not there."""
        said = b"".join(map(verdict, self.checks)) if said is None else said
        verdicts, at = [byte == HELD[0] for byte in said], 0
        for done, count in self._waiting:
            if not done.done():
                done.set_result(verdicts[at : at + count])
            at += count


class Checks:
    """Checks signatures and runs pure functions."""

    def __init__(self, calculator: Calculator) -> None:
        self._calculator = calculator
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="check")
        self._batch: Batch | None = None

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

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _send(self, batch: Batch) -> None:
        self._batch = None
        if len(batch.checks) <= FEW and not self._calculator.busy:
            batch.tell(None)
        else:
            self._calculator.send(CHECK, packed(batch.checks), batch.tell)
