"""Making a report in an officer's folder: the opening is logged, then entries are counted, then files are written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from keys_tooling.audit.index import open_index
from keys_tooling.audit.purpose import Purpose
from keys_tooling.audit.queries.question import Desk, read_time
from keys_tooling.audit.query import desk_of
from keys_tooling.audit.report import (
    breach,
    dsa_register,
    monthly,
    packs,
    periods,
    quarterly,
    ropa,
    weekly,
)
from keys_tooling.audit.report.page import Audience, Page, Section
from keys_tooling.audit.report.pdf import pdf_page
from keys_tooling.audit.report.periods import Period
from keys_tooling.audit.report.web import web_page
from keys_tooling.audit.session import Session
from keys_tooling.audit.told import Place
from keys_tooling.keyfiles import new_files
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.worktime import london

TITLES = {
    "weekly": "Weekly report",
    "monthly": "Monthly report",
    "quarterly": "Partnership pack",
    "breach": "Breach: who is affected, and what to do first",
    "ropa": "Register of processing",
    "dsa-register": "Register of data-sharing agreements",
}


PDF_ROWS = 5000
"""The longest report that is laid out as PDF: a row takes typst about 0.1 MB. A longer one is a web page only."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which report: its kind, and what was typed for it."""

    kind: str
    given: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Made:
    """What was written, and over how many entries."""

    page: Page
    files: tuple[Path, ...]
    entries: int


def make(
    asked: Asked, session: Session, purpose: Purpose, to: Path, pdf: bool, progress: Callable[[int], None]
) -> Made:
    """Write a report, as HTML and if wanted as PDF.

    Raises:
        Refusal: as keys_tooling.audit.index.open_index and Session.announce; BAD_VALUE, MISSING, UNKNOWN_AGENCY for
            what was typed; EXISTS, FILE, DISK_FULL; NO_PDF.
    """
    with open_index(session.folder, session.partnership, session.keys, session.world.draw, progress) as index:
        officer, now = index.officer, session.world.now()
        period = _period(asked, now)
        scope = _scope(asked, officer.view, now)
        desk = desk_of(index, session)
        with new_files(to) as files:
            name = page_of(asked.kind, desk, period, ()).name
            files.absent(f"{name}.html", *([f"{name}.pdf"] if pdf else []))
        session.announce("report", asked.kind, index.range(), officer.agency.id, officer.view, purpose)
        sections = _sections(asked.kind, desk, period, scope, session.folder)
        page = page_of(asked.kind, desk, period, sections)
        written = [(f"{page.name}.html", web_page(page))]
        if pdf and page.rows <= PDF_ROWS:
            written.append((f"{page.name}.pdf", pdf_page(page)))
        entries = index.range()[0]
    with new_files(to) as files:
        keep = files.public if page.audience == "public" else files.secret
        paths = tuple(keep(name, data) for name, data in written)
    return Made(page, paths, entries)


def page_of(kind: str, desk: Desk, period: Period, sections: tuple[Section, ...]) -> Page:
    """The page of a report. One for publication says the month of its making and no more."""
    audience: Audience = "public" if kind == "quarterly" else "internal"
    at = london(desk.now)
    month = f"{periods.MONTHS[at.month - 1]} {at.year}"
    made = month if audience == "public" else periods.moment(desk.now)
    agency = desk.name(desk.agency)
    return Page(
        kind, TITLES[kind], audience, agency, period.label, period.stamp, made, (at.year, at.month), sections
    )


def _sections(
    kind: str, desk: Desk, period: Period, scope: breach.Scope, folder: Path
) -> tuple[Section, ...]:
    if kind == "quarterly":
        if period.end > desk.now:
            raise Refusal(
                "BAD_VALUE", "That quarter is not over. Its pack is made when it is, and made once."
            )
        sections, shown = quarterly.sections(desk, period, packs.kept(folder))
        packs.keep(folder, shown)
        return sections
    if kind == "breach":
        return breach.sections(desk, period, scope)
    return {
        "weekly": weekly.sections,
        "monthly": monthly.sections,
        "ropa": ropa.sections,
        "dsa-register": dsa_register.sections,
    }[kind](desk, period)


def _period(asked: Asked, now: int) -> Period:
    given = asked.given
    if asked.kind == "monthly":
        return periods.month(given.get("month") or periods.last_month(now))
    if asked.kind == "quarterly":
        return periods.quarter(given.get("quarter") or periods.last_quarter(now))
    if asked.kind == "breach":
        if "since" not in given:
            raise Refusal(
                "MISSING",
                "Say with --since from when on it may have been lost: the last time that all was well.",
            )
        end = read_time(given["until"], end=True) if "until" in given else now + 1
        start = read_time(given["since"])
        if start >= end:
            raise Refusal("BAD_VALUE", "--since is not before --until.")
        return periods.window(start, end)
    return periods.week(now) if asked.kind == "weekly" else periods.year_before(now)


def _scope(asked: Asked, view: Directory, now: int) -> breach.Scope:
    given = asked.given
    if asked.kind != "breach":
        return breach.Scope(now)
    if sum(name in given for name in ("desk", "key", "agency")) > 1:
        raise Refusal("BAD_VALUE", "Name one: --desk, --key or --agency.")
    known = read_time(given["known"]) if "known" in given else now
    desk = None
    if "desk" in given:
        name, slash, wanted = given["desk"].rpartition("/")
        if not slash:
            raise Refusal("BAD_VALUE", "A desk is AGENCY/DESK, such as 'Peterborough IDVAS/duty'.")
        desk = Place(view.known_desk(view.find(name).id, wanted).id, wanted)
    agency = view.find(given["agency"]).id if "agency" in given else ""
    return breach.Scope(known, desk, given.get("key", ""), agency)
