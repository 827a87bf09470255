"""Working time in England: what "two working days" and "four working hours" are (PROTOCOL.md O12). Pure.

A working day is Monday to Friday; working hours are 9 to 17 of it, by the clock of London. Bank holidays are not
known here: a day that is one counts as a working day, so that a deadline never comes later than people expect.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

DAY = 24 * 3600
OPENS, CLOSES = 9 * 3600, 17 * 3600


def after_working_days(ts: int, seconds: int) -> int:
    """When `seconds` have passed of a clock that stands still on Saturdays and Sundays."""
    return _run(ts, seconds, 0, DAY)


def after_working_hours(ts: int, seconds: int) -> int:
    """When `seconds` have passed of a clock that runs from 9 to 17 on working days."""
    return _run(ts, seconds, OPENS, CLOSES)


def close_after(ts: int, days: int) -> int:
    """When the nth working day after the one of `ts` closes; what comes after closing counts as the next one's."""
    day = london(ts).date()
    if day.weekday() < 5 and ts > _midnight(day) + CLOSES:
        day += timedelta(days=1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < 5
    return _midnight(day) + CLOSES


def london(ts: int) -> datetime:
    """What the clock in London shows at a time; the result says UTC and means London."""
    return datetime.fromtimestamp(ts + _summer(ts), UTC)


def _run(ts: int, seconds: int, opens: int, closes: int) -> int:
    day = london(ts).date()
    left = seconds
    while True:
        midnight = _midnight(day)
        start, end = max(ts, midnight + opens), midnight + closes
        if day.weekday() < 5 and start < end:
            if left <= end - start:
                return start + left
            left -= end - start
        day += timedelta(days=1)


def _midnight(day: date) -> int:
    """The first second of a day in London."""
    utc = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return utc - _summer(utc - 1)


def _summer(ts: int) -> int:
    """How far London is ahead of UTC: an hour from the last Sunday of March to that of October, 01:00 UTC."""
    year = datetime.fromtimestamp(ts, UTC).year
    return 3600 if _last_sunday(year, 3) <= ts < _last_sunday(year, 10) else 0


def _last_sunday(year: int, month: int) -> int:
    last = datetime(year, month, 31, 1, tzinfo=UTC)
    return int((last - timedelta(days=(last.weekday() + 1) % 7)).timestamp())
