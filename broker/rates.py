"""Token buckets: how much one agency's keys of one use, or the public pages together, may ask of the relay."""

from __future__ import annotations

import math
from collections.abc import Callable

from schemas.errors import Refusal


class Limited(Refusal):
    """Too much at once; `after` is when to come back, in seconds."""

    def __init__(self, after: float) -> None:
        super().__init__("LIMITED")
        self.after = after


class Buckets:
    """A bucket for each name, full at first; `rate` tokens a second flow in, at most `burst` are kept."""

    def __init__(self, rate: float, burst: float, monotonic: Callable[[], float]) -> None:
        self._rate, self._burst, self._monotonic = rate, burst, monotonic
        self._levels: dict[str, tuple[float, float]] = {}

    def take(self, name: str, tokens: float = 1) -> None:
        """Raises Limited when the bucket holds too little; nothing is taken then."""
        level = self.check(name, tokens)
        self._levels[name] = (level - tokens, self._monotonic())

    def check(self, name: str, tokens: float = 1) -> float:
        """How much the bucket holds. Raises Limited when that is too little."""
        now = self._monotonic()
        level, then = self._levels.get(name, (self._burst, now))
        level = min(self._burst, level + (now - then) * self._rate)
        if level < min(tokens, self._burst):
            raise Limited(math.ceil((tokens - level) / self._rate))
        return level
