"""Whether a refusal's time tells what stands behind it: no such agreement, withdrawn, not for this, another agency's.

Requests of every case alternate, one at a time, against one relay; what is compared are the medians.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from broker import logs
from tests.broker.test_same_refusals import CASES, sealed, stand
from tests.simulated_world import World


def measure(rounds: int) -> dict[str, float]:
    """The slowest case's median over the quickest's, and the median of all, in milliseconds."""
    logs.configure("error")
    with tempfile.TemporaryDirectory(prefix="fenpost-bench-") as folder:
        return asyncio.run(_measure(Path(folder), rounds))


async def _measure(folder: Path, rounds: int) -> dict[str, float]:
    world = World.found(folder, "Peacock", "IDVAS", "Harbour", sectors={"IDVAS": "health"})
    taken = defaultdict[str, list[float]](list)
    async with world.relay(), world.session() as http:
        cases = await stand(world, http)
        for number in range(rounds + 3):
            for name in CASES[number % len(CASES) :] + CASES[: number % len(CASES)]:
                message = sealed(world, cases[name])
                start = time.perf_counter()
                answer = await world.post_envelopes(http, "Peacock", message)
                seconds = time.perf_counter() - start
                if answer.status != 403:
                    raise RuntimeError(f"{name}: {answer.status} {answer.body!r}")
                if number >= 3:  # the first ones warm up
                    taken[name].append(seconds)
    medians = [statistics.median(times) for times in taken.values()]
    return {
        "gate.refusal.ms": statistics.median(medians) * 1000,
        "gate.refusal.spread": max(medians) / min(medians),
    }
