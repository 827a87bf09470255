"""What was taken under a key that, as is known by now, was in other hands then (PROTOCOL.md V11).

Rules of this house:
- nothing is taken back: the message may be true, and a person finds out by ringing whom they know;
- it is worked out from the directory when it is shown, so it goes when the word that made it is undone (K20);
- it is counted until somebody says that these messages were looked at, and marked for good;
- what such a key says was taken on counts as not taken on: its sender's people ring that desk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, select

from agent.store import read_kv, write_kv
from agent.tables import inbox, ladder, outbox, sealings
from schemas.directory import Directory
from schemas.envelope import MAX_LIFE
from schemas.errors import Refusal
from schemas.keys import Use

SAYS = (
    "The key that signed this was in other hands by then. Ring the sender before you act on it, by a number you "
    "already have."
)
TAKEN = (
    "The key that says so was in other hands by then. Ring that desk, by a number you already have, and ask whether "
    "anybody has taken it on."
)
LOOKED_OVER, TOLD = "looked_over", "told_doubts"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A message key that was in other hands from `since`, and ended anyhow at `exp`; Unix seconds."""

    agency: str
    kid: str
    since: int
    exp: int

    @property
    def mark(self) -> str:
        return f"{self.kid} {self.since}"


class Doubts:
    """Asks the newest view, whatever its age: an old one knows of fewer."""

    def __init__(self, view: Callable[[], Directory]) -> None:
        self._view = view
        self._known: tuple[int, tuple[Suspect, ...]] = (-1, ())

    def of(self, agency: str, signer: str, ts: int) -> str | None:
        """What to tell whoever reads a message that this key signed at `ts`; None when there is no doubt."""
        known = self._view().agencies.get(agency)
        since = None if known is None else known.in_other_hands(signer)
        return None if since is None or ts < since else SAYS

    def of_step(self, agency: str, evidence: str | None, heard: int) -> str | None:
        """What to tell whoever reads that a desk has taken something on, by this signed step that came then."""
        signed = evidence or ""
        ours = (one for one in self._suspects() if one.agency == agency and one.kid in signed)
        return TAKEN if any(heard >= one.since for one in ours) else None

    def counted(self, c: Connection) -> list[tuple[Suspect, int]]:
        """How many messages that people here were shown are in doubt, by key, and nobody has looked over yet."""
        looked = set(_marks(c, LOOKED_OVER))
        found = ((one, _count(c, one)) for one in self._suspects() if one.mark not in looked)
        return [(one, count) for one, count in found if count]

    def taken(self, c: Connection) -> list[tuple[Suspect, Sequence[Row[Any]]]]:
        """What was sent and such a key says is taken on, by key, as long as nobody has looked it over."""
        looked = set(_marks(c, LOOKED_OVER))
        found = ((one, c.execute(_taken(one)).all()) for one in self._suspects() if one.mark not in looked)
        return [(one, rows) for one, rows in found if rows]

    def looked_over(self, c: Connection) -> int:
        """Somebody has looked over all that is in doubt now; returns how many messages. Raises Refusal NOT_FOUND."""
        counted, taken = self.counted(c), self.taken(c)
        if not counted and not taken:
            raise Refusal(
                "NOT_FOUND", "No message in doubt waits to be looked over. Look at: fenpost-agent doctor"
            )
        _mark(c, LOOKED_OVER, [one for one, _ in (*counted, *taken)])
        return sum(count for _, count in counted) + sum(len(rows) for _, rows in taken)

    def untold(self, c: Connection) -> dict[Suspect, list[str]]:
        """By key, the messages in doubt that lie in a case system which has not heard of it."""
        if not self._suspects():
            return {}
        told = set(_marks(c, TOLD))
        return {one: _places(c, one) for one in self._suspects() if one.mark not in told}

    def told(self, c: Connection, one: Suspect) -> None:
        """The case system has heard of all that this key signed."""
        _mark(c, TOLD, (one,))

    def _suspects(self) -> tuple[Suspect, ...]:
        view = self._view()
        if self._known[0] != view.size:
            self._known = (view.size, tuple(_suspects(view)))
        return self._known[1]


def _suspects(view: Directory) -> list[Suspect]:
    return [
        Suspect(agency.id, kid, since, agency.keys[kid].exp)
        for agency in view.agencies.values()
        for kid in agency.ends
        if agency.keys[kid].use is Use.MSG and (since := agency.in_other_hands(kid)) is not None
    ]


def _marks(c: Connection, name: str) -> list[str]:
    return list(json.loads(read_kv(c, name) or "[]"))


def _mark(c: Connection, name: str, more: Iterable[Suspect]) -> None:
    write_kv(c, name, json.dumps(sorted({*_marks(c, name), *(one.mark for one in more)})))


def _signed(one: Suspect) -> ColumnElement[bool]:
    """What people here were shown, of all that this key signed when it was in other hands."""
    theirs = (inbox.c.from_a == one.agency) & (inbox.c.ts >= one.since) & (inbox.c.ts < one.exp)
    signed = func.instr(inbox.c.header, f'"signer":"{one.kid}"') > 0
    return and_(theirs, signed, inbox.c.handed.is_not(None))


def _taken(one: Suspect) -> Select[Any]:
    """What a desk of theirs took on by a step that this key signed, and that came since then: it may be dated back."""
    since = func.coalesce(ladder.c.heard, ladder.c.ts) >= one.since
    return (
        select(sealings.c.mid, sealings.c.ts.label("sent"), outbox.c.rag, ladder.c.a, ladder.c.d, ladder.c.ts)
        .join(sealings, sealings.c.eid == ladder.c.eid)
        .join(outbox, outbox.c.id == sealings.c.id)
        .where(ladder.c.a == one.agency, ladder.c.state == "taken-on", since)
        .where(sealings.c.ts >= one.since - MAX_LIFE, func.instr(ladder.c.evidence, one.kid) > 0)
        .order_by(sealings.c.rank, sealings.c.ts)
    )


def _places(c: Connection, one: Suspect) -> list[str]:
    return list(c.execute(select(inbox.c.id).where(_signed(one))).scalars())


def _count(c: Connection, one: Suspect) -> int:
    return int(c.execute(select(func.count()).select_from(inbox).where(_signed(one))).scalar_one())
