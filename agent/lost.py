"""What an accepted loss took with it, as this agency's own proofs tell: sent again, or named (PROTOCOL.md L27).

Rules of this house:
- the log's index in our own proof says what is gone; nobody's word is needed for that;
- a message goes again, under a new id, to every desk that is not known to have it, and to no other;
- what is cheap to say twice is said twice: the relay knows a repeat.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from agent.clock import Clock
from agent.ladder import forget_ended
from agent.outbox import Outbox
from agent.store import Store, note
from agent.tables import ladder, overrides, posts, receipts, sealings
from schemas.checkpoint import LogProof
from schemas.errors import Refusal
from schemas.loss import Accepted

HAVE = ("collected", "opened", "taken-on", "rejected", "withdrawn", "expired")
"""Steps after which a desk has the message, or will never need it."""
GOING = ("waiting", "held", "accepted", "lost")
"""States of a sealing that is on its way to its desks, or there."""


@dataclass(frozen=True, slots=True)
class Gone:
    """How much of ours was lost, or may have been and is said again."""

    messages: tuple[str, ...] = ()
    receipts: int = 0
    statements: int = 0
    held: int = 0


def mark_lost(c: Connection, loss: Accepted, now: int) -> Gone:
    """Find what of ours the relay has lost, and put it where it is sent again."""
    accepted = select(sealings.c.eid, sealings.c.id, sealings.c.turn, sealings.c.desks, sealings.c.proof)
    accepted = accepted.where(sealings.c.state == "accepted", sealings.c.proof.is_not(None))
    gone = [row for row in _behind(c, accepted, loss) if _wanting(c, row)]
    for row in gone:
        c.execute(update(sealings).where(sealings.c.eid == row.eid).values(state="lost", code="LOST"))
        note(c, now, "lost", "LOST", row.eid)
    proven = select(receipts.c.n, receipts.c.proof).where(receipts.c.proof.is_not(None))
    signed = [{"of": row.n} for row in _behind(c, proven, loss)]
    if signed:
        c.execute(update(receipts).where(receipts.c.n == bindparam("of")).values(posted=0), signed)
    # Statements keep no proof: all that may still count are posted again.
    said = c.execute(
        update(posts).where(posts.c.posted == 1, posts.c.code.is_(None)).values(posted=0)
    ).rowcount
    again = {"state": "authorised", "posted": 0}
    known = (overrides.c.state == "recorded", overrides.c.exp > now)
    said += c.execute(update(overrides).where(*known).values(**again)).rowcount
    held = update(sealings).where(sealings.c.state == "held").values(state="waiting", attempts=0, next_at=0)
    return Gone(tuple(row.id for row in gone), len(signed), said, c.execute(held).rowcount)


async def send_again(store: Store, outbox: Outbox, clock: Clock) -> int:
    """Seal anew what was lost; how many messages that were. What cannot be sealed now stays for the next time."""
    waiting = select(sealings).where(sealings.c.state == "lost").order_by(sealings.c.rank, sealings.c.ts)
    count = 0
    for row in await store.run(lambda c: c.execute(waiting).all()):
        desks = await store.run(lambda c, r=row: _wanting(c, r))  # type: ignore[misc]
        try:
            if row.exp <= clock():
                raise Refusal("EXPIRED")
            if len(desks) == len(json.loads(row.desks)):
                sent = await outbox.seal_again(row, None)
            else:
                sent = bool(desks) and all([await outbox.seal_again(row, desk) for desk in desks])
            state, code = ("replaced" if len(desks) == len(json.loads(row.desks)) else "accepted"), None
            count += sent
        except Refusal as refusal:
            if refusal.retry:
                continue
            state, code = ("expired" if refusal.code == "EXPIRED" else "refused"), refusal.code
        await store.run(lambda c, r=row, s=state, k=code: _settled(c, r, s, k, int(clock())))  # type: ignore[misc]
    return count


def _settled(c: Connection, row: Row[Any], state: str, code: str | None, now: int) -> None:
    said = None if code is None else Refusal(code).say
    c.execute(update(sealings).where(sealings.c.eid == row.eid).values(state=state, code=code, say=said))
    if code is not None:
        note(c, now, "lost-for-good", code, row.eid)
        forget_ended(c, row.id)


def _behind(c: Connection, asked: Select[Any], loss: Accepted) -> list[Row[Any]]:
    """Rows whose proof stands behind the head that the relay went back to; the others are not kept in memory."""
    return [row for row in c.execute(asked) if LogProof.parse(row.proof.encode()).index >= loss.now.size]


def _wanting(c: Connection, row: Row[Any]) -> list[tuple[str, str]]:
    """The desks of a sealing that are not known to have it, and to which no later one goes: a kill may have cut in."""
    steps = c.execute(select(ladder.c.a, ladder.c.d).where(ladder.c.eid == row.eid, ladder.c.state.in_(HAVE)))
    have = {(step.a, step.d) for step in steps}
    later = (sealings.c.id == row.id) & (sealings.c.turn > row.turn) & sealings.c.state.in_(GOING)
    for desks in c.execute(select(sealings.c.desks).where(later)).scalars():
        have |= {(agency, desk) for agency, desk in json.loads(desks)}
    return [(agency, desk) for agency, desk in json.loads(row.desks) if (agency, desk) not in have]
