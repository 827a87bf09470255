"""Signature checks off the event loop, many at a time.

libsodium lets go of the interpreter while it verifies, so a thread costs little; handing work over costs as much as
half a verification, so what is waiting goes over together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Job = Callable[[], Any]
THREADS = 2
TOGETHER = 16


class Checks:
    """Runs pure functions in a few threads, in the order they came."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="check")
        self._waiting: list[tuple[Job, asyncio.Future[Any]]] = []
        self._running = 0

    async def run(self, job: Callable[[], T]) -> T:
        """What `job` returns or raises."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, done))
        if self._running < THREADS:
            self._start()
        return await done

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        batch, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
        self._running += 1
        loop = asyncio.get_running_loop()
        outcome = loop.run_in_executor(self._pool, _all, [job for job, _ in batch])
        outcome.add_done_callback(lambda future: self._finish([done for _, done in batch], future))

    def _finish(
        self, waiting: list[asyncio.Future[Any]], outcome: asyncio.Future[list[tuple[Any, Any]]]
    ) -> None:
        self._running -= 1
        if self._waiting:
            self._start()
        if outcome.cancelled():
            for done in waiting:
                done.cancel()
            return
        for done, (result, error) in zip(waiting, outcome.result(), strict=True):
            if done.done():
                continue
            if error is None:
                done.set_result(result)
            else:
                done.set_exception(error)


def _all(jobs: list[Job]) -> list[tuple[Any, Exception | None]]:
    return [_one(job) for job in jobs]


def _one(job: Job) -> tuple[Any, Exception | None]:
    try:
        return job(), None
    except Exception as error:  # noqa: BLE001 -- handed on to whoever waits for this job
        return None, error
