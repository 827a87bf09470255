"""Officers' reports for another program to read: plain ones, hostile ones, and ones spoilt so that it must notice."""

from __future__ import annotations

from pathlib import Path

from keys_tooling.audit.report.web import web_page
from tests.keys_tooling.test_report_pages import HOSTILE, page

SPOILS = {
    "language": (b' lang="en-GB"', b""),
    "title": (b"<title>", b"<title></title><title>"),
    "list": (b"<ol>\n<li>", b"<ol>\n<p>Contents</p>\n<li>"),
    "region": (b'<div class="wide" role="region"', b'<div class="wide" role="regoin"'),
}


def write_pages(folder: Path) -> int:
    """Write the pages; how many there are."""
    plain = web_page(page())
    pages = {"internal.html": plain, "public.html": web_page(page(audience="public"))}
    pages |= {f"hostile-{number}.html": web_page(page(text)) for number, text in enumerate(HOSTILE[2:6])}
    for name, (old, new) in SPOILS.items():
        assert old in plain
        pages[f"spoilt-{name}.html"] = plain.replace(old, new, 1)
    for name, data in pages.items():
        (folder / name).write_bytes(data)
    return len(pages)
