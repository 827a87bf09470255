"""What a report says, before it is a web page or a PDF: sections with words, steps, tables and charts. Pure.

Texts are as people wrote them; whoever prints them makes them inert first (keys_tooling.audit.inert).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from keys_tooling.audit.inert import Value
from keys_tooling.audit.queries.question import Answer

Audience = Literal["internal", "public"]
Drawn = Literal["stacked", "columns", "grid"]
HEADS: dict[Audience, tuple[str, str]] = {
    "internal": (
        "INTERNAL. Not for publication.",
        "Figures are exact and entries are listed. For this agency's officers, and whom they must tell.",
    ),
    "public": (
        "FOR PUBLICATION. Small numbers are withheld.",
        (
            "No figure of 1 to 7 is shown, and none follows from others or from earlier packs; other "
            "figures are rounded "
            "to 5, so totals may not add up."
        ),
    ),
}
WITHHELD = "withheld"
NONE = "None."


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the first column names the row. `note` is said below it."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Figures by row and column, None where withheld, and how they are drawn: always with the same figures as a table.

    stacked: a bar for each row, its columns side by side. columns: an upright bar for each row, of the first column.
    grid: a shaded square for each figure. `added`: whether a bar's end says its sum; rounded figures do not add up.
    """

    kind: Drawn
    title: str
    of: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[int | None, ...], ...]
    added: bool = True

    @property
    def empty(self) -> bool:
        return not any(value for line in self.values for value in line)

    def table(self, note: str = "") -> Table:
        lines = zip(self.rows, self.values, strict=True)
        rows = tuple((row, *(WITHHELD if value is None else value for value in line)) for row, line in lines)
        return Table(self.title, (self.of, *self.columns), rows, note)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, paragraphs, steps in their order, then charts, each with its table, then tables."""

    heading: str
    words: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A report. `about` is what it covers, in words, `stamp` the same in its file's name.

    `made` says when it was made, no finer than a month where it is for publication; `when` is the year and month.
    """

    kind: str
    title: str
    audience: Audience
    agency: str
    about: str
    stamp: str
    made: str
    when: tuple[int, int]
    sections: tuple[Section, ...]

    @property
    def rows(self) -> int:
        """How many rows its tables have."""
        tables = sum(len(one.rows) for section in self.sections for one in section.tables)
        return tables + sum(len(one.rows) for section in self.sections for one in section.charts)

    @property
    def name(self) -> str:
        """Its file's name, without an ending: whom it is for stands first."""
        agency = re.sub(r"[^a-z0-9]+", "-", self.agency.lower()).strip("-")[:40] or "agency"
        return f"{self.audience.upper()}-{self.kind}-{agency}-{self.stamp}"


def table_of(caption: str, answer: Answer, columns: str = "", note: str = "") -> Table:
    """An answer to one of the thirty questions as a table, of these columns or of all."""
    named = columns.split() or list(answer.columns)
    places = [answer.columns.index(name) for name in named]
    rows = tuple(tuple(row[place] for place in places) for row in answer.rows)
    missing = "" if answer.complete else f"This is not all: {answer.reason}"
    return Table(caption, tuple(map(titled, named)), rows, " ".join(filter(None, (note, missing))))


def titled(name: str) -> str:
    """A column's name as people read it."""
    return name.replace("_", " ").capitalize()


def counted(
    caption: str, columns: Sequence[str], tally: Sequence[tuple[tuple[Value, ...], int]], note: str = ""
) -> Table:
    """A tally as a table, the largest count first."""
    rows = sorted(tally, key=lambda item: (-item[1], [str(part) for part in item[0]]))
    return Table(caption, tuple(columns), tuple((*key, count) for key, count in rows), note)
