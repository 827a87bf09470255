"""Charts as SVG: no script, no style sheet, no font of their own. Pure.

Colour never carries a meaning alone: every bar has its figure written on it or beside it, every chart its legend in
words, a title and a description for screen readers, and the page shows the same figures as a table. Every fill has a
contrast of at least 4.5 to 1 with white (WCAG 2.2, 1.4.3 and 1.4.11).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keys_tooling.audit.inert import markup
from keys_tooling.audit.report.page import WITHHELD, Chart

WIDTH = 760
LABELS = 250
ROW = 30
FONT = 14
FILLS = ("#1d4e89", "#b03a00", "#5b3a8c", "#2f6b2f", "#4a4a4a")
INK, RULE, PALE = "#1a1a1a", "#595959", "#f2f2f2"
SHADES = ("#f2f6fb", "#cfe0f3", "#7da7d4", "#1d4e89")
LETTER = 7.8
"""About the width of a letter of FONT."""
FAMILY = "Arial, Helvetica, 'Libertinus Serif', sans-serif"


def draw(chart: Chart, number: int) -> str:
    """The chart as one <svg> element; `number` tells it from the others of its page."""
    height, body = {"stacked": _stacked, "columns": _columns, "grid": _grid}[chart.kind](chart)
    title, desc = f"chart-{number}-title", f"chart-{number}-desc"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{title} {desc}" width="{WIDTH}" '
        f'height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="{FAMILY}" font-size="{FONT}" fill="{INK}">'
        f'<title id="{title}">{markup(chart.title)}</title><desc id="{desc}">{markup(described(chart))}</desc>'
        f"{''.join(body)}</svg>"
    )


def described(chart: Chart) -> str:
    """The chart in words: every row with its figures."""
    rows = (
        f"{row}: {', '.join(f'{name} {_said(value)}' for name, value in zip(chart.columns, line, strict=True))}."
        for row, line in zip(chart.rows, chart.values, strict=True)
    )
    return f"By {chart.of.lower()}. " + " ".join(rows) + " The table that follows has the same figures."


def _said(value: int | None) -> str:
    return WITHHELD if value is None else str(value)


def _stacked(chart: Chart) -> tuple[int, Iterator[str]]:
    top = 34
    most = max((sum(value or 0 for value in line) for line in chart.values), default=0) or 1
    scale = (WIDTH - LABELS - 60) / most

    def body() -> Iterator[str]:
        yield from _legend(chart.columns)
        for at, (row, line) in enumerate(zip(chart.rows, chart.values, strict=True)):
            y = top + at * ROW
            yield _text(LABELS - 8, y + 19, _cut(row, LABELS), anchor="end")
            x = float(LABELS)
            for place, value in enumerate(line):
                if value:
                    wide = value * scale
                    yield _rect(x, y + 3, max(wide - 1, 1), ROW - 6, FILLS[place % len(FILLS)])
                    if wide > LETTER * len(str(value)) + 6:
                        yield _text(x + wide / 2, y + 19, str(value), anchor="middle", fill="#ffffff")
                    x += wide
            if end := _end(line, added=chart.added):
                yield _text(x + 6, y + 19, end, fill=RULE)
        yield _line(LABELS, top, LABELS, top + len(chart.rows) * ROW)

    return top + len(chart.rows) * ROW + 8, body()


def _end(line: tuple[int | None, ...], *, added: bool) -> str:
    """What stands at the end of a bar."""
    told = sum(value or 0 for value in line)
    parts = [str(told)] if added and (told or None not in line) else []
    if None in line:
        parts.append(f"some {WITHHELD}" if told else WITHHELD)
    return ", ".join(parts)


def _columns(chart: Chart) -> tuple[int, Iterator[str]]:
    top, tall = 26, 180
    values = [line[0] for line in chart.values]
    most = max((value or 0 for value in values), default=0) or 1
    step = WIDTH / max(len(values), 1)

    def body() -> Iterator[str]:
        for at, (row, value) in enumerate(zip(chart.rows, values, strict=True)):
            x, high = at * step, (value or 0) * tall / most
            if high:
                yield _rect(x + step * 0.2, top + tall - high, step * 0.6, high, FILLS[0])
            yield _text(x + step / 2, top + tall - high - 6, _said(value), anchor="middle")
            yield _text(x + step / 2, top + tall + 20, _cut(row, step), anchor="middle")
        yield _line(0, top + tall, WIDTH, top + tall)

    return top + tall + 32, body()


def _grid(chart: Chart) -> tuple[int, Iterator[str]]:
    top = 120
    wide = min((WIDTH - LABELS) / max(len(chart.columns), 1), 90.0)
    most = max((value or 0 for line in chart.values for value in line), default=0) or 1

    def body() -> Iterator[str]:
        for place, name in enumerate(chart.columns):
            x = LABELS + place * wide + wide / 2
            turn = f' transform="rotate(-45 {x:.1f} {top - 8})"'
            yield _text(x, top - 8, _cut(name, 130), more=turn)
        for at, (row, line) in enumerate(zip(chart.rows, chart.values, strict=True)):
            y = top + at * ROW
            yield _text(LABELS - 8, y + 19, _cut(row, LABELS), anchor="end")
            for place, value in enumerate(line):
                shade = 0 if not value else 1 + min(2, value * 3 // (most + 1))
                yield _rect(
                    LABELS + place * wide, y, wide - 2, ROW - 2, PALE if value is None else SHADES[shade]
                )
                ink = "#ffffff" if shade == len(SHADES) - 1 else INK
                said = "–" if value is None else str(value)
                yield _text(LABELS + place * wide + wide / 2 - 1, y + 19, said, anchor="middle", fill=ink)

    return top + len(chart.rows) * ROW + 8, body()


def _legend(names: Iterable[str]) -> Iterator[str]:
    x = float(LABELS)
    for place, name in enumerate(names):
        yield _rect(x, 8, 14, 14, FILLS[place % len(FILLS)])
        yield _text(x + 20, 20, name)
        x += 34 + LETTER * len(name)


def _rect(x: float, y: float, wide: float, high: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}"/>'


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{RULE}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", fill: str = INK, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{fill}"{more}>{markup(text)}</text>'


def _cut(text: str, wide: float) -> str:
    """As much of a label as has room; the table has all of it."""
    room = max(int(wide / LETTER) - 1, 3)
    return text if len(text) <= room else f"{text[: room - 1]}…"
