"""How every figure is taken: medians of rounds, in one run, on a machine that is named beside them."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path


def median_ms(work: Callable[[], object], seconds: float) -> float:
    """The median duration of `work` in milliseconds, over at least five calls and about `seconds`."""
    work()
    durations: list[float] = []
    end = time.perf_counter() + seconds
    while len(durations) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        durations.append((time.perf_counter() - start) * 1000)
    return statistics.median(durations)


def median_us(work: Callable[[], object], seconds: float, inner: int = 100) -> float:
    """The median duration of one call in microseconds, timed in runs of `inner` calls."""

    def run() -> None:
        for _ in range(inner):
            work()

    return median_ms(run, seconds) * 1000 / inner


def machine() -> str:
    """The machine in one line: cores, processor, system, Python."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    model = names[0] if names else model
    return f"{os.cpu_count()} cores, {model}, {platform.system()}, Python {platform.python_version()}"
