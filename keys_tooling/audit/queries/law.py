"""What sharing rested on, and whether the law's and the partnership's terms were kept (10 to 13, 20 to 22, 24)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from statistics import median
from typing import Any, get_args

from pydantic import BaseModel

from keys_tooling.audit.inert import Value
from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.question import (
    DAY,
    ENDINGS,
    HOUR,
    Answer,
    Desk,
    Given,
    partly,
    when,
    whole,
    within,
    words,
)
from keys_tooling.audit.queries.shares import SHARE, share
from schemas.audit import Event
from schemas.categories import Holds
from schemas.messages.catalogue import CLASSES, FORMS
from schemas.policy import Period, Policy
from schemas.worktime import after_working_days, after_working_hours

NO_POLICY = (
    "For {count} messages the policy of their time is not in your mirror, so they were not looked at. Pull."
)


def out_of_dates(desk: Desk, given: Given) -> Answer:
    code, rows, unread = given.text("basis"), [], 0
    for row in desk.accepted(given):
        policy = desk.policy_of(row)
        if policy is None:
            unread += 1
            continue
        for kind, named, why in _undated(row, policy):
            if code in (None, named):
                rows.append((f"{kind} {named}", why, *share(row, desk)))
    return _so_far(f"basis why {SHARE}", rows, unread)


def _undated(row: Row, policy: Policy) -> Iterator[tuple[str, str, str]]:
    for kind, codes, table in (
        ("basis", (row.b6,), policy.bases),
        ("condition", (row.b9,), policy.conditions),
        ("schedule 1", row.s1, policy.paragraphs),
        ("gateway", row.gw, policy.gateways),
    ):
        for code in filter(None, codes):
            standing = table.get(code)
            if standing is None:
                yield kind, code, "not in the policy"
            elif row.ts < standing.since:
                yield kind, code, f"begins {when(standing.since)}"
            elif row.ts >= standing.until:
                yield kind, code, f"ended {when(standing.until)}"


def special_without_condition(desk: Desk, given: Given) -> Answer:
    found = (row for row in desk.accepted(given) if row.spec and not row.b9)
    return whole(SHARE, (share(row, desk) for row in found))


def without_sharing_agreement(desk: Desk, given: Given) -> Answer:
    rows, unread = [], 0
    for row in desk.accepted(given):
        policy = desk.policy_of(row)
        if policy is None:
            unread += 1
        elif not policy.shares(row.sender.agency, [place.agency for place in row.to], row.pur, row.ts):
            rows.append(share(row, desk))
    return _so_far(SHARE, rows, unread)


def _so_far(columns: str, rows: list[tuple[Value, ...]], unread: int) -> Answer:
    return partly(columns, rows, NO_POLICY.format(count=unread)) if unread else whole(columns, rows)


def after_withdrawal(desk: Desk, given: Given) -> Answer:
    ended: dict[str, Row] = {}
    for row in desk.rows(Event.WITHDRAW):
        ended.setdefault(row.gid, row)
    cases = {
        (r.sender.agency, r.ref): ended[r.gid] for r in desk.rows(Event.ACCEPT) if r.ref and r.gid in ended
    }
    rows = []
    for row in desk.accepted(given):
        own, case = ended.get(row.gid), cases.get((row.sender.agency, row.ref))
        found = own if own is not None and row.seq > own.seq else case
        if found is not None and row.seq > found.seq:
            how = "same agreement" if found is own else "same case"
            rows.append((when(found.ts), desk.name(found.sender.agency), how, *share(row, desk)))
    reason = (
        "The same case is known by its sender's reference: what another agency sends about the person is not."
    )
    return partly(f"withdrawn by how {SHARE}", rows, reason)


# --- time


def timeliness(desk: Desk, given: Given) -> Answer:
    colour = given.text("colour") or "RED"
    tally: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
    unread = 0
    for row in within(desk.rows(Event.ACCEPT), given):
        if row.rag != colour:
            continue
        policy = desk.policy_of(row)
        if policy is None:
            unread += 1
            continue
        period: Period = getattr(policy.periods, colour).acknowledge
        for place in row.to:
            steps = desk.steps.get((row.eid, place), {})
            end = next((steps[event] for event in ENDINGS if event in steps), None)
            tally[place.agency].append(_took(row, end, due(row.ts, period), desk.now))
    rows = [_timely(desk.name(agency), found) for agency, found in sorted(tally.items())]
    return _so_far(
        "agency messages in_time late overdue_now waiting ended_unread median_minutes", rows, unread
    )


def _took(row: Row, end: Row | None, by: int, now: int) -> tuple[str, int | None]:
    if end is None:
        return ("overdue_now" if now >= by else "waiting"), None
    if end.event in (Event.TAKEN_ON, Event.REJECTED):
        return ("in_time" if end.ts < by else "late"), end.ts - row.ts
    return "ended_unread", None


def _timely(name: str, found: list[tuple[str, int | None]]) -> tuple[Value, ...]:
    kinds = [kind for kind, _ in found]
    counts = (kinds.count(kind) for kind in ("in_time", "late", "overdue_now", "waiting", "ended_unread"))
    took = [seconds for _, seconds in found if seconds is not None]
    return (name, len(found), *counts, round(median(took) / 60, 1) if took else None)


def due(ts: int, period: Period) -> int:
    """When a period that begins at `ts` is over, on the clock of its unit."""
    if period.unit == "H":
        return ts + period.n * HOUR
    if period.unit == "WH":
        return after_working_hours(ts, period.n * HOUR)
    return after_working_days(ts, period.n * DAY)


# --- how much


def beyond_minimum(desk: Desk, given: Given) -> Answer:
    tally: dict[tuple[str, str, str], int] = defaultdict(int)
    sent: dict[tuple[str, str], int] = defaultdict(int)
    for row in desk.accepted(given):
        least = minimum(row.cls)
        if least is None:
            continue
        sent[row.sender.agency, row.cls] += 1
        for category in row.cat:
            if category not in least:
                tally[row.sender.agency, row.cls, category] += 1
    back = [r for r in within(desk.rows(Event.REJECTED), given) if r.reason == "over-shared"]
    rows: list[tuple[Value, ...]] = [
        (desk.name(agency), cls, category, count, sent[agency, cls], "beyond the form's minimum")
        for (agency, cls, category), count in sorted(tally.items())
    ]
    rows += [
        (
            desk.places(r.to),
            m.cls if (m := desk.messages.get(r.eid)) else "",
            "",
            1,
            None,
            "given back as over-shared",
        )
        for r in back
    ]
    reason = "A category beyond the minimum may well be needed: the entries show kinds, not words. Look at samples."
    return partly("agency class category messages of what", rows, reason)


@cache
def minimum(cls: str) -> frozenset[str] | None:
    """The categories that every form of a class asks for; None for a class without a form here."""
    found = [_required(FORMS[kind, 1]) for kind, of in CLASSES.items() if of == cls and (kind, 1) in FORMS]
    return frozenset.intersection(*found) if found else None


def _required(model: type[BaseModel]) -> frozenset[str]:
    found: set[str] = set()
    for field in model.model_fields.values():
        if not field.is_required():
            continue
        found |= {m.cat for m in field.metadata if isinstance(m, Holds) and m.cat is not None}
        found |= {cat for part in _models(field.annotation) for cat in _required(part)}
    return frozenset(found)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif len(parts := [p for p in get_args(annotation) if p is not type(None)]) == 1:
        yield from _models(parts[0])


def police_requests(desk: Desk, given: Given) -> Answer:
    rows: list[tuple[Value, ...]] = []
    for row in within(desk.rows(Event.ACCEPT, Event.REFUSE), given):
        if row.cls != "INFOREQ" or desk.sector(row.sender.agency) != "police":
            continue
        notice = "given" if "VIR-NOTICE" in row.vir else "not given"
        gate = "let through" if row.event == Event.ACCEPT else f"refused {row.code}"
        asked = words(row.asks)
        rows.append((when(row.ts), row.mid, desk.places(row.to), notice, words(row.vir), asked, gate))
    return whole("time message to notice attestations asked gate", rows)


# --- what was in force


def in_force(desk: Desk, given: Given) -> Answer:
    at = given.time("when")
    at = desk.now if at is None else at
    entry = next(iter(desk.view.policies.between(at, at)), None)
    rows: list[tuple[Value, ...]] = []
    if entry is not None:
        here = "yes" if desk.policy(at) is not None else "no"
        rows.append(
            ("policy", entry.version, when(entry.effective), entry.digest, words(entry.signers), here)
        )
    before = [row for row in desk.rows(Event.ACCEPT, Event.REFUSE) if row.ts <= at]
    rows += [("rule of the relay", row.rule, when(row.ts), "", "", "") for row in before[-1:]]
    reason = "How the relay itself is set up (its limits, its address) is no policy and stands in no log."
    return partly("what version since digest signed_by text_here", rows, reason)
