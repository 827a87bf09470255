"""What linear reasoning finds out about a figure that was withheld. Exact arithmetic, pure.

A reader of published tables knows a range for every figure, and which figures are sums of others. How high, or how
low, a withheld figure may be in any world that fits all of this is a linear programme. It is solved by the general
simplex method (Dutertre and de Moura, "A fast linear-arithmetic solver for DPLL(T)", 2006), with Bland's rule, so that
it always ends; tables make sparse rows of ones, so whole numbers nearly always suffice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

Key = tuple[str, ...]
"""The name of a figure: its statistic, and what it is narrowed to."""
Number = int | Fraction
Row = dict[int, Number]


@dataclass(frozen=True, slots=True)
class Range:
    """What is known of a figure: at least `low`; at most `high`, None for no limit."""

    low: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Sum:
    """`whole` is the sum of `parts`."""

    whole: Key
    parts: tuple[Key, ...]


class Bounds:
    """Every world that fits ranges and sums; it stands in one of them and walks.

    Args:
        ranges: what is known of each figure.
        sums: each over figures that `ranges` names.
        truth: the world as it is, which fits both.
    """

    def __init__(self, ranges: Mapping[Key, Range], sums: Iterable[Sum], truth: Mapping[Key, int]) -> None:
        self.keys = list(ranges)
        self._at = {key: place for place, key in enumerate(self.keys)}
        self._low: list[Number] = [one.low for one in ranges.values()]
        self._high: list[Number | None] = [one.high for one in ranges.values()]
        self._value: list[Number] = [truth[key] for key in ranges]
        self._rows: dict[int, Row] = {}
        self._users: list[set[int]] = [set() for _ in self.keys]
        for one in sums:
            self._add(one)

    def loosen(self, key: Key, low: int) -> None:
        """From now on the figure is only known to be at least `low`."""
        self._low[self._at[key]] = min(self._low[self._at[key]], low)
        self._high[self._at[key]] = None

    def reach(self, key: Key, goal: int) -> bool:
        """Walk to a world in which the figure is at least `goal`; whether there is one.

        Where there is none, the world that stands is one of those that come nearest.
        """
        at = self._at[key]
        while self._value[at] < goal:
            move = self._choose(self._line(at))
            if move is None:
                return False
            self._walk(at, goal, *move)
        return True

    def pins(self, key: Key) -> list[Key]:
        """After a `reach` that failed: the figures whose ranges hold this one where it is."""
        line = self._line(self._at[key])
        return [self.keys[place] for place in sorted(line) if place < len(self.keys)]

    # --- the tableau: rows of basic figures, each a combination of the others

    def _add(self, one: Sum) -> None:
        """A sum as a row: its parts less its whole, which is nothing."""
        slack = len(self._value)
        row: Row = {}
        for key, weight in ((one.whole, -1), *((part, 1) for part in one.parts)):
            at = self._at[key]
            # A figure that is basic already stands for its own row.
            for place, factor in self._line(at).items():
                _plus(row, place, weight * factor)
        self._low.append(0)
        self._high.append(0)
        self._users.append(set())
        self._value.append(sum((factor * self._value[place] for place, factor in row.items()), 0))
        self._rows[slack] = row
        for place in row:
            self._users[place].add(slack)

    def _line(self, at: int) -> Row:
        return self._rows.get(at, {at: 1})

    def _choose(self, line: Row) -> tuple[int, int] | None:
        """The first figure that raises the line, and which way it has to go itself."""
        for place in sorted(line):
            turn = 1 if line[place] > 0 else -1
            room = self._room(place, turn)
            if room is None or room > 0:
                return place, turn
        return None

    def _room(self, place: int, turn: int) -> Number | None:
        """How far a figure may go; None for no limit."""
        if turn < 0:
            return self._value[place] - self._low[place]
        high = self._high[place]
        return None if high is None else high - self._value[place]

    def _walk(self, target: int, goal: int, place: int, turn: int) -> None:
        """Move one figure as far as everything lets it, and no further than takes the target to its goal."""
        step: Number | None = self._room(place, turn)
        leaves: int | None = None
        for basic in sorted(self._users[place]):
            rate: Number = self._rows[basic][place] * turn
            room = self._room(basic, 1 if rate > 0 else -1)
            if room is None:
                continue
            limit = _divided(room, rate if rate > 0 else -rate)
            if step is None or limit < step:
                step, leaves = limit, basic
        enough = _divided(goal - self._value[target], self._line(target)[place] * turn)
        if step is None or enough <= step:
            self._shift(place, enough * turn)
            return
        self._shift(place, step * turn)
        if leaves is not None:
            self._pivot(leaves, place)

    def _shift(self, place: int, by: Number) -> None:
        self._value[place] += by
        for basic in self._users[place]:
            self._value[basic] += self._rows[basic][place] * by

    def _pivot(self, leaves: int, enters: int) -> None:
        """Write `enters` by the others in place of `leaves`."""
        row = self._rows.pop(leaves)
        for place in row:
            self._users[place].discard(leaves)
        factor = row.pop(enters)
        new: Row = {place: _divided(-value, factor) for place, value in row.items()}
        new[leaves] = _divided(1, factor)
        users, self._users[enters] = self._users[enters], set()
        for basic in users:
            line = self._rows[basic]
            weight = line.pop(enters)
            for place, value in new.items():
                _plus(line, place, weight * value)
                if place in line:
                    self._users[place].add(basic)
                else:
                    self._users[place].discard(basic)
        self._rows[enters] = new
        for place in new:
            self._users[place].add(enters)


def _plus(row: Row, place: int, value: Number) -> None:
    total = row.get(place, 0) + value
    if total:
        row[place] = total
    else:
        row.pop(place, None)


def _divided(value: Number, by: Number) -> Number:
    if by == 1:
        return value
    quotient = Fraction(value) / by
    return quotient.numerator if quotient.denominator == 1 else quotient
