"""What was shared: with whom, about whom, from where, and who has it now (questions 1 to 7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keys_tooling.audit.inert import Value
from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.question import (
    ENDINGS,
    STEPS,
    Answer,
    Desk,
    Given,
    partly,
    when,
    whole,
    within,
    words,
)
from keys_tooling.audit.told import Place
from schemas.audit import Event
from schemas.errors import Refusal

SHARE = "time message from to class colour purpose categories agreement basis told"
GIVEN_STATES = frozenset({"given", "limited", "none", "not_applicable"})
NOT_PULLED = "{count} messages of the extract are not in your mirror: {ids}. Pull, then ask again."


def share(row: Row, desk: Desk) -> tuple[Value, ...]:
    """A message in the columns of SHARE."""
    return (
        when(row.ts), row.mid, desk.place(row.sender), desk.places(row.to), row.cls, row.rag, row.pur, words(row.cat),
        words(filter(None, (row.agree, row.why_no))), words(filter(None, (row.b6, row.b9, *row.s1, *row.gw))), row.told,
    )  # fmt: skip


def shares_about(desk: Desk, given: Given) -> Answer:
    local = given.local
    if local is None or local.subject is None:
        raise Refusal("MISSING", "Name the extract of one case: fenpost-agent extract --case-ref REFERENCE")
    mids = set(local.sent)
    ours = (row for row in desk.rows(Event.ACCEPT) if row.sender.agency == desk.agency)
    found = [row for row in ours if row.mid in mids or row.ref == local.subject]
    return _linked([row for row in found if _in(row, given)], found, mids, desk)


def received_about(desk: Desk, given: Given) -> Answer:
    local = given.local
    if local is None or local.subject is None:
        raise Refusal("MISSING", "Name the extract of one case: fenpost-agent extract --case-ref REFERENCE")
    mids = set(local.received)
    found = [r for r in desk.rows(Event.ACCEPT) if r.mid in mids and desk.agency in {p.agency for p in r.to}]
    return _linked([row for row in found if _in(row, given)], found, mids, desk)


def _linked(shown: list[Row], found: list[Row], mids: set[str], desk: Desk) -> Answer:
    rows = [share(row, desk) for row in shown]
    missing = sorted(mids - {row.mid for row in found})
    if missing:
        return partly(SHARE, rows, NOT_PULLED.format(count=len(missing), ids=words(missing[:5])))
    return whole(SHARE, rows)


def _in(row: Row, given: Given) -> bool:
    return any(True for _ in within([row], given))


def acknowledgements(desk: Desk, given: Given) -> Answer:
    mid = given.text("message")
    if mid is not None and all(row.mid != mid for row in desk.rows(Event.ACCEPT)):
        raise Refusal("NOT_FOUND", "Your entries hold no accepted message of this id. Pull, or check the id.")
    messages = [r for r in within(desk.rows(Event.ACCEPT), given) if mid in (None, r.mid)]
    rows = (
        (row.mid, when(row.ts), row.rag, desk.place(place), *_reached(desk, row, place))
        for row in messages
        for place in row.to
    )
    return whole("message sent colour desk collected opened ended how role", rows)


def _reached(desk: Desk, row: Row, place: Place) -> tuple[Value, ...]:
    steps = desk.steps.get((row.eid, place), {})
    end = next((steps[event] for event in ENDINGS if event in steps), None)
    times = [when(steps[event].ts) if event in steps else "" for event in (Event.COLLECTED, Event.OPENED)]
    if end is None:
        return (*times, "", "open", "")
    return (*times, when(end.ts), words(filter(None, (end.event, end.reason))), end.role)


def sent_to(desk: Desk, given: Given) -> Answer:
    agency = given.text("agency")
    found = (r for r in within(desk.rows(Event.ACCEPT), given) if agency in {place.agency for place in r.to})
    return whole(SHARE, (share(row, desk) for row in found))


def left(desk: Desk, given: Given) -> Answer:
    where, key = given.text("desk"), given.text("key")
    if (where is None) is (key is None):
        raise Refusal("MISSING", "Name one: --desk AGENCY/DESK, or --key with a key's id.")
    rows = sorted(_left(desk, given, where, key), key=lambda row: str(row[0]))
    if not rows:
        _known(desk, where, key)
    return whole(f"time how {SHARE.removeprefix('time ')}", rows)


def _known(desk: Desk, where: str | None, key: str | None) -> None:
    """Nothing found must not come of a slip of the pen. Raises Refusal UNKNOWN_DESK, UNKNOWN_KEY."""
    if where is not None:
        agency, _, name = where.partition("/")
        try:
            desk.view.known_desk(agency, name)
        except Refusal as refusal:
            say = "That agency never had such a desk, and your entries name none. Check it."
            raise Refusal(refusal.code, say) from None
    elif not any(key in agency.keys for agency in desk.view.agencies.values()):
        raise Refusal("UNKNOWN_KEY", "No agency ever published a key with this id. Check it.")


def _left(desk: Desk, given: Given, where: str | None, key: str | None) -> Iterator[tuple[Value, ...]]:
    place = None if where is None else Place(*where.split("/"))
    for row in within(desk.rows(Event.ACCEPT), given):
        if place == row.sender or (key is not None and row.signer == key):
            yield (when(row.ts), "sent", *share(row, desk)[1:])
        if key is not None and key in row.keys:
            yield (when(row.ts), "sealed to it", *share(row, desk)[1:])
    for row in within(desk.rows(*STEPS), given):
        message = desk.messages.get(row.eid)
        took = row.event in (Event.COLLECTED, Event.OPENED, Event.TAKEN_ON)
        if took and message is not None and (place == row.sender or (key is not None and row.signer == key)):
            yield (when(row.ts), row.event, *share(message, desk)[1:])


def holders(desk: Desk, given: Given) -> Answer:
    mid = given.text("message") or ""
    start = [row for row in desk.rows(Event.ACCEPT) if row.mid == mid]
    if not start:
        raise Refusal("NOT_FOUND", "Your entries hold no accepted message of this id. Pull, or check the id.")
    seen: dict[str, Row] = {row.eid: row for row in start}
    grown = True
    while grown:
        mids = {row.mid for row in seen.values()}
        more = {r.eid: r for r in desk.rows(Event.ACCEPT) if r.eid not in seen and mids & set(r.src)}
        seen |= more
        grown = bool(more)
    rows = [line for row in seen.values() for line in _holding(desk, row, row.mid == mid)]
    reason = "Passing on is known where a sender named its source, and where an agency said so after a withdrawal. "
    return partly("agency desk message how state since", rows, reason + "What was told by telephone is not.")


def _holding(desk: Desk, row: Row, first: bool) -> Iterator[tuple[Value, ...]]:
    for place in row.to:
        steps = desk.steps.get((row.eid, place), {})
        took = next((steps[e] for e in (Event.TAKEN_ON, Event.OPENED, Event.COLLECTED) if e in steps), None)
        if took is None or {Event.WITHDRAWN, Event.EXPIRED} & steps.keys() - {Event.TAKEN_ON}:
            state = "did not get it" if took is None else f"{took.event}, then ended"
        else:
            state = f"{took.event}{', then given back' if Event.REJECTED in steps else ''}"
        how = "sent" if first else f"passed on by {desk.name(row.sender.agency)}"
        since = "" if took is None else when(took.ts)
        yield (desk.name(place.agency), place.desk, row.mid, how, state, since)
    for answer in _answers(desk, row):
        yield (desk.name(answer.sender.agency), "", row.mid, "says", answer.did, when(answer.ts))
        for agency in answer.passed:
            says = f"{desk.name(answer.sender.agency)} passed it on"
            yield (desk.name(agency), "", row.mid, says, "unknown", when(answer.ts))
        if answer.outside:
            says = f"{desk.name(answer.sender.agency)} passed it on"
            yield ("somebody outside the partnership", "", row.mid, says, "unknown", when(answer.ts))


def _answers(desk: Desk, row: Row) -> Iterable[Row]:
    return (r for r in desk.rows(Event.RECALLED) if row.gid and r.gid == row.gid)


def without_agreement(desk: Desk, given: Given) -> Answer:
    reason, found = given.text("why"), []
    for row in desk.accepted(given):
        policy = desk.policy_of(row)
        state = policy.states.get(row.agree, "") if policy else row.agree.lower()
        if state not in GIVEN_STATES and reason in (None, row.why_no):
            found.append(row)
    found.sort(key=lambda row: (row.why_no, row.seq))
    lines = ((row.why_no or "none given", row.author, *share(row, desk)) for row in found)
    return whole(f"reason author {SHARE}", lines)
