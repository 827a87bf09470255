"""Working time: what passes at night, at weekends and when the clocks change."""

from datetime import UTC, datetime

import pytest

from schemas.periods import after
from schemas.policy import Period
from schemas.worktime import after_working_days, after_working_hours

HOUR, DAY = 3600, 24 * 3600


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("start", "seconds", "end"),
    [
        ("2026-11-23 10:00", 4 * HOUR, "2026-11-23 14:00"),  # a Monday
        ("2026-11-23 15:00", 4 * HOUR, "2026-11-24 11:00"),
        ("2026-11-23 03:00", HOUR, "2026-11-23 10:00"),
        ("2026-11-23 23:30", HOUR, "2026-11-24 10:00"),
        ("2026-11-20 16:00", 4 * HOUR, "2026-11-23 12:00"),  # Friday to Monday
        ("2026-11-22 12:00", 0, "2026-11-23 09:00"),
        ("2026-11-23 10:00", 16 * HOUR, "2026-11-25 10:00"),
        ("2026-07-06 10:00", 4 * HOUR, "2026-07-06 14:00"),
        ("2026-07-06 14:00", 4 * HOUR, "2026-07-07 10:00"),  # London closes at 16:00 UTC in summer
    ],
)
def test_working_hours_are_nine_to_five_in_london(start, seconds, end):
    assert after_working_hours(at(start), seconds) == at(end)


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-11-23 10:00", 2, "2026-11-25 10:00"),
        ("2026-11-19 10:00", 2, "2026-11-23 10:00"),  # Thursday to Monday
        ("2026-11-20 10:00", 2, "2026-11-24 10:00"),
        ("2026-11-21 10:00", 1, "2026-11-24 00:00"),  # Saturday: the clock starts on Monday
        ("2026-03-27 12:00", 1, "2026-03-30 11:00"),  # over the night in which the clocks go forward
        ("2026-10-23 12:00", 1, "2026-10-26 13:00"),  # and back
    ],
)
def test_working_days_stand_still_at_weekends(start, days, end):
    assert after_working_days(at(start), days * DAY) == at(end)


@pytest.mark.parametrize(
    ("unit", "count", "start", "end"),
    [
        ("H", 1, "2027-03-27 23:30", "2027-03-28 00:30"),  # the clocks change; hours do not
        ("H", 4, "2026-10-24 22:30", "2026-10-25 02:30"),
        ("WH", 4, "2027-01-07 16:30", "2027-01-08 12:30"),
        ("WD", 1, "2027-01-08 18:10", "2027-01-12 17:00"),  # Friday after closing counts as Monday's
        ("WD", 5, "2027-01-08 18:10", "2027-01-18 17:00"),
        ("WD", 1, "2027-01-08 17:00", "2027-01-11 17:00"),  # on the stroke of five it is still Friday's
        ("WD", 2, "2027-01-09 12:00", "2027-01-13 17:00"),  # Saturday
        ("WD", 1, "2027-01-11 03:00", "2027-01-12 17:00"),
        ("WD", 1, "2026-07-06 16:30", "2026-07-08 16:00"),  # half past five in London, in summer
        ("WD", 1, "2027-03-26 12:00", "2027-03-29 16:00"),  # over the change
    ],
)
def test_a_period_ends_by_its_own_clock(unit, count, start, end):
    assert after(Period(n=count, unit=unit), at(start)) == at(end)
