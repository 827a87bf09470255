"""Messages of which the relay says that they are over for us, and shows nothing for it (PROTOCOL.md D8).

Rules of this house:
- nothing is dropped on the relay's bare word: the bytes stay until a verified withdrawal, a later version of the
  agreement that leaves the message out, or the message's own time says that it is over;
- until then it is not handed over either, whatever its colour: its sender may have been told "stopped" by right;
- people hear of it, and can ring whoever sent it; a relay that hands it out again is asked again.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select, update

from agent.endings import ended
from agent.logs import log
from agent.store import note
from agent.tables import inbox, receipts
from schemas.envelope import parse_header

GONE = frozenset({"ENDED", "WITHDRAWN", "NOT_FOUND", "CONFLICT"})
"""What the relay says of a step when the message is over for this desk, or unknown to it."""
SAYS = "the relay says that this is over and shows no proof, so it is kept back: ring who sent it"
UNSEEN = ("collected", "opened")
KEPT = (inbox.c.denied.is_not(None), inbox.c.handed.is_(None), inbox.c.state.in_(UNSEEN))


def deny(c: Connection, eid: str, desk: str, code: str, now: int) -> None:
    """Keep back what nobody here has seen, whose first step the relay refuses to record."""
    unseen = inbox.c.handed.is_(None) & (inbox.c.recorded == 0) & inbox.c.state.in_(UNSEEN)
    here = (inbox.c.eid == eid) & (inbox.c.d == desk) & inbox.c.denied.is_(None) & unseen
    if not c.execute(update(inbox).where(here).values(denied=now)).rowcount:
        return
    if not _settled(c, c.execute(select(inbox).where(inbox.c.eid == eid, inbox.c.d == desk)).one(), now):
        note(c, now, "over-unproven", code, eid)
        log.error("over-unproven", code=code, party="relay")


def settle(c: Connection, now: int) -> None:
    """Drop what by now is shown to be over: its agreement ended or leaves it out, or its own time has passed."""
    for row in denied(c):
        _settled(c, row, now)


def _settled(c: Connection, row: Row[Any], now: int) -> bool:
    ending = ended(c, parse_header(row.header.encode()))
    over = "expired" if row.exp < now else "withdrawn" if ending else ""
    if over:
        words = {"state": over, "message": None, "delivery": None}
        c.execute(update(inbox).where(inbox.c.id == row.id).values(**words))
    return bool(over)


def denied(c: Connection) -> list[Row[Any]]:
    """What is kept back, the oldest first."""
    return list(c.execute(select(inbox).where(*KEPT).order_by(inbox.c.denied)).all())


def handed_out_again(c: Connection, eid: str, desk: str) -> None:
    """The relay delivers what it says is over: have our steps posted once more."""
    if _is_kept(c, eid, desk):
        ours = (receipts.c.eid == eid) & (receipts.c.d == desk) & receipts.c.code.in_(GONE)
        c.execute(update(receipts).where(ours).values(posted=0, code=None))


def _is_kept(c: Connection, eid: str, desk: str) -> bool:
    here = select(inbox.c.id).where(inbox.c.eid == eid, inbox.c.d == desk, *KEPT)
    return c.execute(here).first() is not None
