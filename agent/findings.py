"""What the daily lists brought to light: kept until it has settled, and said in sentences (PROTOCOL.md N5-N9)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, insert, select, update

from agent.forms import Json
from agent.store import note
from agent.tables import days, findings, inbox, reports, sealings
from agent.words import sentence
from schemas.messages.reconciliation import Reconcile
from schemas.reconciliation import NOTES, Finding, Kind, day_text

NO_DAY = 0
"""The day of a finding that belongs to none."""
SHOWN = 500
Mark = tuple[str, str, str, str, int]

OURS: Mapping[Kind, str] = {
    "not-seen": "{name} does not have this, though the relay took it. Ring them, and send it again if it is wanted.",
    "not-sent": "{name} has this in our name, and this agent did not send it. Ring them, and tell your IG officer.",
    "not-told": '{name} says "{got}" of this, and the relay has not told us so.',
    "not-kept": "{name} signed for this, and their list says otherwise now. Ring them: it may be lost there.",
    "ends": 'We were told "{sent}" of this, and {name} says "{got}". Ring them.',
    "number": "{name} has another running number for this than we gave it. Tell whoever runs this agent.",
    "gap": "{name} misses number {n} of what we sent, and this agent does not know it. Its store may be an old copy.",
    "open": "{name} has this, and nobody there has taken it on yet.",
    "late": "This reached {name} after something that was sent later.",
}
"""What to say of something that we sent, or should have."""
THEIRS: Mapping[Kind, str] = {
    "not-seen": "{name} sent this, and it never came here. Ring them: they can send it again.",
    "not-sent": "This came in the name of {name}, and they do not list it. Ring them before anybody acts on it.",
    "not-told": 'We said "{got}" of this, and {name} has not heard it from the relay. Ring them if it matters.',
    "not-kept": "{name} holds our receipt for this, and our store says otherwise. The store may be an old copy.",
    "ends": '{name} was told "{sent}" of this, and here it is "{got}". Ring them.',
    "number": "{name} gave this another running number than it came with. Tell whoever runs this agent.",
    "gap": "Number {n} of what {name} sends did not come, and they do not say what became of it. Ring them.",
    "open": "This waits here for somebody to take it on.",
    "late": "This came after something that {name} sent later.",
    "no-answer": "{name} has sent no list for this day. Ring them: their agent may not be running.",
    "report": "What {name} wrote of this day does not hold together. Ring them.",
}
"""The same of something that the other agency sent, or should have, and of its lists."""


# --- kept


def record(c: Connection, agency: str, day: int, found: Iterable[Finding], now: int) -> None:
    """Keep what was found about a day, as it stands; what is found no more has settled."""
    here = (findings.c.a == agency) & (findings.c.day == day)
    known = {_mark(row): row for row in c.execute(select(findings).where(here)).all()}
    wanted: dict[Mark, Finding] = {(f.kind, f.sender, f.eid, f.d, f.n): f for f in found}
    for mark, finding in wanted.items():
        row, states = known.get(mark), {"sent": finding.sent, "got": finding.got}
        if row is None:
            about = dict(zip(("kind", "sender", "eid", "d", "n"), mark, strict=True))
            c.execute(insert(findings).values(a=agency, day=day, **about, **states, since=now))
            if finding.grave:
                note(c, now, f"list-{finding.kind}", "RECONCILE", finding.eid or None)
        elif row.settled is not None or (row.sent, row.got) != (finding.sent, finding.got):
            c.execute(update(findings).where(here, _is(mark)).values(**states, settled=None))
    for mark, row in known.items():
        if mark not in wanted and row.settled is None:
            c.execute(update(findings).where(here, _is(mark)).values(settled=now))


def forget(c: Connection, before: int) -> None:
    """Drop lists and findings of days before `before`."""
    for table in (reports, days, findings):
        c.execute(delete(table).where(table.c.day != NO_DAY, table.c.day < before))
    c.execute(delete(findings).where(findings.c.day == NO_DAY, findings.c.settled.is_not(None)))


def _mark(row: Row[Any]) -> Mark:
    return row.kind, row.sender, row.eid, row.d, row.n


def _is(mark: Mark) -> ColumnElement[bool]:
    f = findings.c
    kind, sender, eid, desk, number = mark
    return and_(f.kind == kind, f.sender == sender, f.eid == eid, f.d == desk, f.n == number)


# --- shown


def counts(c: Connection) -> Json:
    """How much stands open, for the agent's status: counts, and nothing about any message."""
    rows = c.execute(
        select(findings.c.kind, func.count()).where(findings.c.settled.is_(None)).group_by(findings.c.kind)
    )
    by_kind = {row[0]: row[1] for row in rows}
    newest = c.execute(select(func.max(days.c.day))).scalar()
    return {
        "differences": sum(count for kind, count in by_kind.items() if kind not in NOTES),
        "unanswered": by_kind.get("no-answer", 0),
        "open": by_kind.get("open", 0),
        "last_day": None if newest is None else day_text(newest),
    }


def show(c: Connection, own: str, name: Callable[[str], str], *, every: bool) -> Json:
    """The findings that have not settled (or all that are kept), and the lists of each pair and day."""
    asked = select(findings)
    if not every:
        asked = asked.where(findings.c.settled.is_(None))
    rows = c.execute(
        asked.order_by(findings.c.since.desc(), findings.c.kind, findings.c.eid).limit(SHOWN)
    ).all()
    said = c.execute(select(days).order_by(days.c.day.desc(), days.c.a).limit(SHOWN)).all()
    items = [_finding(c, row, own, name(row.a)) for row in rows]
    return {
        **counts(c),
        "findings": sorted(items, key=lambda item: not item["difference"]),
        "days": [_day(c, row, name(row.a)) for row in said],
    }


def _finding(c: Connection, row: Row[Any], own: str, name: str) -> Json:
    ours = row.sender == own
    words = (OURS if ours else THEIRS)[row.kind]
    return {
        "kind": row.kind,
        "difference": row.kind not in NOTES,
        "agency": row.a,
        "name": name,
        "day": None if row.day == NO_DAY else day_text(row.day),
        "sent_by_us": ours,
        "id": _own_reference(c, row, ours=ours),
        "eid": row.eid or None,
        "desk": row.d or None,
        "number": row.n or None,
        "since": row.since,
        "settled": row.settled,
        "says": words.format(name=name, n=row.n, sent=sentence(row.sent), got=sentence(row.got)),
    }


def _own_reference(c: Connection, row: Row[Any], *, ours: bool) -> str | None:
    """The id under which this agency knows the message, when it does."""
    if ours:
        return c.execute(select(sealings.c.id).where(sealings.c.eid == row.eid)).scalar()
    return c.execute(select(inbox.c.id).where(inbox.c.eid == row.eid, inbox.c.d == row.d)).scalar()


def _day(c: Connection, row: Row[Any], name: str) -> Json:
    parts = c.execute(
        select(reports.c.text).where(reports.c.a == row.a, reports.c.day == row.day).order_by(reports.c.part)
    )
    first = next(iter(parts.scalars()), None)
    theirs = None if first is None else Reconcile.model_validate_json(first)
    counted = {"sent", "collected", "taken_on"}
    return {
        "agency": row.a,
        "name": name,
        "day": day_text(row.day),
        "written": row.made,
        "ours": json.loads(row.tallies),
        "answered": None if theirs is None else theirs.made,
        "theirs": None
        if theirs is None
        else {"sent": theirs.sent.model_dump(include=counted), "got": theirs.got.model_dump(include=counted)},
    }
