"""Where signatures are checked and uploads are looked through: few where they arise, many by the calculator.

A verification costs about as much as everything else that is asked of a receipt. What one round of the event loop
gathered goes as one batch. What takes megabytes must not hold up everybody else either; it goes to a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from broker import inspection, verdicts
from broker.calculating import Calculator
from broker.calculator import CHECK, INSPECT
from broker.inspection import Inspected, inspect
from broker.intake import Claimed
from schemas.errors import Refusal
from schemas.signing import Check

A = TypeVar("A")
B = TypeVar("B")
T = TypeVar("T")
LARGE = 256 * 1024
THREADS = 2
FEW = 2
"""Checks that are not worth the way to another process and back, when nothing else is on it."""


class Gathering(Generic[A, B]):
    """Questions of one kind, which travel together; `here` answers one of them in this process."""

    def __init__(
        self,
        calculator: Calculator,
        kind: int,
        packed: Callable[[Sequence[A]], bytes],
        read: Callable[[bytes], list[B]],
        here: Callable[[A], B],
    ) -> None:
        self._calculator, self._kind = calculator, kind
        self._packed, self._read, self._here = packed, read, here
        self._items: list[A] = []
        self._waiting: list[tuple[asyncio.Future[list[B]], int]] = []

    def ask(self, items: Sequence[A]) -> asyncio.Future[list[B]]:
        """An answer for each of these."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._go)  # once this round of the loop has read what came with it
        done: asyncio.Future[list[B]] = loop.create_future()
        self._items += items
        self._waiting.append((done, len(items)))
        return done

    def _go(self) -> None:
        items, waiting = self._items, self._waiting
        self._items, self._waiting = [], []

        def tell(said: bytes | None) -> None:
            answers = list(map(self._here, items)) if said is None else self._read(said)
            at = 0
            for done, count in waiting:
                if not done.done():
                    done.set_result(answers[at : at + count])
                at += count

        if len(items) <= FEW and not self._calculator.busy:
            tell(None)
        else:
            self._calculator.send(self._kind, self._packed(items), tell)


class Checks:
    """Checks signatures, looks uploads through, and runs pure functions."""

    def __init__(self, calculator: Calculator) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="check")
        self._signatures = Gathering(calculator, CHECK, verdicts.packed, verdicts.read, verdicts.held)
        self._uploads = Gathering(calculator, INSPECT, _packed, inspection.read, _inspected)

    async def run(self, size: int, job: Callable[[], T]) -> T:
        """What `job` returns or raises; `size` is the number of bytes it has to look at."""
        if size < LARGE:
            return job()
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def held(self, checks: Sequence[Check]) -> asyncio.Future[list[bool]]:
        """For each of these, whether its signature holds."""
        return self._signatures.ask(checks)

    def inspected(self, claimed: Sequence[Claimed]) -> asyncio.Future[list[Inspected | Refusal]]:
        """For each of these, what it comes to, or why it does not hold together."""
        if sum(len(one.data) for one in claimed) < LARGE:
            return self._uploads.ask(claimed)
        return asyncio.get_running_loop().run_in_executor(self._pool, _inspected_all, claimed)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _packed(claimed: Sequence[Claimed]) -> bytes:
    return inspection.packed([(one.public, one.data) for one in claimed])


def _inspected_all(claimed: Sequence[Claimed]) -> list[Inspected | Refusal]:
    return list(map(_inspected, claimed))


def _inspected(claimed: Claimed) -> Inspected | Refusal:
    try:
        return inspect(claimed.upload, claimed.public)
    except Refusal as refusal:
        return refusal
