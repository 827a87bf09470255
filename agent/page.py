"""A statement as a page: plain text, and HTML that prints and reads well (PROTOCOL.md G9).

Rules of this house:
- the page asks nothing of any network: no script, no picture, no font, no link; its own policy says so too;
- headings in order, one language, large plain letters, left aligned: for screen readers, tired eyes and a printer;
- the title and the top of the page say nothing that gives away what it is about.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from html import escape

from schemas.statement import Section, Statement

WIDTH = 76
STYLE = """
:root { color-scheme: light; }
body { background: #fff; color: #111; font: 1.15rem/1.6 Arial, Helvetica, sans-serif; margin: 0; }
main { max-width: 40rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.3; }
h2 { font-size: 1.35rem; margin-top: 2rem; }
h3 { font-size: 1.15rem; margin-bottom: 0.3rem; }
p { margin: 0 0 0.7rem; }
article { border-top: 1px solid #767676; padding-top: 0.4rem; }
@media print {
  @page { margin: 2cm; }
  body { font-size: 14pt; }
  main { max-width: none; padding: 0; }
  h1, h2, h3 { break-after: avoid; }
  article, p { break-inside: avoid; }
}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def as_text(statement: Statement) -> str:
    """The statement for a screen reader, a read-aloud or a plain printer."""
    return "\n".join([statement.title, "=" * len(statement.title), *_text(statement)]) + "\n"


def as_html(statement: Statement) -> str:
    """The statement as one self-contained HTML page."""
    title = escape(statement.title)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en-GB">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="robots" content="noindex">',
            f"<title>{title}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            f"<h1>{title}</h1>",
            *(line for section in statement.sections for line in _html(section)),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _text(statement: Statement) -> Iterator[str]:
    for section in statement.sections:
        yield from ("", section.heading, "-" * len(section.heading))
        for line in section.lines:
            yield from textwrap.wrap(line, WIDTH)
        for entry in section.entries:
            yield from ("", entry.day)
            for line in entry.lines:
                yield from textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _html(section: Section) -> Iterator[str]:
    yield f"<section>\n<h2>{escape(section.heading)}</h2>"
    yield from (f"<p>{escape(line)}</p>" for line in section.lines)
    for entry in section.entries:
        yield f"<article>\n<h3>{escape(entry.day)}</h3>"
        yield from (f"<p>{escape(line)}</p>" for line in entry.lines)
        yield "</article>"
    yield "</section>"
