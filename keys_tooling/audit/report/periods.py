"""Weeks, months and quarters as people in England count them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from keys_tooling.audit.queries.question import DAY, Given
from schemas.errors import Refusal
from schemas.worktime import london

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_QUARTER = re.compile(r"([0-9]{4})-Q([1-4])")


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` to before `end`, Unix seconds; `label` for people, `stamp` for names of files and figures."""

    start: int
    end: int
    label: str
    stamp: str

    def holds(self, ts: int) -> bool:
        return self.start <= ts < self.end

    @property
    def given(self) -> Given:
        """As a question's window."""
        return Given({"since": self.start, "until": self.end})


def week(now: int) -> Period:
    """The seven days before `now`."""
    return Period(now - 7 * DAY, now, f"{day(now - 7 * DAY)} to {day(now)}", f"{london(now):%Y-%m-%d}")


def window(start: int, end: int) -> Period:
    """Any two times."""
    return Period(
        start, end, f"{moment(start)} to {moment(end)}", f"{london(start):%Y%m%d}-{london(end):%Y%m%d}"
    )


def month(text: str) -> Period:
    """2026-11. Raises Refusal BAD_VALUE."""
    found = _MONTH.fullmatch(text)
    if found is None:
        raise Refusal("BAD_VALUE", "A month is given as 2026-11.")
    year, number = int(found[1]), int(found[2])
    return Period(_first(year, number), _first(year, number + 1), f"{MONTHS[number - 1]} {year}", text)


def quarter(text: str) -> Period:
    """2026-Q4. Raises Refusal BAD_VALUE."""
    found = _QUARTER.fullmatch(text)
    if found is None:
        raise Refusal("BAD_VALUE", "A quarter is given as 2026-Q4.")
    year, first = int(found[1]), int(found[2]) * 3 - 2
    label = f"{MONTHS[first - 1]} to {MONTHS[first + 1]} {year}"
    return Period(_first(year, first), _first(year, first + 3), label, text)


def year_before(now: int) -> Period:
    """The twelve months that are over, and this one so far."""
    at = london(now)
    start = _first(at.year - 1, at.month)
    return Period(start, now, f"{day(start)} to {day(now)}", f"{at:%Y-%m-%d}")


def month_of(ts: int) -> str:
    return f"{london(ts):%Y-%m}"


def months_until(text: str, count: int) -> tuple[str, ...]:
    """So many months in order, the one given last."""
    year, number = map(int, text.split("-"))
    places = [year * 12 + number - 1 - back for back in reversed(range(count))]
    return tuple(f"{place // 12}-{place % 12 + 1:02}" for place in places)


def last_month(now: int) -> str:
    return months_until(month_of(now), 2)[0]


def last_quarter(now: int) -> str:
    year, number = map(int, months_until(month_of(now), 4)[0].split("-"))
    return f"{year}-Q{(number + 2) // 3}"


def day(ts: int) -> str:
    at = london(ts)
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}"


def moment(ts: int) -> str:
    return f"{day(ts)}, {london(ts):%H:%M}"


def _first(year: int, number: int) -> int:
    """The first second of a month in London; months may run over the year's end."""
    utc = int(datetime(year + (number - 1) // 12, (number - 1) % 12 + 1, 1, tzinfo=UTC).timestamp())
    return utc - london(utc).hour * 3600
