"""Messages that went before their lead had signed: everybody is told, and somebody must sign (PROTOCOL.md O14-O17).

Rules of this house:
- life first: nothing here stops a message, however often the signature was missing;
- who must know is told in the transaction that let it go: the leads, the officers' log, the recipients, oversight;
- the signature is asked for until it is there; once it was missing, oversight is rung at each further emergency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Row, bindparam, delete, insert, select, update

from broker.sweeping import Unasked
from broker.tables import dues, missed
from broker.turn import Turn
from schemas.audit import Event, event_tag
from schemas.canonical import b64
from schemas.decision import Decision
from schemas.envelope import Header, parse_header
from schemas.policy import Policy
from schemas.signing import Signed

LEAD_DUE = 24 * 3600
AGAIN = 24 * 3600
MOST = 7
"""How often a missing signature is told."""
EMERGENCY = 16
"""The row of break-glass."""
CLAIMED = "CLAIMED"
"""A RED on nothing but an agreement that nothing shows. Of others that ask for a signature afterwards only the
sender's agency is told."""
SELECT_DUE = select(dues).where(dues.c.agency == bindparam("whose"), dues.c.mid == bindparam("named"))
SELECT_OVERDUE = (
    select(dues.c.eid)
    .where(dues.c.next <= bindparam("now"), dues.c.told < MOST)
    .order_by(dues.c.next)
    .limit(bindparam("most"))
)
SELECT_MISSED = select(missed.c.since).where(missed.c.agency == bindparam("whose"))
UPDATE_TOLD = (
    update(dues).where(dues.c.eid == bindparam("named")).values(told=dues.c.told + 1, next=bindparam("at"))
)


@dataclass(frozen=True, slots=True)
class Due:
    """A message whose lead has still to sign."""

    eid: bytes
    header: Header


def awaits_lead(decision: Decision, *, signed: bool) -> bool:
    """Whether the rule let it go on the understanding that a lead signs afterwards."""
    return decision.lead == "after" and not signed


def watch(eid: bytes, header_bytes: bytes, header: Header, decision: Decision, turn: Turn) -> None:
    """Note that a message went without its lead, and tell everybody who must know."""
    by = turn.now + due_in(turn.policy)
    row = {
        "eid": eid, "agency": header.sender.a, "mid": header.mid, "header": header_bytes, "next": by, "told": 0,
    }  # fmt: skip
    turn.db.execute(insert(dues), row)
    recipients = {r.a for r in header.to}
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
    if EMERGENCY in decision.rows or CLAIMED in decision.codes:
        told |= {*recipients, turn.view.oversight}
        if turn.db.execute(SELECT_MISSED, {"whose": header.sender.a}).first() is not None:
            _tell({turn.view.oversight}, "ring", eid, header, turn)
    _tell(told, "break-glass", eid, header, turn)


def due(agency: str, mid: str | None, turn: Turn) -> Due | None:
    """The agency's message with this id, if its lead has still to sign."""
    if mid is None:
        return None
    row = turn.db.execute(SELECT_DUE, {"whose": agency, "named": mid}).first()
    return None if row is None else Due(row.eid, parse_header(row.header))


def settle(found: Due, signed: Signed, turn: Turn) -> None:
    """The lead has signed: nothing more is asked, and who was told hears of it."""
    turn.db.execute(delete(dues).where(dues.c.eid == found.eid))
    told = {found.header.sender.a, turn.view.oversight}
    _tell(told, "lead-signed", found.eid, found.header, turn, signed)


@dataclass
class Overdue(Unasked):
    """Messages whose lead has not signed in time."""

    found: Sequence[bytes]
    logs = True
    order = 4

    def decide(self, turn: Turn) -> int:
        rows = [turn.db.execute(select(dues).where(dues.c.eid == eid)).first() for eid in self.found]
        for row in rows:
            if row is not None and row.next <= turn.now:
                _missing(row, turn)
        return len(rows)


def _missing(row: Row[tuple[object, ...]], turn: Turn) -> None:
    header = parse_header(row.header)
    recipients = {r.a for r in header.to}
    facts = {
        "a": header.sender.a,
        "alert": True,
        "d": header.sender.d,
        "count": row.told + 1,
        "mid": header.mid,
    }
    turn.log(Event.LEAD_MISSING, turn.draw(32), {header.sender.a, *recipients}, facts)
    if turn.db.execute(SELECT_MISSED, {"whose": header.sender.a}).first() is None:
        turn.db.execute(insert(missed), {"agency": header.sender.a, "since": turn.now})
    turn.db.execute(UPDATE_TOLD, {"named": row.eid, "at": turn.now + AGAIN})
    _tell({header.sender.a, *recipients, turn.view.oversight}, "lead-missing", row.eid, header, turn)


def due_in(policy: Policy | None) -> int:
    return LEAD_DUE if policy is None else policy.thresholds.lead_due_s


def _tell(
    agencies: set[str], kind: str, eid: bytes, header: Header, turn: Turn, evidence: Signed | None = None
) -> None:
    about = {
        "eid": b64(eid), "mid": header.mid, "gid": header.gid, "a": header.sender.a, "d": header.sender.d,
    }  # fmt: skip
    for agency in sorted(agencies):
        turn.notify(agency, kind, about, evidence)
