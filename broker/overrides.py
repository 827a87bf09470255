"""Overrides at their turn: recorded for everybody concerned, and held against messages (PROTOCOL.md O4-O9).

Rules of this house:
- an override is verified, and what it is for is decided, before anything of it is recorded;
- oversight hears of each one in the same transaction, and so does the agency that made it;
- the reason stays sealed to the officers of the agency and of oversight; here are only its bytes, in the log.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, insert, or_, select

from broker import breakglass, holding
from broker.enclosed import check_enclosed, enclosed
from broker.tables import overrides
from broker.turn import KEPT, Turn
from schemas.audit import Event
from schemas.canonical import unb64
from schemas.covering import Weighed, check_basis, check_covers, weigh
from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.override import Override, parse_override, terms_of, verify_override
from schemas.record_sealing import record_hash
from schemas.signing import Signed

SELECT_SAME = select(overrides.c.text).where(overrides.c.oid == bindparam("named"))
SELECT_FOR = (
    select(overrides.c.text, overrides.c.sig)
    .where(
        overrides.c.agency == bindparam("whose"),
        or_(overrides.c.core == bindparam("named"), overrides.c.mid == bindparam("of")),
    )
    .order_by(overrides.c.until.desc())
)


@dataclass(frozen=True, slots=True)
class Asked:
    """An override as it was handed in, with its sealed reason."""

    override: Override
    signed: Signed
    record: bytes = field(repr=False)

    @classmethod
    def read(cls, signed: Signed, record: str | None) -> Asked:
        """Raises Refusal RECORD, and as `parse_override`."""
        sealed = enclosed(record, "An override comes with its reason, sealed to officers.")
        return cls(parse_override(signed), signed, sealed)


def record_override(asked: Asked, requester: str, turn: Turn) -> str:
    """Take an override: what it releases is released, what it answers for is settled, and oversight hears of it.

    Raises:
        Refusal: NOT_ALLOWED, ID_CLASH, RECORD, OFFICERS, UNKNOWN_AGENCY, UNKNOWN_DESK, what `verify_override` and
            `check_basis` say, of a message that waits for it what `holding.release` says, and of one that went what
            `check_covers` says.
    """
    override, core = asked.override, asked.override.core
    if core.sender.a != requester:
        raise Refusal("NOT_ALLOWED", "An override is handed in by the agency whose people signed it.")
    known = turn.db.execute(SELECT_SAME, {"named": core.oid}).scalar()
    if known is not None:
        if known == asked.signed.text:
            return "repeat"
        raise Refusal("ID_CLASH")
    view, terms = turn.view, terms_of(turn.policy)
    verify_override(override, view, terms, turn.now)
    check_basis(core.basis, turn.policy)
    releases = holding.waiting(requester, core.mid, turn)
    due = breakglass.due(requester, core.mid, turn)
    named = releases.envelope.header if releases is not None else due.claims if due is not None else None
    # Of a message that waits or went the desks may have been closed since: those it has all the same (K14).
    had = set() if named is None else {(one.a, one.d) for one in (named.sender, *named.to)}
    for place in (core.sender, *core.to):
        if (place.a, place.d) not in had:
            view.desk(place.a, place.d)
    check_enclosed(asked.record, unb64(core.rec, 32), core.oid, core.sender.a, core.ts, view)
    if due is not None:
        check_covers(override, due.claims, view, terms, turn.now, gone=True)
    if releases is not None:
        holding.release(releases, override, turn)
    _record(asked, turn)
    if due is not None:
        breakglass.settle(due, asked.signed, turn)
    return "recorded"


def shown(header: Header, turn: Turn) -> Weighed:
    """What the override is worth that a message rests on: the one its header names, or one for this very message."""
    found = [parse_override(signed) for signed in _found(header, turn)]
    named = [one for one in found if header.ovr in (None, one.hash)]
    weighed = [weigh(header, one, turn.view, terms_of(turn.policy), turn.now) for one in named]
    good = [one for one in weighed if not one.code]
    return (good or weighed or [weigh(header, None, turn.view, terms_of(turn.policy), turn.now)])[0]


def _found(header: Header, turn: Turn) -> list[Signed]:
    bound = {"whose": header.sender.a, "named": header.ovr or "", "of": header.mid}
    return [Signed(row.text, row.sig) for row in turn.db.execute(SELECT_FOR, bound)]


def _record(asked: Asked, turn: Turn) -> None:
    override, core = asked.override, asked.override.core
    row: dict[str, Any] = {
        "oid": core.oid,
        "agency": core.sender.a,
        "core": override.hash,
        "mid": core.mid,
        "text": asked.signed.text,
        "sig": asked.signed.signature,
        "until": core.exp + KEPT,
    }
    turn.db.execute(insert(overrides), row)
    agencies = {core.sender.a, *(one.a for one in core.to)}
    facts = {"statement": asked.signed.to_json()}
    turn.log(Event.OVERRIDE, turn.draw(32), agencies, facts, (asked.record, record_hash(asked.record)))
    about = {"eid": None, "mid": core.mid, "gid": None, "a": core.sender.a, "d": core.sender.d}
    for agency in sorted({core.sender.a, turn.view.oversight}):
        turn.notify(agency, "override", about, asked.signed)
