"""Where signatures are checked: small work at once, large work in a thread.

Handing work to a thread costs about half a verification, and most of an upload's examination holds the interpreter,
so a thread gains nothing there but waiting. Only hashing and parsing megabytes must not hold up everybody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
LARGE = 256 * 1024
THREADS = 2


class Checks:
    """Runs pure functions."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="check")

    async def run(self, size: int, job: Callable[[], T]) -> T:
        """What `job` returns or raises; `size` is the number of bytes it has to look at."""
        if size < LARGE:
            return job()
        return await asyncio.get_running_loop().run_in_executor(self._pool, job)

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
