"""Whatever somebody writes into a reason comes out as what it is, and does nothing (terminal, CSV, HTML, JSON)."""

import csv
import html
import io
import json
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys_tooling.audit import inert

TRICKS = st.sampled_from(
    ["=", "+1", "-2+3", "@SUM(A1)", "|", "%0a", "\t=", "\r", "\n=", "\x1b[2J", "\x9b1m", "\x1b]8;;http://x\x07", "\u202e", "\u2066",
     "\u200b", "\ufeff", "\u00ad", "\u2028", "\ufe0f", "\U000e0041", "\u3164", "\u2800", "\x00", "\x7f", "<script>", "</td>",
     "&lt;", '"', "'", "`", ";", ",", "＝1", "＋", "－", "＠", "\u2212", "=cmd|' /C calc'!A0", " =1", "'=1", "é", "שלום", "{{x}}"]
)  # fmt: skip
TEXTS = st.lists(st.one_of(TRICKS, st.text(max_size=6)), max_size=8).map("".join)


class Tags(HTMLParser):
    """Collects what a browser would take for markup, and the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[object] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def obeys_or_hides(char: str) -> bool:
    category = unicodedata.category(char)
    return (
        (category[0] in "CZ" and char != " ")
        or char in inert.BLANK
        or "VARIATION" in unicodedata.name(char, "")
    )


@given(TEXTS)
def test_a_terminal_has_nothing_to_obey_and_nothing_is_hidden(text: str):
    said = inert.plain(text)
    assert not [char for char in said if obeys_or_hides(char)]
    spelt = "".join(f"\\u{{{ord(c):x}}}" if obeys_or_hides(c) else c for c in text)
    assert said == spelt


@given(TEXTS)
def test_no_cell_begins_a_formula_or_a_line(text: str):
    [[said]] = list(csv.reader(io.StringIO(inert.table((text,), ()))))
    bare = unicodedata.normalize("NFKC", said.strip(" \"'"))
    assert not said.startswith(("=", "+", "-", "@", "|", "%", "\t", "\r", "\n"))
    assert not (bare[:1] in set("=+-@|%\u2212") and bare and not said.startswith("'"))
    assert "\n" not in said
    assert said in (inert.plain(text), f"'{inert.plain(text)}")


@given(st.lists(st.lists(TEXTS, min_size=3, max_size=3), max_size=4))
def test_a_table_has_the_cells_that_were_put_in_it(rows: list[list[str]]):
    found = list(csv.reader(io.StringIO(inert.table(("a", "b", "c"), rows)), strict=True))
    assert found == [["a", "b", "c"], *([inert.cell(value) for value in row] for row in rows)]


@pytest.mark.parametrize(
    ("value", "said"), [(-5, "-5"), (1.5, "1.5"), (True, "True"), (None, ""), ("", ""), ("-5", "'-5")]
)
def test_figures_stay_figures(value: inert.Value, said: str):
    assert inert.cell(value) == said


@given(TEXTS)
def test_a_page_takes_nothing_of_it_for_markup(text: str):
    page = Tags()
    page.feed(f'<p title="{inert.markup(text)}">{inert.markup(text)}</p>')
    page.close()
    assert page.found == [("p", [("title", inert.plain(text))]), "p"]
    assert page.text == inert.plain(text)
    assert html.unescape(inert.markup(text)) == inert.plain(text)


@given(st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_a_program_gets_it_back_whole_and_a_script_is_not_left(said: dict[str, str]):
    text = inert.data(said)
    assert json.loads(text) == said
    assert text.isascii()
    assert not set(text) & set("<>&\x1b\n\r\x00\x7f")
