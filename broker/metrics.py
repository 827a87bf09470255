"""Figures for the operator, in a registry of their own. No label names an agency, a desk or a person."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """Counters of requests and turns."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "fenpost_requests", "Requests by route and status.", ("route", "status"), registry=self.registry
        )
        # Looked up once: the library takes a lock and makes texts for each look.
        self.request = lru_cache(maxsize=256)(requests.labels)
        results = Counter(
            "fenpost_envelopes", "Envelopes by what became of them.", ("result",), registry=self.registry
        )
        self.result = lru_cache(maxsize=16)(results.labels)
        self._size = Histogram(
            "fenpost_turn_items", "Pieces of work in a turn.", buckets=SIZES, registry=self.registry
        )
        self._seconds = Histogram(
            "fenpost_turn_seconds", "Seconds that a turn took.", buckets=SECONDS, registry=self.registry
        )
        self.log_size = Gauge("fenpost_log_size", "Leaves in the log.", registry=self.registry)
        self.short = Gauge(
            "fenpost_agencies_short_of_officers",
            "Members with fewer IG officers or leads than the policy asks for.",
            registry=self.registry,
        )

    @contextlib.contextmanager
    def turn(self, items: int) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self._size.observe(items)
            self._seconds.observe(time.perf_counter() - started)

    def text(self) -> bytes:
        return generate_latest(self.registry)
