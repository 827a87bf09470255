"""`make bench`: every figure of one run, as a table and as bench.json (name -> number, plus `machine`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks import agents, crypto, cycle, directory, log, refusals
from benchmarks.timing import machine

GOALS = {
    "seal.ms.1": "<= 3",
    "seal.ms.20": "<= 12",
    "open.ms.1": "<= 2.5",
    "consent.decide.us.1": "<= 50",
    "consent.decide.us.20": "<= 200",
    "relay.cycle.ratio": ">= 0.4",
    "log.append.ratio.1e6_to_1e4": "<= 1.2",
    "log.verify.1e6.s": "<= 60",
    "log.verify.1e6.mb": "<= 300",
    "log.verify.incremental.s": "<= 3",
    "log.open.1e5.s": "<= 60",
    "log.head.p99_ms": "<= 1000",
    "directory.replay.s": "<= 30",
    "directory.replay.mb": "<= 200",
    "directory.incremental.s": "<= 1",
    "directory.start.s": "<= 2",
    "relay.idle.rss_mb": "<= 120",
    "agent.idle.rss_mb": "<= 100",
}
"""What the figures are held against; a table shows them, nothing fails by them."""


def main(arguments: list[str]) -> None:
    """Measure everything; `--quick` takes about a minute, with wider noise."""
    quick = "--quick" in arguments
    figures = crypto.measure(0.5 if quick else 3.0)
    figures.update(cycle.measure(count=400 if quick else 2000, rounds=1 if quick else 5))
    figures.update(agents.measure(40 if quick else 300))
    figures.update(refusals.measure(20 if quick else 200))
    # Quick, the log is a twentieth as long, and its figures are named by the length that they are of.
    long, rounds, messages = (50_000, 40, 400) if quick else (1_000_000, 200, 3000)
    figures.update(log.measure(size=long, rounds=rounds, messages=messages))
    figures.update(directory.measure(agencies=50 if quick else 500, weeks=52 if quick else 156))
    show(figures)
    Path("bench.json").write_text(json.dumps({**_rounded(figures), "machine": machine()}, indent=1) + "\n")


def show(figures: dict[str, float]) -> None:
    """Print the table."""
    print(f"\n{machine()}\n")
    for name, value in figures.items():
        goal = GOALS.get(name, "")
        print(f"  {name:30} {value:12.3f}  {goal}")
    print("\nwritten to bench.json")


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}


if __name__ == "__main__":
    main(sys.argv[1:])
