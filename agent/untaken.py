"""What was sent and nobody has taken on in time: somebody must ring that desk (PROTOCOL.md D1, Q11)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from sqlalchemy import Connection, bindparam, distinct, func, select

from agent.accounts import APART_KINDS
from agent.tables import ladder, outbox, sealings
from agent.words import furthest
from schemas.envelope import MAX_LIFE
from schemas.lawful import Rag
from schemas.periods import HOUR, deadlines
from schemas.policy import Policy

UNTAKEN = frozenset({"waiting", "queued", "collected", "opened", "expired"})
"""Steps at which nobody has said that they take it on, or that they do not. What waits for a lead is with her."""
NAMED = 2 * MAX_LIFE
"""Seconds that a message is named after it was sent: through its life, and as long again when it expired."""
MOST = 100
"""Desks that are named at once: whoever has more to ring begins with these, RED first, and first what still lives."""
SOONEST = HOUR
"""No policy gives less time than this (schemas.policy.Period)."""
DONE = ("taken-on", "rejected", "withdrawn", "recalled")
_later = sealings.alias()
LATER = (
    select(func.json_group_array(_later.c.desks))
    .where(
        _later.c.id == sealings.c.id,
        _later.c.turn > sealings.c.turn,
        _later.c.state.in_(("waiting", "held", "accepted", "expired", "lost")),
    )
    .scalar_subquery()
)
"""The desks to which it was sealed again: there, that counts."""
SPOKEN = (
    select(func.count(distinct(ladder.c.a + " " + ladder.c.d)))
    .where(ladder.c.eid == sealings.c.eid, ladder.c.state.in_(DONE))
    .scalar_subquery()
)
SENT = (
    select(
        sealings.c.eid, sealings.c.mid, sealings.c.desks, sealings.c.ts, outbox.c.rag, LATER.label("later")
    )
    .join(outbox, outbox.c.id == sealings.c.id)
    .where(
        sealings.c.ts >= bindparam("since"),
        sealings.c.ts <= bindparam("until"),
        sealings.c.state.in_(("waiting", "accepted", "expired")),
        outbox.c.kind.not_in(APART_KINDS),
        func.json_array_length(sealings.c.desks) > SPOKEN,
    )
    .order_by(sealings.c.rank, sealings.c.exp <= bindparam("now"), sealings.c.ts)
)
STEPS = select(ladder.c.a, ladder.c.d, ladder.c.state, ladder.c.ts).where(ladder.c.eid == bindparam("turn"))


@dataclass(frozen=True, slots=True)
class Untaken:
    """One desk that has not taken on a message by when it should; times are Unix seconds."""

    mid: str
    rag: Rag
    agency: str
    desk: str
    state: str
    since: int
    acknowledge_by: int
    acknowledge_as: str | None = None
    """Where only a key says that it is taken on that was in other hands: the name of this doubt (V11)."""


def untaken(c: Connection, policy_at: Callable[[int], Policy | None], now: int) -> list[Untaken]:
    """The desks that are late, or that let it expire, of all that was sent lately: RED first, at most MOST."""
    found = c.execute(SENT, {"since": now - NAMED, "until": now - SOONEST, "now": now}).all()
    late = (one for row in found for one in _late(c, row, policy_at) if one.acknowledge_by < now)
    return list(islice(late, MOST))


def _late(c: Connection, row: Any, policy_at: Callable[[int], Policy | None]) -> Iterator[Untaken]:
    steps = c.execute(STEPS, {"turn": row.eid}).all()
    again = [to for desks in json.loads(row.later) for to in json.loads(desks)]
    for agency, desk in json.loads(row.desks):
        if [agency, desk] in again:
            continue
        reached = {step.state: step.ts for step in steps if (step.a, step.d) == (agency, desk)}
        state = furthest(reached)
        if state not in UNTAKEN:
            continue
        # What waited for a lead begins to count when the relay let it go on.
        began = max(row.ts, reached.get("queued", row.ts))
        due = deadlines(policy_at(began), cast("Rag", row.rag), began).acknowledge
        yield Untaken(row.mid, row.rag, agency, desk, state, reached.get(state, row.ts), due)
