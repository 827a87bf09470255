"""What was taken under a key that, as is known by now, was in other hands then (PROTOCOL.md V11).

Rules of this house:
- nothing is taken back: the message may be true, and a person finds out by ringing whom they know;
- it is worked out from the directory when it is shown, so it goes when the word that made it is undone (K20);
- it is counted until somebody says that these messages were looked at, and marked for good.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from agent.store import read_kv, write_kv
from agent.tables import inbox
from schemas.directory import Directory
from schemas.keys import Use

SAYS = (
    "The key that signed this was in other hands by then. Ring the sender before you act on it, by a number you "
    "already have."
)
LOOKED_OVER = "looked_over"


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

    def counted(self, c: Connection) -> list[tuple[Suspect, int]]:
        """How many messages that people here were shown are in doubt, by key, and nobody has looked over yet."""
        looked = set(_looked_over(c))
        found = ((one, _count(c, one)) for one in self._suspects() if one.mark not in looked)
        return [(one, count) for one, count in found if count]

    def looked_over(self, c: Connection) -> int:
        """Somebody has looked over all that is counted now; returns how many messages."""
        counted = self.counted(c)
        marks = sorted({*_looked_over(c), *(one.mark for one, _ in counted)})
        write_kv(c, LOOKED_OVER, json.dumps(marks))
        return sum(count for _, count in counted)

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


def _looked_over(c: Connection) -> list[str]:
    return list(json.loads(read_kv(c, LOOKED_OVER) or "[]"))


def _count(c: Connection, one: Suspect) -> int:
    theirs = (inbox.c.from_a == one.agency) & (inbox.c.ts >= one.since) & (inbox.c.ts < one.exp)
    signed = func.instr(inbox.c.header, f'"signer":"{one.kid}"') > 0
    return int(
        c.execute(select(func.count()).where(theirs, signed, inbox.c.handed.is_not(None))).scalar_one()
    )
