"""The monthly report: overrides, regrades, refusals, dormant accounts, and the sample to review. Internal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.question import DAY, Desk, when
from keys_tooling.audit.queries.shares import without_agreement
from keys_tooling.audit.report import timeliness
from keys_tooling.audit.report.page import Chart, Section, Table, counted
from keys_tooling.audit.report.periods import Period, month_of, months_until
from keys_tooling.audit.report.sample import drawn, seed_of
from schemas.audit import Event
from schemas.keys import Use
from schemas.kinds import KINDS
from schemas.lawful import RAGS

DORMANT_DAYS = 60
OVER = 12
"""Months that the chart of overrides goes back."""


def sections(desk: Desk, period: Period) -> tuple[Section, ...]:
    found, unread = timeliness.deliveries(desk, period)
    left_out = (f"{unread} messages are left out: the policy of their time is not here.",) if unread else ()
    return (
        _overrides(desk, period), _regrades(desk, period), _refusals(desk, period), _dormant(desk),
        _sample(desk, period), _flows(desk, period),
        Section("Timeliness", left_out, charts=(timeliness.chart(desk, found),)),
    )  # fmt: skip


def _overrides(desk: Desk, period: Period) -> Section:
    months = Counter(month_of(row.ts) for row in desk.overrides)
    names = months_until(period.stamp, OVER)
    over = Chart(
        "columns",
        "Overrides by month",
        "Month",
        names,
        ("Overrides",),
        tuple((months[name],) for name in names),
    )
    rows = [row for row in desk.overrides if period.holds(row.ts)]
    tally = Counter((_why(desk, row), desk.person(row.authoriser), desk.person(row.author)) for row in rows)
    by = counted(
        "Overrides by reason and authoriser",
        ("Reason", "Authorised by", "Asked by", "Overrides"),
        list(tally.items()),
    )
    words = tuple((when(row.ts), row.mid, desk.person(row.authoriser), row.words) for row in rows)
    listed = Table(
        "Each override, in its author's words", ("Time (UTC)", "Message", "Authorised by", "Reason"), words
    )
    return Section("Overrides", charts=(over,), tables=(by, listed))


def _why(desk: Desk, row: Row) -> str:
    """The reason's code and what the policy says of it."""
    code = row.why_no or row.reason
    policy = desk.policy(row.ts)
    says = {} if policy is None else {entry.code: entry.says for entry in policy.vocabulary.why_no}
    return f"{code} {says.get(code, '')}".strip() or "none given"


def _regrades(desk: Desk, period: Period) -> Section:
    """Nothing in the log says "regraded": a later message of the same thread that is milder is the nearest to it."""
    threads: dict[str, list[Row]] = defaultdict(list)
    for row in desk.rows(Event.ACCEPT):
        threads[row.thr].append(row)
    tally: Counter[tuple[str, str]] = Counter()
    for rows in threads.values():
        first = next((row for row in rows if row.rag == "RED" and period.holds(row.ts)), None)
        if first is None:
            continue
        later = [row for row in rows if row.seq > first.seq]
        became = "milder" if any(row.rag in RAGS and row.rag != "RED" for row in later) else "RED"
        tally[desk.name(first.sender.agency), became] += 1
    lines = []
    for name in sorted({name for name, _ in tally}):
        milder, reds = tally[name, "milder"], tally[name, "milder"] + tally[name, "RED"]
        lines.append((name, reds, milder, f"{round(100 * milder / reds)} %"))
    words = (
        (
            "A colour is not changed in the log: counted are threads that began as RED in the month, "
            "and those of them in "
            "which a later message is milder. It may have become milder because the danger passed: "
            "ask before you judge."
        ),
    )
    columns = ("Sender", "Threads that began RED", "Milder later", "Rate")
    return Section(
        "RED that became milder", words, tables=(Table("RED threads by sender", columns, tuple(lines)),)
    )


def _refusals(desk: Desk, period: Period) -> Section:
    rows = [row for row in desk.rows(Event.REFUSE) if period.holds(row.ts)]
    tally = Counter((row.code, desk.place(row.sender)) for row in rows)
    said = [
        ((code, KINDS[code].say if code in KINDS else "", place), count)
        for (code, place), count in tally.items()
    ]
    table = counted("Refusals by code and desk", ("Code", "What it says", "Desk", "Refusals"), said)
    return Section("What the gate refused", tables=(table,))


def _dormant(desk: Desk) -> Section:
    seen: dict[str, int] = {}
    for row in desk.rows(*sorted(Event)):
        for name in _active(row):
            seen[name] = max(seen.get(name, 0), row.ts)
    rows = []
    for who, kind, name in _accounts(desk):
        last = seen.get(name)
        if last is None or desk.now - last > DORMANT_DAYS * DAY:
            rows.append((who, kind, when(last) or "never in these entries"))
    words = (
        (
            f"No trace for {DORMANT_DAYS} days in the entries that you may read. An account that "
            "nobody needs is taken "
            "away: fenpost-keys role and revoke say how."
        ),
    )
    return Section(
        "Dormant accounts", words, tables=(Table("Dormant", ("Who", "What", "Last seen (UTC)"), tuple(rows)),)
    )


def _active(row: Row) -> Iterator[str]:
    yield row.sender.agency
    yield f"{row.sender.agency}/{row.sender.desk}"
    yield from filter(None, (row.author, row.authoriser, row.signer))


def _accounts(desk: Desk) -> Iterator[tuple[str, str, str]]:
    """Agencies, then desks and people's keys of one's own agency."""
    for agency in sorted(desk.view.agencies.values(), key=lambda one: one.name):
        if agency.member and agency.id != desk.agency:
            yield desk.name(agency.id), "agency", agency.id
    own = desk.view.agencies.get(desk.agency)
    if own is None:
        return
    for name in own.desks:
        yield name, "desk", f"{own.id}/{name}"
    for key in own.keys.values():
        if key.person and key.stands(desk.now) and key.use == Use.PERSON:
            yield key.person, "person's key", key.kid


def _sample(desk: Desk, period: Period) -> Section:
    answer = desk.said(without_agreement(desk, period.given))
    at = answer.columns.index("message")
    last = next((row.eid for row in reversed(desk.rows(Event.ACCEPT)) if period.holds(row.ts)), "")
    own = {row.mid for row in desk.accepted(period.given) if row.sender.agency == desk.agency}
    rows = {str(row[at]): row for row in answer.rows if str(row[at]) in own}
    seed = seed_of(desk.agency, period.stamp, last)
    chosen = drawn(rows, seed)
    columns = ("message", "time", "reason", "to", "purpose", "categories", "basis")
    places = [answer.columns.index(name) for name in columns]
    table = Table(
        "The sample", tuple(name.capitalize() for name in columns),
        tuple(tuple(rows[mid][place] for place in places) for mid in chosen),
    )  # fmt: skip
    words = (
        (
            f"{len(chosen)} of {len(rows)} shares of this agency without the person's agreement: five "
            "per cent, and at least "
            "five. Hold each against what was really sent, at this agency: was it needed, was it "
            "only what was needed, and "
            "is the reason true?"
        ),
        (
            f"Nobody chose them. Seed: {seed}. It follows from the agency, the month and the last message "
            "accepted in it."
        ),
    )
    return Section("Sample of shares without agreement", words, tables=(table,))


def _flows(desk: Desk, period: Period) -> Section:
    tally: Counter[tuple[str, str]] = Counter()
    for row in desk.accepted(period.given):
        for place in row.to:
            pair = f"{desk.name(row.sender.agency)} → {desk.name(place.agency)}"
            tally.update((pair, category) for category in row.cat)
    pairs, kinds = sorted({pair for pair, _ in tally}), sorted({kind for _, kind in tally})
    grid = Chart(
        "grid", "Messages by kind of information, sender and recipient", "From and to", tuple(pairs), tuple(kinds),
        tuple(tuple(tally[pair, kind] for kind in kinds) for pair in pairs),
    )  # fmt: skip
    return Section("What flows between whom", charts=(grid,))
