"""The wall clock, in one place: everything else is given the time."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Unix seconds, UTC."""


def wall() -> float:
    """Now, in Unix seconds."""
    return time.time()
