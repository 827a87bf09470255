"""What follows from published figures by linear reasoning, worked out another way than the program does.

The program walks from the true counts along the sums that tables state. Here a reader knows no counts: her unknowns
are the innermost cells, every figure is a sum of them, and she runs Chvatal's dictionaries ("Linear Programming", 1983,
chapters 2 and 3) in fractions, by Bland's rule. Nothing of keys_tooling is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

Form = Mapping[str, int]
"""A sum of unknowns, none of which is negative."""
Line = list[Fraction]
"""A constant, then a coefficient for each unknown that is free now."""


class Reader:
    """Everything that is known: each form is at most its right side."""

    def __init__(self, known: Sequence[tuple[Form, int]]) -> None:
        self.names = sorted({name for form, _ in known for name in form})
        width = len(self.names)
        self._free = list(range(width))
        self._bound = [width + at for at in range(len(known))]
        self._lines = [
            [Fraction(right), *(Fraction(-form.get(name, 0)) for name in self.names)] for form, right in known
        ]
        self._begin(width + len(known))

    def most(self, wanted: Form) -> Fraction | None:
        """The greatest value of a form; None when there is no limit."""
        if any(weight > 0 and name not in self.names for name, weight in wanted.items()):
            return None
        lines, free, bound = [list(line) for line in self._lines], list(self._free), list(self._bound)
        goal: Line = [Fraction(0)] * (len(free) + 1)
        for name, weight in wanted.items():
            if name not in self.names:
                continue
            at = self.names.index(name)
            if at in free:
                goal[1 + free.index(at)] += weight
            else:
                goal = [old + weight * new for old, new in zip(goal, lines[bound.index(at)], strict=True)]
        return _climb(lines, free, bound, goal)

    def least(self, wanted: Form) -> Fraction:
        """The least value of a form that cannot fall for ever."""
        found = self.most({name: -weight for name, weight in wanted.items()})
        assert found is not None
        return -found

    def _begin(self, extra: int) -> None:
        """A first world that fits: loosen everything by one extra unknown, then take that away."""
        wrong = min(range(len(self._lines)), key=lambda i: self._lines[i][0], default=None)
        if wrong is None or self._lines[wrong][0] >= 0:
            return
        self._free.append(extra)
        for line in self._lines:
            line.append(Fraction(1))
        goal: Line = [Fraction(0)] * len(self._free) + [Fraction(-1)]
        _pivot(self._lines, self._free, self._bound, goal, wrong, len(self._free))
        assert _climb(self._lines, self._free, self._bound, goal) == 0, "nothing fits"
        if extra in self._bound:
            leave = self._bound.index(extra)
            enter = next(j for j in range(1, len(self._free) + 1) if self._lines[leave][j])
            _pivot(self._lines, self._free, self._bound, goal, leave, enter)
        column = self._free.index(extra)
        del self._free[column]
        for line in self._lines:
            del line[1 + column]


def _climb(lines: list[Line], free: list[int], bound: list[int], goal: Line) -> Fraction | None:
    while gains := [(free[j - 1], j) for j in range(1, len(goal)) if goal[j] > 0]:
        enter = min(gains)[1]
        stops = [(line[0] / -line[enter], bound[i], i) for i, line in enumerate(lines) if line[enter] < 0]
        if not stops:
            return None
        _pivot(lines, free, bound, goal, min(stops)[2], enter)
    return goal[0]


def _pivot(lines: list[Line], free: list[int], bound: list[int], goal: Line, leave: int, enter: int) -> None:
    by = lines[leave][enter]
    new = [-value / by for value in lines[leave]]
    new[enter] = 1 / by
    lines[leave] = new
    for line in (*(one for i, one in enumerate(lines) if i != leave), goal):
        if weight := line[enter]:
            line[enter] = Fraction(0)
            line[:] = [old + weight * value if value else old for old, value in zip(line, new, strict=True)]
    free[enter - 1], bound[leave] = bound[leave], free[enter - 1]
