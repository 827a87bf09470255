"""Runs of log entries, as statements name them: [[first, last], ...], in order and apart (PROTOCOL.md Y2). Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import AfterValidator, Field

Index = Annotated[int, Field(ge=0, le=2**53)]
Run = tuple[Index, Index]


def _spelled(runs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Raises ValueError inside a model, where it becomes Refusal FORM."""
    before = -2
    for first, last in runs:
        if not before + 1 < first <= last:
            raise ValueError("runs of entries are in order and apart")
        before = last
    return runs


Ranges = Annotated[tuple[Run, ...], Field(min_length=1), AfterValidator(_spelled)]
"""One spelling for each set of entries, so that two statements about the same are the same."""


def ranges_of(indices: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """The runs that these entries make up."""
    runs: list[tuple[int, int]] = []
    for index in sorted(set(indices)):
        if runs and runs[-1][1] == index - 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return tuple(runs)


def count_of(runs: Iterable[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in runs)


def each(runs: Iterable[tuple[int, int]]) -> Iterator[int]:
    return (index for first, last in runs for index in range(first, last + 1))


def names(runs: tuple[tuple[int, int], ...], index: int) -> bool:
    """Whether the entry is among them."""
    at = bisect_right(runs, (index, 2**60))
    return bool(at) and runs[at - 1][1] >= index


def spelled(runs: Iterable[tuple[int, int]]) -> str:
    """As one word: "3-5,9-9"."""
    return ",".join(f"{first}-{last}" for first, last in runs)


def unspelled(text: str) -> tuple[tuple[int, int], ...]:
    """What `spelled` printed. Raises ValueError."""
    pairs = (run.split("-", 1) for run in text.split(","))
    return tuple((int(first), int(last)) for first, last in pairs)


def without(run: tuple[int, int], kept: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """What is left of a run when these, which may overlap, are taken out of it."""
    left = [run]
    for first, last in kept:
        parts: list[tuple[int, int]] = []
        for start, end in left:
            if last < start or end < first:
                parts.append((start, end))
                continue
            parts += [(start, first - 1)] if start < first else []
            parts += [(last + 1, end)] if last < end else []
        left = parts
    return left
