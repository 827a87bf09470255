"""A moment as people read it: UTC, and it says so."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(ts: int) -> str:
    """A time in Unix seconds, in UTC, to the minute; the figure itself where no calendar has it."""
    try:
        return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return str(ts)
