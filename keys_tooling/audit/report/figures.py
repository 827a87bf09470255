"""Counts in tables: every figure has a name, and every total is a sum that is stated. Pure.

Rules of this house:
- a table that may be published is made along axes of a closed list, over a month, a quarter or a year, never finer;
- crosses that would single people out are refused before anything is counted;
- a total that two tables share has one name, so that nobody can learn from two what neither shows.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from keys_tooling.audit.report.bounds import Key, Sum
from schemas.errors import Refusal

ALL = ""
"""The place of a total along an axis."""
AXES = frozenset(
    {
        "agency", "category", "code", "colour", "district", "ethnicity", "from", "month", "reason", "sector", "strand",
        "timely", "to",
    }
)  # fmt: skip
"""What published figures may be narrowed to."""
FINE = frozenset({"date", "day", "hour", "minute", "time", "week"})
CROSS = frozenset({"district", "ethnicity", "strand"})
"""Together, and within a quarter, these single people out."""
_PERIOD = re.compile(r"(?P<year>[0-9]{4})(-(Q[1-4]|0[1-9]|1[0-2]))?")
MOST_AXES = 3


@dataclass(frozen=True, slots=True)
class Axis:
    """One way to narrow: `values` in the order in which they are shown."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """Exact counts by name, and which are sums of others."""

    counts: Mapping[Key, int]
    sums: tuple[Sum, ...]

    def __or__(self, other: Figures) -> Figures:
        """Both, with what they share once. Raises Refusal FORM when they differ about it."""
        if any(other.counts.get(key, count) != count for key, count in self.counts.items()):
            raise Refusal("FORM", "Two tables give one figure differently. Please report it.")
        return Figures({**self.counts, **other.counts}, tuple(dict.fromkeys((*self.sums, *other.sums))))


NOTHING = Figures({}, ())


def name(statistic: str, period: str, narrowed: Mapping[str, str]) -> Key:
    """The name of a figure; an axis whose value is ALL does not narrow."""
    return (statistic, period, *(f"{axis}:{value}" for axis, value in sorted(narrowed.items()) if value))


def check_axes(period: str, axes: Iterable[str]) -> None:
    """Hold a table's axes against what may be published.

    Raises:
        Refusal: CROSS for a cross or a fineness that is never published, or an axis that is not one.
    """
    named = list(axes)
    found = _PERIOD.fullmatch(period)
    fine = FINE & set(named)
    if found is None or fine:
        say = "Nothing finer than a month is published. Choose months, quarters or years."
        raise Refusal("CROSS", say, detail=tuple(sorted(fine)))
    unknown = set(named) - AXES
    if unknown or len(set(named)) != len(named) or len(named) > MOST_AXES:
        raise Refusal("CROSS", detail=tuple(sorted(unknown)))
    if set(named) >= CROSS and period != found["year"]:
        raise Refusal("CROSS", detail=tuple(sorted(CROSS)))


def tabulate(statistic: str, period: str, axes: tuple[Axis, ...], rows: Iterable[tuple[str, ...]]) -> Figures:
    """Count rows along axes, with every total.

    Args:
        rows: for each thing counted, its value on each axis, in their order; one that an axis does not have is refused.

    Raises:
        Refusal: CROSS, FORM.
    """
    check_axes(period, (axis.name for axis in axes))
    counted = Counter(rows)
    if not set(counted) <= set(product(*(axis.values for axis in axes))):
        raise Refusal("FORM", "Something counted has no place in its table. Please report it.")
    totals: Counter[tuple[str, ...]] = Counter()
    for cell, count in counted.items():
        for place in product(*((value, ALL) for value in cell)):
            totals[place] += count
    ends = [(*axis.values, ALL) for axis in axes]

    def key(place: tuple[str, ...]) -> Key:
        return name(statistic, period, {axis.name: value for axis, value in zip(axes, place, strict=True)})

    counts = {key(place): totals[place] for place in product(*ends)}
    sums = tuple(
        Sum(key(place), tuple(key((*place[:at], value, *place[at + 1 :])) for value in axis.values))
        for at, axis in enumerate(axes)
        for place in product(*(ends[i] if i != at else (ALL,) for i in range(len(axes))))
    )
    return Figures(counts, sums)
