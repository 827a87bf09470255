"""The load: senders with a fixed number in flight, and one collector that fetches pages and ends what it got.

The same shape drives the real relay and the floor, so that what is compared is the relay. Messages are sealed and
receipts are signed before the clock starts; requests are signed while it runs, as an agent must.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psutil

Send = Callable[[Sequence[int]], Awaitable[None]]
Collect = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Cycle:
    """One measured run: messages a second through the whole cycle, and the server's CPU seconds per 1,000."""

    per_s: float
    cpu_s_per_1000: float


async def run(count: int, flight: int, batch: int, send: Send, collect: Collect, server: int) -> Cycle:
    """Send messages 0..count-1 in posts of `batch`, `flight` posts at a time, until the collector has ended all."""
    before = _cpu(server)
    start = time.perf_counter()
    todo = iter([range(at, min(at + batch, count)) for at in range(0, count, batch)])

    async def sender() -> None:
        for numbers in todo:
            await send(numbers)

    async def collector() -> None:
        ended = 0
        while ended < count:
            ended += await collect()

    await asyncio.gather(collector(), *(sender() for _ in range(flight)))
    elapsed = time.perf_counter() - start
    return Cycle(count / elapsed, (_cpu(server) - before) * 1000 / count)


def _cpu(server: int) -> float:
    """CPU seconds of a server and of the processes that it started."""
    process = psutil.Process(server)
    family = [process, *process.children(recursive=True)]
    return float(sum(t.user + t.system for t in (member.cpu_times() for member in family)))
