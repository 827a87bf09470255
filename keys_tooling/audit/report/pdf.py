"""A report as tagged PDF.

What a report says goes in as data. The fonts that typst brings have Latin, Greek
and Cyrillic letters; others are spelt out by number, as PDF/UA forbids letters that do not show. The web page has them.
"""

from __future__ import annotations

import unicodedata
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from keys_tooling.audit.inert import Value, plain
from keys_tooling.audit.report.charts import described, draw
from keys_tooling.audit.report.page import HEADS, NONE, Page, Table
from keys_tooling.audit.report.web import PACKAGE
from keys_tooling.typesetting import typeset

WIDEST, NARROWEST, WHOLE = 40, 6, 12
"""Letters that a column is laid out for at most, and at least; how many stay together."""
LETTERS = (
    range(0x20, 0x7F), range(0xA1, 0x250), range(0x384, 0x3CF), range(0x400, 0x460), range(0x490, 0x4C5),
    range(0x1E00, 0x1E9C), range(0x1EA0, 0x1EFA), range(0x1F00, 0x1FFF), range(0x2010, 0x2028), range(0x2030, 0x2038),
    range(0x20AC, 0x20AD), range(0x2190, 0x219C),
)  # fmt: skip
"""What the font of the template can show."""
T = TypeVar("T")


def pdf_page(page: Page) -> bytes:
    """Raises Refusal NO_PDF where typst is not installed."""
    return typeset(PACKAGE, "report.typ", _said(lettered(page)))


def lettered(value: T) -> T:
    """A report, or any part of it, in letters that show; what others wrote is inert in it."""
    if isinstance(value, str):
        text = plain(unicodedata.normalize("NFC", value))
        return "".join(
            char if any(ord(char) in span for span in LETTERS) else f"\\u{{{ord(char):x}}}" for char in text
        )  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(map(lettered, value))  # type: ignore[return-value]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{one.name: lettered(getattr(value, one.name)) for one in fields(value)})
    return value


def _said(page: Page) -> dict[str, Any]:
    number = iter(range(1, 1000))
    sections = [
        {
            "heading": section.heading,
            "words": list(section.words),
            "steps": list(section.steps),
            "charts": [
                {
                    "svg": "" if chart.empty else draw(chart, next(number)),
                    "alt": f"{chart.title}. {described(chart)}",
                    "table": _table(chart.table()),
                }
                for chart in section.charts
            ],
            "tables": [_table(one) for one in section.tables],
        }
        for section in page.sections
    ]
    head = HEADS[page.audience]
    year, month = page.when
    said = {"title": page.title, "agency": page.agency, "about": page.about, "made": page.made, "none": NONE}
    running = f"{head[0]} {page.title}, {page.agency}, {page.about}"
    return said | {
        "audience": page.audience, "head": list(head), "month": month, "running": running, "sections": sections,
        "year": year,
    }  # fmt: skip


def _table(one: Table) -> dict[str, Any]:
    rows = [[_cell(value) for value in row] for row in one.rows]
    widths = [
        max(NARROWEST, min(WIDEST, max(len(text) for text in (column, *(row[at] for row in rows)))))
        for at, column in enumerate(one.columns)
    ]
    return {
        "caption": one.caption,
        "columns": list(one.columns),
        "rows": rows,
        "note": one.note,
        "widths": widths,
    }


def _cell(value: Value) -> str:
    """A cell that can break anywhere: ids are longer than columns."""
    text = "" if value is None else str(value)
    if len(text) <= WHOLE or " " in text:
        return text
    return "\u200b".join(text[at : at + WHOLE] for at in range(0, len(text), WHOLE))
