"""Messages that went before their lead had signed: everybody is told, and somebody must sign (PROTOCOL.md O14-O17).

Rules of this house:
- life first: nothing here stops a message, however often the signature was missing;
- who must know is told in the transaction that let it go: the leads, the officers' log, the recipients, oversight;
- the signature is asked for until it is there; once it was missing, oversight is rung at each further emergency;
- what nobody fetched before it was taken back or expired was not shared: nobody is asked to sign for it;
- of the message only what her signature is held against is kept, and a day after the last asking not even that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, bindparam, insert, select, update

from broker.sweeping import Unasked
from broker.tables import dues, missed
from broker.turn import Turn
from broker.unsigned import DELETE_DUE, SELECT_ONE, Unsigned, tell
from schemas.audit import Event, event_tag
from schemas.canonical import b64
from schemas.decision import Decision
from schemas.envelope import Header
from schemas.policy import Policy
from schemas.signing import Signed

LEAD_DUE = 24 * 3600
AGAIN = 24 * 3600
MOST = 7
"""How often a missing signature is told."""
LOUD = frozenset({16, 23})
"""The rows that name everybody concerned: break-glass; and what nobody foresaw, where a clear no may have been said."""
CLAIMED = "CLAIMED"
"""A RED on nothing but an agreement that nothing shows is told as widely. Of others that ask for a signature afterwards
only the sender's agency is told."""
SELECT_DUE = select(dues).where(dues.c.agency == bindparam("whose"), dues.c.mid == bindparam("named"))
SELECT_OVERDUE = (
    select(dues.c.eid).where(dues.c.next <= bindparam("now")).order_by(dues.c.next).limit(bindparam("most"))
)
SELECT_MISSED = select(missed.c.since).where(missed.c.agency == bindparam("whose"))
UPDATE_TOLD = (
    update(dues).where(dues.c.eid == bindparam("named")).values(told=dues.c.told + 1, next=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Due:
    """A message whose lead has still to sign."""

    eid: bytes
    claims: Unsigned


def awaits_lead(decision: Decision, *, signed: bool) -> bool:
    """Whether the rule let it go on the understanding that a lead signs afterwards."""
    return decision.lead == "after" and not signed


def watch(eid: bytes, header: Header, decision: Decision, turn: Turn) -> None:
    """Note that a message went without its lead, and tell everybody who must know."""
    by, claims = turn.now + due_in(turn.policy), Unsigned.of(header)
    row = {
        "eid": eid, "agency": header.sender.a, "mid": header.mid, "claims": claims.to_bytes(), "next": by, "told": 0,
    }  # fmt: skip
    turn.db.execute(insert(dues), row)
    recipients = claims.agencies
    place = {"a": header.sender.a, "d": header.sender.d}
    facts = {
        **place,
        "alert": True,
        "due": by,
        "eid": b64(eid),
        "mid": header.mid,
        "rows": list(decision.rows),
    }
    tag = event_tag(eid, Event.BREAK_GLASS, header.sender.a, header.sender.d)
    turn.log(Event.BREAK_GLASS, tag, {header.sender.a, *recipients}, facts)
    told = {header.sender.a}
    if LOUD.intersection(decision.rows) or CLAIMED in decision.codes:
        told |= {*recipients, turn.view.oversight}
        if turn.db.execute(SELECT_MISSED, {"whose": header.sender.a}).first() is not None:
            tell({turn.view.oversight}, "ring", eid, claims, turn)
    tell(told, "break-glass", eid, claims, turn)


def due(agency: str, mid: str | None, turn: Turn) -> Due | None:
    """The agency's message with this id, if its lead has still to sign."""
    if mid is None:
        return None
    row = turn.db.execute(SELECT_DUE, {"whose": agency, "named": mid}).first()
    return None if row is None else Due(row.eid, Unsigned.read(row.claims))


def settle(found: Due, signed: Signed, turn: Turn) -> None:
    """The lead has signed: nothing more is asked, and who was told hears of it."""
    turn.db.execute(DELETE_DUE, {"named": found.eid})
    told = {found.claims.sender.a, turn.view.oversight}
    tell(told, "lead-signed", found.eid, found.claims, turn, signed)


@dataclass
class Overdue(Unasked):
    """Messages whose lead has not signed in time, or not in a day after she was asked for the last time."""

    found: Sequence[bytes]
    logs = True
    order = 4

    def decide(self, turn: Turn) -> int:
        rows = [turn.db.execute(SELECT_ONE, {"named": eid}).first() for eid in self.found]
        for row in rows:
            if row is None or row.next > turn.now:
                continue
            if row.told >= MOST:  # everybody was told often enough; nothing of the message stays for longer
                turn.db.execute(DELETE_DUE, {"named": row.eid})
            else:
                _missing(row, turn)
        return len(rows)


def _missing(row: Row[tuple[object, ...]], turn: Turn) -> None:
    claims = Unsigned.read(row.claims)
    sender, recipients = claims.sender, claims.agencies
    facts = {
        "a": sender.a,
        "alert": True,
        "d": sender.d,
        "count": row.told + 1,
        "mid": claims.mid,
    }
    turn.log(Event.LEAD_MISSING, turn.draw(32), {sender.a, *recipients}, facts)
    if turn.db.execute(SELECT_MISSED, {"whose": sender.a}).first() is None:
        turn.db.execute(insert(missed), {"agency": sender.a, "since": turn.now})
    turn.db.execute(UPDATE_TOLD, {"named": row.eid, "at": turn.now + AGAIN})
    tell({sender.a, *recipients, turn.view.oversight}, "lead-missing", row.eid, claims, turn)


def due_in(policy: Policy | None) -> int:
    return LEAD_DUE if policy is None else policy.thresholds.lead_due_s
