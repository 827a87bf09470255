"""What this agency's own store says of a pair of agencies, for its daily list (PROTOCOL.md N3-N5). Reads only."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, literal_column, select

from agent.pairs import missing_from
from agent.tables import inbox, ladder, outbox, receipts, sealings
from schemas.messages.catalogue import CLASSES
from schemas.messages.reconciliation import Step
from schemas.reconciliation import Account, Item, Key

APART = "ADMIN"
"""The class of what agents tell each other: it stands in no list."""
APART_KINDS = tuple(kind for kind, cls in CLASSES.items() if cls == APART)
STEPS: tuple[Step, ...] = ("taken-on", "rejected", "withdrawn", "expired", "opened", "collected", "queued")
"""A ladder's steps, the one that counts first."""
HELD = frozenset({"held", "lapsed"})
"""The relay has it and no desk will: for the other agency it has not left."""


@dataclass(slots=True)
class Side:
    """An account being filled."""

    sent: dict[Key, Item] = field(default_factory=dict)
    got: dict[Key, Item] = field(default_factory=dict)
    unsent: set[int] = field(default_factory=set)

    def account(self, made: int, missing: Mapping[int, int]) -> Account:
        numbers = frozenset(self.unsent - {item.n for item in self.sent.values() if item.state != "waiting"})
        return Account(made, self.sent, self.got, numbers, missing)


def accounts(c: Connection, own: str, since: int, now: int) -> dict[str, Account]:
    """By agency, everything since a time that passed between it and us, as our store has it now."""
    sides: dict[str, Side] = defaultdict(Side)
    for agency, item, number in _sent(c, since):
        if item is not None:
            sides[agency].sent[item.key] = item
        if item is None or item.state == "waiting":
            sides[agency].unsent |= {number} - {0}
    for agency, item in _got(c, since):
        sides[agency].got[item.key] = item
    sides.pop(own, None)
    return {agency: side.account(now, missing_from(c, agency)) for agency, side in sides.items()}


def _sent(c: Connection, since: int) -> Iterator[tuple[str, Item | None, int]]:
    """Each desk of each sealing: the item, or None for what has not left; and its running number, 0 for none."""
    steps = _ladders(c, since)
    asked = (
        select(sealings.c.eid, sealings.c.desks, sealings.c.numbers, sealings.c.ts, sealings.c.state)
        .join(outbox, outbox.c.id == sealings.c.id)
        .where(sealings.c.ts >= since, sealings.c.state != "replaced", outbox.c.kind.not_in(APART_KINDS))
        .order_by(sealings.c.ts)
    )
    for row in c.execute(asked):
        desks = json.loads(row.desks)
        numbers = json.loads(row.numbers) or [0] * len(desks)
        for (agency, desk), number in zip(desks, numbers, strict=True):
            yield agency, _sent_item(row, desk, number, steps.get((row.eid, agency, desk), {})), number


def _sent_item(row: Any, desk: str, number: int, reached: Mapping[str, int]) -> Item | None:
    if row.state == "waiting":
        return Item(row.eid, desk, row.ts, number, "waiting", row.ts, row.ts)
    held = not HELD.isdisjoint(reached) and not {"released", *STEPS[:-1]} & set(reached)
    if row.state != "accepted" or held:
        return None
    state: Step = next((step for step in STEPS if step in reached), "queued")
    known = max(reached.get("queued", row.ts), reached.get("released", 0))
    return Item(row.eid, desk, row.ts, number, state, reached.get(state, row.ts), known)


def _ladders(c: Connection, since: int) -> dict[tuple[str, str, str], dict[str, int]]:
    found: dict[tuple[str, str, str], dict[str, int]] = defaultdict(dict)
    asked = select(ladder).join(sealings, sealings.c.eid == ladder.c.eid).where(sealings.c.ts >= since)
    for row in c.execute(asked):
        found[row.eid, row.a, row.d][row.state] = row.ts
    return found


def _got(c: Connection, since: int) -> Iterator[tuple[str, Item]]:
    """What came in, in the order in which it did."""
    signed = {(row.eid, row.d, row.state): json.loads(row.text)["ts"] for row in _receipts(c, since)}
    asked = (
        select(
            inbox.c.eid,
            inbox.c.d,
            inbox.c.from_a,
            inbox.c.ts,
            inbox.c.number,
            inbox.c.state,
            inbox.c.received,
        )
        .where(inbox.c.ts >= since, inbox.c.cls != APART)
        .order_by(inbox.c.received, literal_column("inbox.rowid"))
    )
    for row in c.execute(asked):
        at = signed.get((row.eid, row.d, row.state), row.received)
        state: Step = next((step for step in STEPS if step == row.state), "opened")
        yield row.from_a, Item(row.eid, row.d, row.ts, row.number or 0, state, at, row.received)


def _receipts(c: Connection, since: int) -> Iterable[Row[Any]]:
    here = (inbox.c.eid == receipts.c.eid) & (inbox.c.d == receipts.c.d)
    asked = select(receipts.c.eid, receipts.c.d, receipts.c.state, receipts.c.text).join(inbox, here)
    return c.execute(asked.where(inbox.c.ts >= since))
