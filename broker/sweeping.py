"""Work that nobody asked for: expiry, pruning, and the trace that an officer's reading leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from broker.days import note_day
from broker.turn import Quiet, Turn
from broker.unsigned import spare
from schemas.audit import Event
from schemas.receipt import ENDED

NOTICE_KEPT = 30 * 24 * 3600
"""A notice that nobody fetches is dropped after this long; the log has the event for good."""


class Unasked(Quiet):
    """Work without a request."""

    nonce = None
    size = 1


@dataclass
class Nothing(Quiet):
    """A request that only reads: its nonce is spent all the same."""

    nonce: bytes | None
    size = 1

    def decide(self, _turn: Turn) -> None:
        return None


@dataclass
class Expiry(Unasked):
    """Envelopes whose time is over: every desk that has not ended ends now, and the sender hears of it."""

    found: Sequence[bytes]
    logs = True
    order = 4

    def eids(self) -> Iterable[bytes]:
        return self.found

    def decide(self, turn: Turn) -> int:
        ended = 0
        for eid in self.found:
            held = turn.held.get(eid)
            if held is None or held.exp > turn.now:
                continue
            spare(held, turn)
            for desk in held.desks:
                if desk.state in ENDED:
                    continue
                unseen = desk.state in ("queued", "held")
                told = {held.sender} if unseen else {held.sender, desk.agency}
                turn.log_step(held, desk, Event.EXPIRED, {"state": desk.state})
                turn.move(desk, "expired")
                for agency in sorted(told):
                    turn.tell(agency, "expired", held, (desk.agency, desk.desk), None)
                ended += 1
        return ended


@dataclass
class Pruning(Unasked):
    """Forget staples, grants and notices whose time is over; once a day, note the log's size."""

    def decide(self, turn: Turn) -> None:
        turn.rows.prune = turn.now
        note_day(turn.now, turn.db)


@dataclass
class Reading(Quiet):
    """An IG officer reads records; reading is itself an event (PROTOCOL.md L12)."""

    nonce: bytes | None
    agency: str
    kid: str
    first: int
    count: int
    size = 1
    logs = True

    def decide(self, turn: Turn) -> None:
        if self.count:
            facts = {"a": self.agency, "count": self.count, "first": self.first, "kid": self.kid}
            turn.log(Event.READ, turn.draw(32), {self.agency}, facts)
