"""What others wrote, made harmless for where it is shown: a terminal, a spreadsheet, a web page, a program. Pure.

Rules of this house:
- nothing is dropped: what could be obeyed, hidden or turned round is spelt out instead, so that it is seen;
- every text that a person outside this program wrote goes through here once, at the edge where it is shown;
- figures are not texts: a minus sign before a number stays a number's.

Sources: OWASP "CSV Injection"; Unicode UAX #9 (bidirectional controls), UTR #36 (invisible characters); CVE-2021-42574.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterable, Sequence

from keys_tooling.console import shown
from schemas.canonical import Json

BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show nothing, though Unicode calls them neither control nor space."""
SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0), range(0x180B, 0x1810))
"""Variation selectors: invisible, and long rows of them carry hidden data."""
FORMULA = frozenset("=+-@|%\u2212\ufe62\ufe63\ufe66\ufe6b\uff05\uff0b\uff0d\uff1d\uff20\uff5c")
"""What a spreadsheet may take for the beginning of a formula, in every width that it folds."""
Value = str | int | float | bool | None
"""What may stand in a cell."""


def plain(text: str) -> str:
    """For a terminal, and the first step for everything else: one line that shows exactly what is in it."""
    return "".join(_spelt(char) if _hides(char) else char for char in shown(text))


def cell(value: Value) -> str:
    """For one cell of a spreadsheet: never the beginning of a formula, never a second line."""
    if not isinstance(value, str):
        return "" if value is None else str(value)
    text = plain(value)
    return f"'{text}" if text.lstrip(" '\"")[:1] in FORMULA and text.lstrip(" '\"") else text


def table(names: Sequence[str], rows: Iterable[Sequence[Value]]) -> str:
    """A CSV file (RFC 4180) with every cell quoted and inert; the first line names the columns."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([cell(name) for name in names])
    writer.writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def markup(text: str) -> str:
    """For a web page, between tags or in a quoted attribute. Put it into <bdi>: Hebrew would turn its neighbours."""
    return html.escape(plain(text), quote=True)


def data(value: Json) -> str:
    """For programs: JSON in ASCII, which may also stand in a script of a web page."""
    text = json.dumps(value, sort_keys=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hides(char: str) -> bool:
    return char in BLANK or any(ord(char) in span for span in SELECTORS)


def _spelt(char: str) -> str:
    return f"\\u{{{ord(char):x}}}"
