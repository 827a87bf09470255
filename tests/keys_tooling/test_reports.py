"""What each report finds in one partnership's real log, and what an officer's commands write."""

from __future__ import annotations

import copy
import io
import re
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from broker import logs
from keys_tooling.audit.index import rows as opened_rows
from keys_tooling.audit.inert import plain
from keys_tooling.audit.opened import Row
from keys_tooling.audit.openings import Journal
from keys_tooling.audit.queries.question import Desk
from keys_tooling.audit.report import (
    breach,
    counting,
    dsa_register,
    making,
    monthly,
    packs,
    periods,
    quarterly,
    ropa,
    weekly,
)
from keys_tooling.audit.report.making import page_of
from keys_tooling.audit.report.page import WITHHELD, Section, Table
from keys_tooling.audit.report.sample import drawn, seed_of
from keys_tooling.audit.report.suppression import publish
from keys_tooling.audit.told import Place as DeskPlace
from schemas.audit import Event
from schemas.errors import Refusal
from schemas.partnership import Partnership
from tests.keys_tooling.officer_place import Place
from tests.keys_tooling.queried_world import DAY, HOUR, Story
from tests.keys_tooling.test_report_pages import HOSTILE, parsed, said, skeleton
from tests.simulated_world import DESK, World


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    logs.configure("error")
    return Story.told(tmp_path_factory.mktemp("story"))


def table(sections: tuple[Section, ...], caption: str) -> Table:
    found = [one for section in sections for one in section.tables if one.caption == caption]
    charts = [chart.table() for section in sections for chart in section.charts if chart.title == caption]
    [one] = found + charts
    return one


def names(story: Story, one: Table) -> set[str]:
    """The names of the messages in a table."""
    known = {mid: name for name, mid in story.mids.items()}
    return {known[str(row[one.columns.index("Message")])] for row in one.rows}


def as_of(story: Story, at: int, party: str = "Peacock") -> Desk:
    """What was there to ask at an earlier time."""
    desk = story.desk(party, at)
    return replace(desk, load=lambda events: [row for row in desk.load(events) if row.ts <= at], _loaded={})


# --- weekly


def test_weekly_lists_red_that_nobody_acknowledged(story: Story):
    at = story.began + DAY + 12 * HOUR
    one = table(weekly.sections(as_of(story, at), periods.week(at)), "Unacknowledged RED")
    found = names(story, one)
    assert {"emergency", "unsafe", "noticed", "onward"} <= found
    assert not {"special", "lawful", "agreed", "plain", "blocked 0"} & found


def test_weekly_lists_red_that_expired_unread_in_that_week_only(story: Story):
    desk = story.desk()
    expired = next(row for row in desk.rows(Event.EXPIRED) if desk.messages[row.eid].rag == "RED")
    inside, later = expired.ts + HOUR, expired.ts + 8 * DAY
    listed = [
        str(row[-1])
        for row in table(
            weekly.sections(story.desk(at=inside), periods.week(inside)), "Unacknowledged RED"
        ).rows
    ]
    assert "EXPIRED, nobody took it on" in listed
    listed = [
        str(row[-1])
        for row in table(
            weekly.sections(story.desk(at=later), periods.week(later)), "Unacknowledged RED"
        ).rows
    ]
    assert "EXPIRED, nobody took it on" not in listed


def test_weekly_tells_what_became_of_holds(story: Story):
    one = table(weekly.sections(story.desk(), periods.week(story.began + 5 * DAY)), "Held messages")
    became = {str(row[one.columns.index("Message")]): str(row[-1]) for row in one.rows}
    assert became[story.mids["overridden"]].startswith("let go")
    assert became[story.mids["waiting"]].startswith("lapsed")


def test_weekly_lists_emergencies_without_a_second_signature(story: Story):
    sections = weekly.sections(story.desk(), periods.week(story.world.now))
    found = names(story, table(sections, "Emergencies that no lead signed within 24 hours"))
    assert found == story.named(story.asked("unsigned-emergencies"))
    assert "emergency" in found
    assert "signed emergency" not in found


def test_weekly_lists_not_told_once_its_day_is_past(story: Story):
    for at, found in ((story.began + DAY, set()), (story.began + 3 * DAY, {"unsafe"})):
        assert (
            names(story, table(weekly.sections(story.desk(at=at), periods.week(at)), "Past their review"))
            == found
        )


# --- monthly

NOVEMBER = periods.month("2026-11")


def test_monthly_counts_overrides_by_reason_and_authoriser(story: Story):
    sections = monthly.sections(story.desk(), NOVEMBER)
    one = table(sections, "Overrides by reason and authoriser")
    found = sorted((str(row[0])[0], row[1], row[3]) for row in one.rows)
    assert found == [("F", "lead-2 at Peacock", 1), ("G", "lead-2 at Peacock", 1)]
    months = table(sections, "Overrides by month").rows
    assert (len(months), months[-1], sum(int(str(count)) for _, count in months)) == (12, ("2026-11", 2), 2)
    none = monthly.sections(story.desk(), periods.month("2026-10"))
    assert table(none, "Overrides by reason and authoriser").rows == ()


def test_monthly_counts_refusals_by_code(story: Story):
    [row] = table(monthly.sections(story.desk(), NOVEMBER), "Refusals by code and desk").rows
    assert (row[0], row[2:]) == ("REFUSED", (f"Peacock / {DESK}", 5))


def test_monthly_rates_threads_that_became_milder(story: Story):
    desk = story.desk()
    first = next(row for row in desk.rows(Event.ACCEPT) if row.mid == story.mids["emergency"])
    milder = replace(first, seq=10**6, rag="GREEN", mid="another")
    rows = (*desk.rows(Event.ACCEPT), milder)
    changed = replace(
        desk,
        load=lambda events: [*desk.load(events), *([milder] if events == (Event.ACCEPT,) else [])],
        _loaded={},
    )
    assert len(changed.rows(Event.ACCEPT)) == len(rows)
    before = {
        row[0]: row[1:] for row in table(monthly.sections(desk, NOVEMBER), "RED threads by sender").rows
    }
    after = {
        row[0]: row[1:] for row in table(monthly.sections(changed, NOVEMBER), "RED threads by sender").rows
    }
    reds = int(str(before["Peacock"][0]))
    assert before["Peacock"] == (reds, 0, "0 %")
    assert after["Peacock"] == (reds, 1, f"{round(100 / reds)} %")


def test_monthly_names_who_left_no_trace(story: Story):
    early = table(monthly.sections(story.desk(), NOVEMBER), "Dormant").rows
    late = table(monthly.sections(story.desk(at=story.world.now + 61 * DAY), NOVEMBER), "Dormant").rows
    assert ("lead-2", "person's key") not in {row[:2] for row in early}
    assert ("author-5", "person's key", "never in these entries") in early
    assert {("IDVAS", "agency"), (DESK, "desk"), ("lead-2", "person's key")} <= {row[:2] for row in late}


def test_monthly_draws_the_sample_from_this_agencys_own_shares_without_agreement(story: Story):
    sections = monthly.sections(story.desk(), NOVEMBER)
    found = names(story, table(sections, "The sample"))
    assert len(found) == 5
    assert found <= {
        "overridden",
        "emergency",
        "signed emergency",
        "unsafe",
        "special",
        "lawful",
        "after",
        "outdated",
        "stranger",
    }
    again = monthly.sections(story.desk(), NOVEMBER)
    assert table(again, "The sample") == table(sections, "The sample")
    told = " ".join(words for section in sections for words in section.words)
    [seed] = re.findall(r"Seed: ([0-9a-f]{64})\.", told)
    last = [row for row in story.desk().rows(Event.ACCEPT) if NOVEMBER.holds(row.ts)][-1]
    assert seed == seed_of(story.world.parties["Peacock"].id, "2026-11", last.eid)


@pytest.mark.parametrize("words", HOSTILE)
def test_what_an_author_wrote_stays_text_in_the_report(story: Story, words: str):
    desk = story.desk()
    spoilt = replace(
        desk, load=lambda events: [replace(row, words=words) if row.event == Event.OVERRIDE else row for row in desk.load(events)], _loaded={},
    )  # fmt: skip
    plainly, oddly = (
        parsed(page_of("monthly", one, NOVEMBER, monthly.sections(one, NOVEMBER))) for one in (desk, spoilt)
    )
    assert skeleton(plainly) == skeleton(oddly)
    assert said(oddly).count(plain(words)) == 2


@pytest.mark.parametrize(
    ("of", "drawn_of_them"), [(0, 0), (3, 3), (5, 5), (99, 5), (100, 5), (101, 6), (1000, 50)]
)
def test_the_sample_is_five_per_cent_and_at_least_five(of: int, drawn_of_them: int):
    mids = [f"m{n}" for n in range(of)]
    chosen = drawn(mids, "seed")
    assert len(set(chosen)) == drawn_of_them
    assert set(chosen) <= set(mids)
    assert chosen == drawn(reversed(mids), "seed")
    assert of < 99 or chosen != drawn(mids, "another seed")


def test_monthly_shows_what_flows_between_whom(story: Story):
    one = table(
        monthly.sections(story.desk(), NOVEMBER), "Messages by kind of information, sender and recipient"
    )
    found = {row[0]: dict(zip(one.columns[1:], row[1:], strict=True)) for row in one.rows}
    assert found["Peacock → IDVAS"]["health"] == 1
    assert found["Police → Peacock"]["health"] == 0
    assert set(found["IDVAS → Peacock"].values()) == {0, 1}


# --- quarterly

QUARTER = periods.quarter("2026-Q4")


def many(desk: Desk, count: int) -> Desk:
    """The same entries, each accepted message `count` times over."""

    def load(events: tuple[str, ...]) -> list[Row]:
        return [
            row
            for row in desk.load(events)
            for _ in range(count if row.event in (Event.ACCEPT, Event.REFUSE) else 1)
        ]

    return replace(desk, load=load, _loaded={})


def test_the_pack_shows_no_small_figure_and_internal_reports_show_them_exactly(story: Story):
    desk = story.desk("oversight", at=QUARTER.end + DAY)
    sections, shown = quarterly.sections(desk, QUARTER, ())
    exact = counting.count(desk, QUARTER).figures.counts
    assert any(0 < count < 8 for count in exact.values())
    for key, value in shown.shown.items():
        assert value is None or (value % 5 == 0 and not 0 < exact[key] < 8)
    cells = [
        cell
        for section in sections
        for one in (*section.tables, *(c.table() for c in section.charts))
        for row in one.rows
        for cell in row[1:]
    ]
    assert all(cell % 5 == 0 for cell in cells if isinstance(cell, int))
    assert WITHHELD in cells
    assert 5 in {
        row[3] for row in table(monthly.sections(story.desk(), NOVEMBER), "Refusals by code and desk").rows
    }


def test_the_pack_has_no_time_finer_than_a_month(story: Story):
    desk = story.desk("oversight", at=QUARTER.end + DAY)
    sections, _ = quarterly.sections(desk, QUARTER, ())
    shown = repr(sections)
    assert not re.search(r"\d\d:\d\d|\d{4}-\d\d-\d\d|\d{1,2} (October|November|December)", shown)
    assert not set(story.mids.values()) & set(re.findall(r"[\w-]{22}", shown))


def test_agencies_without_peers_are_withheld_and_those_with_are_not(story: Story):
    desk = many(story.desk("oversight", at=QUARTER.end + DAY), 20)
    one = table(quarterly.sections(desk, QUARTER, ())[0], "Messages sent, by agency and month")
    assert {cell for row in one.rows for cell in row[1:]} == {WITHHELD}
    alike = replace(desk, view=copy.deepcopy(desk.view))
    for agency in alike.view.agencies.values():
        admitted = (one._replace(party=replace(one.party, sector="idva")) for one in agency.admissions)
        object.__setattr__(agency, "admissions", tuple(admitted))
    one = table(quarterly.sections(alike, QUARTER, ())[0], "Messages sent, by agency and month")
    assert any(isinstance(cell, int) and cell > 0 for row in one.rows for cell in row[1:])


def test_a_second_pack_of_the_same_quarter_tells_nothing_of_what_came_late(story: Story):
    desk = many(story.desk("oversight", at=QUARTER.end + DAY), 20)
    first = quarterly.sections(desk, QUARTER, ())[1]
    late = [row for row in desk.rows(Event.ACCEPT) if row.rag == "GREEN"][:1] or list(
        desk.rows(Event.ACCEPT)
    )[:3]
    more = replace(
        desk,
        load=lambda events: [*desk.load(events), *(late * 3 if Event.ACCEPT in events else [])],
        _loaded={},
    )
    sections, second = quarterly.sections(more, QUARTER, [first])
    assert all(shown is None or first.shown[key] == shown for key, shown in second.shown.items())
    assert second.revised
    assert "withheld, because the difference would tell how few came late" in " ".join(sections[0].words)
    pack = counting.count(more, QUARTER)
    alone = publish(pack.figures, pack.apart, (), pack.twins)
    assert any(shown is not None and first.shown[key] != shown for key, shown in alone.shown.items())


def test_packs_are_kept_as_published_and_nothing_withheld_is_in_them(story: Story, tmp_path: Path):
    desk = story.desk("oversight", at=QUARTER.end + DAY)
    shown = quarterly.sections(desk, QUARTER, ())[1]
    tmp_path.chmod(0o700)
    packs.keep(tmp_path, shown)
    packs.keep(tmp_path, shown)
    [again] = packs.kept(tmp_path)
    assert (again.shown, again.sums) == (shown.shown, shown.sums)
    path = tmp_path / "packs" / "1.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(path.read_text()[:-20])
    with pytest.raises(Refusal) as refused:
        packs.kept(tmp_path)
    assert refused.value.code == "FILE"


# --- breach


def breached(
    story: Story, scope: breach.Scope, party: str = "Peacock", since: int | None = None
) -> tuple[Section, ...]:
    start = story.began if since is None else since
    return breach.sections(story.desk(party), periods.window(start, story.world.now), scope)


def test_breach_of_a_key_lists_what_was_under_it_and_nothing_else(story: Story):
    world = story.world
    key = world.parties["Council"].member.agent.prekeys[0].key.kid
    sections = breached(story, breach.Scope(world.now, key=key))
    assert names(story, table(sections, "Messages affected")) == {"plain"}
    own = world.parties["IDVAS"].member.agent.msg.kid
    found = names(story, table(breached(story, breach.Scope(world.now, key=own)), "Messages affected"))
    assert "onward" in found
    assert "plain" not in found


def test_breach_of_a_mailbox_lists_what_came_and_went_there(story: Story):
    world = story.world
    place = DeskPlace(world.parties["Police"].id, DESK)
    found = names(story, table(breached(story, breach.Scope(world.now, place)), "Messages affected"))
    assert found == {"noticed", "unnoticed", "stranger"}


def test_breach_of_a_window_ends_at_the_window(story: Story):
    late = story.began + DAY + 10 * HOUR
    found = names(
        story, table(breached(story, breach.Scope(story.world.now), since=late), "Messages affected")
    )
    assert {"plain", "after", "before"} <= found
    assert "emergency" not in found
    assert "special" in found, "it was taken on within the window"


def test_breach_says_what_to_do_first_and_when_the_clock_ends(story: Story):
    known = story.world.now - HOUR
    sections = breached(story, breach.Scope(known))
    first = sections[0]
    assert first.heading == "What to do first"
    order = ("999", "Presume", "safe way", "Stop the leak", "data protection officer")
    places = [next(at for at, step in enumerate(first.steps) if words in step) for words in order]
    assert places == sorted(places)
    assert periods.moment(known + 72 * HOUR) in sections[1].words[0]


def test_breach_puts_first_what_leads_to_somebodys_door(story: Story):
    desk = story.desk()
    plain = next(row for row in desk.rows(Event.ACCEPT) if row.mid == story.mids["plain"])
    grave = replace(plain, cat=("ask", "contact"), rag="GREEN")
    changed = replace(
        desk, load=lambda events: [grave if row.eid == plain.eid and row.event == Event.ACCEPT else row for row in desk.load(events)], _loaded={},
    )  # fmt: skip
    sections = breach.sections(
        changed, periods.window(story.began, story.world.now), breach.Scope(story.world.now)
    )
    assert table(sections, "Messages affected").rows[0][1] == story.mids["plain"]
    assert table(sections, "Cases affected, those to ring first on top").rows[0][3] == "yes"


def test_breach_names_the_agencies_to_tell(story: Story):
    rows = table(
        breached(story, breach.Scope(story.world.now)),
        "Agencies, each a controller of its own who must be told",
    ).rows
    assert {row[0] for row in rows} == {"Peacock", "IDVAS", "Police", "Council"}


# --- registers


def test_the_register_of_processing_is_what_was_really_shared(story: Story):
    desk = story.desk()
    sections = ropa.sections(desk, periods.year_before(desk.now))
    rows = {str(row[0]).partition(":")[0]: row for row in table(sections, "Processing by purpose").rows}
    assert set(rows) == {"RISK_MGMT", "SUPPORT"}
    assert rows["SUPPORT"][1] == "child, the person"
    assert rows["SUPPORT"][2] == "ask, health"
    assert rows["RISK_MGMT"][3] == "IDVAS, Police"
    assert "s1:18" in str(rows["RISK_MGMT"][5])
    used = {row[0] for row in table(sections, "What it rests on, in words").rows}
    assert {"6a", "6d", "6f", "9g", "s1:18"} <= used
    got = {(row[0], row[1]) for row in table(sections, "Received, by purpose and source").rows}
    assert got == {("CRIME", "Police"), ("SUPPORT", "IDVAS")}


def test_the_register_of_agreements_follows_the_policies(story: Story):
    desk = story.desk()
    one = table(
        dsa_register.sections(desk, periods.year_before(desk.now)),
        "Data-sharing agreements, those that ask for something first",
    )
    standing = {(row[0], row[6]): row for row in one.rows}
    assert standing["pair", "version 2"][1] in ("IDVAS, Peacock", "Peacock, IDVAS")
    assert str(standing["pair", "version 2"][5]).startswith("in force")
    assert {row[5] for key, row in standing.items() if key[1] == "version 1"} == {"of an earlier policy"}
    outside = table(
        dsa_register.sections(desk, periods.year_before(desk.now)), "Shared although none was in force"
    )
    assert "stranger" in names(story, outside)


@pytest.mark.parametrize(("ends_in", "state"), [(-1, "EXPIRED"), (89 * DAY, "EXPIRES WITHIN 90 DAYS"), (91 * DAY, "in force"), (None, "in force, NO END DATE: review it yearly")])  # fmt: skip
def test_an_agreement_that_ends_is_said_to(story: Story, ends_in: int | None, state: str):
    desk = story.desk()
    [entry] = [one for one in desk.view.policies.entries if one.version == 2]
    policy = desk.shelf.policies[entry.digest]
    until = None if ends_in is None else desk.now + ends_in
    changed = policy.model_copy(
        update={"agreements": tuple(one.model_copy(update={"until": until}) for one in policy.agreements)}
    )
    shelf = replace(desk.shelf, policies={**desk.shelf.policies, entry.digest: changed})
    rows = table(dsa_register.sections(replace(desk, shelf=shelf), periods.year_before(desk.now)), "Data-sharing agreements, those that ask for something first").rows  # fmt: skip
    assert {row[5] for row in rows if row[0] == "pair"} == {state}


# --- periods


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-03", 1772323200, 1774998000),
        ("2026-10", 1790809200, 1793491200),
        ("2026-12", 1796083200, 1798761600),
    ],
)
def test_a_month_begins_and_ends_at_midnight_in_london(text: str, start: int, end: int):
    found = periods.month(text)
    assert (found.start, found.end) == (start, end)
    assert (periods.month_of(start), periods.month_of(end - 1)) == (text, text)
    assert periods.month_of(end) != text


def test_quarters_and_what_is_over():
    found = periods.quarter("2026-Q4")
    assert (found.start, found.end) == (periods.month("2026-10").start, periods.month("2027-01").start)
    assert periods.last_quarter(found.end) == "2026-Q4"
    assert periods.last_quarter(found.end - 1) == "2026-Q3"
    assert periods.last_month(found.end) == "2026-12"
    assert periods.months_until("2027-01", 3) == ("2026-11", "2026-12", "2027-01")


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "2026-Q5", "2026", "11-2026", "2026-11-01"])
def test_no_other_spelling_of_a_period(text: str):
    for read in (periods.month, periods.quarter):
        with pytest.raises(Refusal) as refused:
            read(text)
        assert refused.value.code == "BAD_VALUE"


# --- commands


@pytest.fixture
def world(tmp_path: Path) -> World:
    logs.configure("error")
    return World.again(tmp_path / "world", "Peacock", "IDVAS")


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Any]:
    async with world.relay() as running:
        yield running


@pytest.fixture
async def place(world: World, relay: Any, tmp_path: Path) -> Place:
    async with world.session() as http:
        await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
    made = Place.make(world, tmp_path / "officer", "Peacock")
    assert (await made.type("pull")).exit == 0
    return made


async def test_a_report_is_an_opening_and_its_files_say_for_whom_they_are(place: Place, tmp_path: Path):
    out = tmp_path / "reports"
    made = await place.type("report", "weekly", "--to", out, "--pdf", "--json", "--reason", "review")
    assert made.refusal is None
    names = ["INTERNAL-weekly-peacock-2026-11-22.html", "INTERNAL-weekly-peacock-2026-11-22.pdf"]
    assert made.json() == {
        "about": "15 November 2026 to 22 November 2026", "audience": "internal", "entries": 1,
        "files": [str(out / name) for name in names], "kind": "weekly",
    }  # fmt: skip
    assert [stat.S_IMODE((out / name).stat().st_mode) for name in names] == [0o600, 0o600]
    assert "INTERNAL. Not for publication." in (out / names[0]).read_text()
    assert len(PdfReader(io.BytesIO((out / names[1]).read_bytes())).pages) >= 1
    await place.type("pull")
    partnership = Partnership.parse((place.folder / "partnership.json").read_bytes())
    officer = place.world.parties["Peacock"].officer
    found = opened_rows(place.folder, partnership, officer, bytes, Event.UNSEALED)
    assert [(row.scope, row.op, row.reason) for row in found] == [("report", "weekly", "review")]


@pytest.mark.parametrize("kind", ["weekly", "monthly", "ropa", "dsa-register"])
async def test_each_report_can_be_written(place: Place, tmp_path: Path, kind: str):
    made = await place.type("report", kind, "--to", tmp_path / "reports", "--json")
    [file] = made.json()["files"]
    assert Path(file).name.startswith(f"INTERNAL-{kind}-peacock-")


async def test_the_pack_is_public_and_kept(place: Place, world: World, tmp_path: Path):
    early = await place.type("report", "quarterly", "--quarter", "2026-Q4", "--to", tmp_path / "reports")
    assert early.refusal is not None
    assert (early.refusal.code, "is not over" in early.refusal.say) == ("BAD_VALUE", True)
    world.clock.now = periods.quarter("2026-Q4").end + DAY
    made = await place.type("report", "quarterly", "--to", tmp_path / "reports", "--json")
    assert made.refusal is None
    [file] = made.json()["files"]
    assert Path(file).name == "PUBLIC-quarterly-peacock-2026-Q4.html"
    text = Path(file).read_text()
    assert "FOR PUBLICATION. Small numbers are withheld." in text
    assert "Made January 2027." in text
    assert [one.name for one in (place.folder / "packs").iterdir()] == ["1.json"]


async def test_breach_needs_a_beginning_and_one_thing_that_was_lost(place: Place, tmp_path: Path):
    out = tmp_path / "reports"
    for more, code in (
        ((), "MISSING"),
        (("--since", "2026-11-21", "--desk", f"IDVAS/{DESK}", "--agency", "IDVAS"), "BAD_VALUE"),
        (("--since", "2026-11-21", "--desk", "IDVAS"), "BAD_VALUE"),
        (("--since", "2026-11-21", "--agency", "Nobody"), "UNKNOWN_AGENCY"),
        (("--since", "2026-11-23", "--until", "2026-11-21"), "BAD_VALUE"),
    ):
        refused = await place.type("report", "breach", "--to", out, *more)
        assert refused.refusal is not None
        assert refused.refusal.code == code
    assert Journal(place.folder).kept() == []
    made = await place.type(
        "report", "breach", "--to", out, "--since", "2026-11-21", "--agency", "IDVAS", "--json"
    )
    assert Path(made.json()["files"][0]).name == "INTERNAL-breach-peacock-20261121-20261122.html"


async def test_nothing_is_opened_for_a_report_that_exists(place: Place, tmp_path: Path):
    out = tmp_path / "reports"
    assert (await place.type("report", "weekly", "--to", out)).exit == 0
    again = await place.type("report", "weekly", "--to", out)
    assert again.refusal is not None
    assert again.refusal.code == "EXISTS"
    assert len(Journal(place.folder).kept()) == 1


async def test_a_report_too_long_for_pdf_is_written_as_a_page_all_the_same(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(making, "PDF_ROWS", 2)
    made = await place.type(
        "report", "breach", "--since", "2026-11-21", "--to", tmp_path / "reports", "--pdf", "--json"
    )
    [file] = made.json()["files"]
    assert file.endswith(".html")
    assert re.search(r"The PDF was not written: [34] rows are too many for one\.", made.err)


async def test_without_the_relay_nothing_is_written(world: World, tmp_path: Path):
    place = Place.make(world, tmp_path / "officer", "Peacock")
    async with world.relay():
        await place.type("pull")
    refused = await place.type("report", "weekly", "--to", tmp_path / "reports")
    assert refused.refusal is not None
    assert refused.refusal.code == "RELAY_AWAY"
    assert list((tmp_path / "reports").iterdir()) == []
    made = await place.type(
        "report", "weekly", "--to", tmp_path / "reports", "--offline", "--words", "she must be warned"
    )
    assert made.exit == 0
