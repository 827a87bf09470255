"""A report as tagged PDF (PDF/UA-1), printed by typst, an extra: nothing is fetched and no font of the machine used.

What a report says goes in as data. The same report gives the same bytes.
"""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from typing import Any

from keys_tooling.audit.inert import Value, plain
from keys_tooling.audit.report.charts import described, draw
from keys_tooling.audit.report.page import HEADS, NONE, Page, Table
from keys_tooling.audit.report.web import PACKAGE
from schemas.errors import Refusal

WIDEST, NARROWEST = 40, 6
"""Letters that a column is laid out for at most, and at least."""


def pdf_page(page: Page) -> bytes:
    """Raises Refusal NO_PDF where typst is not installed."""
    try:
        import typst
    except ImportError:
        raise Refusal("NO_PDF") from None
    with as_file(files(PACKAGE).joinpath("templates")) as folder:
        printed = typst.compile(
            str(folder / "report.typ"),
            root=str(folder),
            ignore_system_fonts=True,
            format="pdf",
            pdf_standards=["ua-1"],
            sys_inputs={"page": json.dumps(_said(page))},
        )
    if not isinstance(printed, bytes):
        raise Refusal("NO_PDF")
    return printed


def _said(page: Page) -> dict[str, Any]:
    number = iter(range(1, 1000))
    sections = [
        {
            "heading": plain(section.heading),
            "words": [plain(words) for words in section.words],
            "steps": [plain(step) for step in section.steps],
            "charts": [
                {
                    "svg": "" if chart.empty else draw(chart, next(number)),
                    "alt": plain(f"{chart.title}. {described(chart)}"),
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
    texts = {name: plain(text) for name, text in said.items()}
    running = plain(f"{head[0]} {page.title}, {page.agency}, {page.about}")
    return texts | {
        "audience": page.audience, "head": list(head), "month": month, "running": running, "sections": sections,
        "year": year,
    }  # fmt: skip


def _table(one: Table) -> dict[str, Any]:
    columns = [plain(column) for column in one.columns]
    rows = [[_cell(value) for value in row] for row in one.rows]
    widths = [
        max(NARROWEST, min(WIDEST, max(len(text) for text in (column, *(row[at] for row in rows)))))
        for at, column in enumerate(columns)
    ]
    return {
        "caption": plain(one.caption),
        "columns": columns,
        "rows": rows,
        "note": plain(one.note),
        "widths": widths,
    }


def _cell(value: Value) -> str:
    """A cell that can break anywhere: ids are longer than columns."""
    text = "" if value is None else plain(str(value))
    return (
        "".join(f"{char}\u200b" if at % 12 == 11 else char for at, char in enumerate(text))
        if len(text) > 20 and " " not in text
        else text
    )
