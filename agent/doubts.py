"""What was taken under a key that, as is known by now, was in other hands then (PROTOCOL.md V11).

Rules of this house:
- nothing is taken back: the message may be true, and a person finds out by ringing whom they know;
- it is worked out from the directory when it is shown, so it goes when the word that made it is undone (K20);
- it is counted until somebody says that these messages were looked at, and marked for good;
- she says so of what she was shown, by a name that holds for no more than that: what came since is counted;
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
NAMED = 12
"""How many characters of a key's id a name has."""


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


@dataclass(frozen=True, slots=True)
class Doubtful:
    """All that is in doubt under one key: messages that people here were shown, and steps of sent ones."""

    key: Suspect
    count: int
    taken: Sequence[Row[Any]]

    @property
    def total(self) -> int:
        return self.count + len(self.taken)

    @property
    def name(self) -> str:
        """What a person types when she has looked these over; it is another one as soon as there are more."""
        return f"{self.key.kid[:NAMED]}.{self.total}"


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

    def standing(self, c: Connection) -> list[Doubtful]:
        """What is in doubt, by key, and nobody has looked over yet, all of it."""
        looked, found = _looked_over(c), list[Doubtful]()
        for one in self._suspects():
            doubtful = Doubtful(one, _count(c, one), c.execute(_taken(one)).all())
            if doubtful.total > looked.get(one.mark, 0):
                found.append(doubtful)
        return found

    def looked_over(self, c: Connection, names: Iterable[str]) -> int:
        """Somebody has looked over what stands under these names, and no more; returns how many messages.

        Raises:
            Refusal: NOT_FOUND when nothing stands under one of them, or more by now; nothing is marked then.
        """
        wanted, standing = set(names), self.standing(c)
        if not wanted <= {one.name for one in standing}:
            raise Refusal(
                "NOT_FOUND",
                "No messages in doubt wait under that name, or more came since it was shown, so nothing was marked. "
                "Look again: fenpost-agent doctor",
            )
        done = {one.key.mark: one.total for one in standing if one.name in wanted}
        write_kv(c, LOOKED_OVER, json.dumps(_looked_over(c) | done, sort_keys=True))
        return sum(done.values())

    def untold(self, c: Connection) -> dict[Suspect, list[str]]:
        """By key, the messages in doubt that lie in a case system which has not heard of it."""
        if not self._suspects():
            return {}
        told = set(_told(c))
        return {one: _places(c, one) for one in self._suspects() if one.mark not in told}

    def told(self, c: Connection, one: Suspect) -> None:
        """The case system has heard of all that this key signed."""
        write_kv(c, TOLD, json.dumps(sorted({*_told(c), one.mark})))

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


def _looked_over(c: Connection) -> dict[str, int]:
    """By mark, how many messages somebody has looked over."""
    return dict(json.loads(read_kv(c, LOOKED_OVER) or "{}"))


def _told(c: Connection) -> list[str]:
    return list(json.loads(read_kv(c, TOLD) or "[]"))


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
