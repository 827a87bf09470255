"""A report as one web page: nothing is fetched, nothing runs, and it prints."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from keys_tooling.audit.inert import plain
from keys_tooling.audit.report.charts import draw
from keys_tooling.audit.report.page import HEADS, NONE, WITHHELD, Page

PACKAGE = "keys_tooling.audit.report"


def web_page(page: Page) -> bytes:
    """The page as UTF-8 HTML. Every text in it is inert, whoever wrote it."""
    style = files(PACKAGE).joinpath("templates/report.css").read_text(encoding="utf-8")
    style = style.replace("AUDIENCE", HEADS[page.audience][0])
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    charts = [chart for section in page.sections for chart in section.charts]
    numbers = {id(chart): number for number, chart in enumerate(charts, 1)}
    text = (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            head=HEADS[page.audience],
            style=Markup(style),  # noqa: S704 - the program's own
            digest=digest,
            draw=lambda chart: Markup(draw(chart, numbers[id(chart)])),  # noqa: S704 - every text in it went through inert
            nothing=NONE,
            withheld=WITHHELD,
        )
    )
    return text.encode("utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_inert,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _inert(value: Any) -> Any:
    """Every value on its way into the page."""
    if value is None:
        return ""
    return value if isinstance(value, Markup | int | float) else plain(str(value))
