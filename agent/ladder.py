"""How far each desk has come with a message, and when its words may leave (PROTOCOL.md D1, G4)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from agent.tables import ladder, outbox, sealings

# Built once: making a statement costs more than running it, and these run several times for each message.
STEP = insert(ladder).prefix_with("OR IGNORE")
TURNS = select(sealings.c.eid, sealings.c.state, sealings.c.desks).where(
    sealings.c.id == bindparam("message")
)
ENDINGS = select(ladder.c.a, ladder.c.d).where(
    ladder.c.eid == bindparam("turn"), ladder.c.state.in_(("taken-on", "rejected", "withdrawn", "expired"))
)


def step(
    c: Connection,
    eid: str,
    agency: str,
    desk: str,
    state: str,
    ts: int,
    *,
    role: str | None = None,
    reason: str | None = None,
    evidence: str | None = None,
    heard: int | None = None,
) -> bool:
    """Write one step of a desk's ladder; False when it stood there already."""
    where = {"eid": eid, "a": agency, "d": desk, "state": state}
    said = {"ts": ts, "role": role, "reason": reason, "evidence": evidence, "heard": heard}
    done = c.execute(STEP, {**where, **said})
    return bool(done.rowcount)


def stop_resting(c: Connection, gids: Sequence[str], now: int) -> int:
    """Stop what waits here and rests on handles that ended or hold less now; returns how many."""
    waiting = (sealings.c.gid.in_(gids), sealings.c.state == "waiting", sealings.c.attempts == 0)
    rows = c.execute(select(sealings).where(*waiting)).all()
    for row in rows:
        stopped = {"state": "stopped", "code": "WITHDRAWN", "upload": None}
        c.execute(update(sealings).where(sealings.c.eid == row.eid).values(**stopped))
        for agency, desk in json.loads(row.desks):
            step(c, row.eid, agency, desk, "withdrawn", now)
        forget_ended(c, row.id)
    return len(rows)


def forget_ended(c: Connection, message: str) -> None:
    """Wipe the words of a message when no desk can still need them: nothing waits, and every desk has ended."""
    for row in c.execute(TURNS, {"message": message}).all():
        if row.state in ("waiting", "held", "lost"):
            return
        if row.state != "accepted":
            continue
        ended = {(step.a, step.d) for step in c.execute(ENDINGS, {"turn": row.eid})}
        if {(a, d) for a, d in json.loads(row.desks)} - ended:
            return
    c.execute(update(outbox).where(outbox.c.id == message).values(draft=None))
