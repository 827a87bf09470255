"""What people were told, asked again and answered (questions 14, 15, 27 and 29)."""

from __future__ import annotations

from collections import Counter

from keys_tooling.audit.inert import Value
from keys_tooling.audit.queries.question import (
    DAY,
    HOUR,
    Answer,
    Desk,
    Given,
    inside,
    partly,
    when,
    whole,
    within,
)
from keys_tooling.audit.queries.shares import SHARE, share
from schemas.audit import Event


def recalls_unanswered(desk: Desk, given: Given) -> Answer:
    hours = given.number("hours", 24)
    answered = {(row.gid, row.sender.agency) for row in desk.rows(Event.RECALLED)}
    parties: dict[str, frozenset[str]] = {}
    for row in desk.rows(Event.GRANT):
        parties[row.gid] = parties.get(row.gid, frozenset()) | row.agencies
    rows: list[tuple[Value, ...]] = []
    unknown = 0
    for row in within(desk.rows(Event.WITHDRAW), given):
        if row.gid not in parties:
            unknown += 1
        for agency in sorted(parties.get(row.gid, frozenset()) - {row.sender.agency}):
            if (row.gid, agency) not in answered and desk.now - row.ts >= hours * HOUR:
                waits = (desk.now - row.ts) // HOUR
                rows.append((row.gid, when(row.ts), desk.name(row.sender.agency), desk.name(agency), waits))
    columns = "agreement withdrawn by unanswered hours"
    if unknown:
        reason = (
            f"For {unknown} withdrawals the agreement itself is not in your mirror. Pull, then ask again."
        )
        return partly(columns, rows, reason)
    return whole(columns, rows)


def unsafe_to_tell(desk: Desk, given: Given) -> Answer:
    days, local = given.number("days", 90), given.local
    looked = {one.mid: one for one in sorted(local.looked, key=lambda one: one.ts)} if local else {}
    rows: list[tuple[Value, ...]] = []
    for row in desk.accepted(given):
        last = looked.get(row.mid)
        if row.told != "UNSAFE" or (last is not None and last.safe):
            continue
        since = max(row.written or row.ts, 0 if last is None else last.ts)
        if desk.now - since > days * DAY:
            age = (desk.now - since) // DAY
            rows.append((age, when(row.told_by), "" if last is None else when(last.ts), *share(row, desk)))
    columns = f"days_since look_again_by looked_last {SHARE}"
    if local is None:
        reason = "Whether somebody looked again since then, the agency's own store knows: give --local."
        return partly(columns, rows, reason)
    return whole(columns, rows)


def corrections(desk: Desk, given: Given) -> Answer:
    tally: Counter[tuple[str, str, str]] = Counter()
    for row in within(desk.rows(Event.REJECTED), given):
        tally["given back", row.reason, desk.name(row.to[0].agency) if row.to else ""] += 1
    corrected = [row for row in within(desk.rows(Event.ACCEPT), given) if row.cls == "CORRECT"]
    for row in corrected:
        tally["correction sent", "stands in the message", desk.name(row.sender.agency)] += 1
    rows: list[tuple[Value, ...]] = [(*key, count) for key, count in sorted(tally.items())]
    columns = "what cause sender count"
    if corrected:
        return partly(columns, rows, "Why a correction was sent, it says itself, to its recipients only.")
    return whole(columns, rows)


def told_the_person(desk: Desk, given: Given) -> Answer:
    local = given.local
    mids = None if local is None or local.subject is None else {*local.sent, *local.received}
    found = [row for row in desk.accepted(given) if mids is None or row.mid in mids]
    rows: list[tuple[Value, ...]] = [
        (
            when(row.ts),
            "message",
            row.told,
            when(row.told_by),
            row.mid,
            desk.name(row.sender.agency),
            desk.places(row.to),
        )
        for row in found
    ]
    if local is not None:
        rows += [
            (when(one.ts), "statement made", f"{one.shown} messages", "", "", one.role, "")
            for one in local.tellings
            if inside(one.ts, given)
        ]
    columns = "time what told by_or_again message who to"
    if local is None or local.subject is None:
        reason = (
            "When a sharing statement was given, the agency's own store knows: give --local for the case."
        )
        return partly(columns, sorted(rows, key=_first), reason)
    reason = "That she was told is what the sender says. What was said to her by word of mouth stands in case notes."
    return partly(columns, sorted(rows, key=_first), reason)


def _first(row: tuple[Value, ...]) -> str:
    return str(row[0])
