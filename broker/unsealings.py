"""What IG officers say of themselves, at its turn: openings and handovers, logged and nothing else (PROTOCOL.md U1-U8).

The relay learns that an officer of an agency opened something, and when; which entries and why is closed to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.enclosed import check_enclosed, enclosed
from broker.turn import Turn
from schemas.audit import Event
from schemas.canonical import unb64
from schemas.errors import Refusal
from schemas.handover import Handover, check_handover, handover_tag, parse_handover
from schemas.keys import Use
from schemas.signing import Purpose, Signed
from schemas.unsealing import Unsealed, parse_unsealed, unsealed_tag

MAX_SKEW = 300
LATE = 90 * 24 * 3600
"""How long after an opening without the relay it may be told of: a laptop that was away must not be let off."""


@dataclass(frozen=True, slots=True)
class Unsealing:
    """An opening as it was handed in, with its sealed record."""

    said: Unsealed
    signed: Signed
    record: bytes = field(repr=False)

    @classmethod
    def read(cls, signed: Signed, record: str | None) -> Unsealing:
        """Raises Refusal FORM, NOT_CANONICAL, RECORD, TOO_BIG."""
        sealed = enclosed(record, "An opening comes with its record, sealed to officers.")
        return cls(parse_unsealed(signed), signed, sealed)


@dataclass(frozen=True, slots=True)
class Taken:
    """A handover as it was handed in."""

    said: Handover

    @classmethod
    def read(cls, signed: Signed) -> Taken:
        """Raises Refusal FORM, NOT_CANONICAL."""
        return cls(parse_handover(signed))


def record_unsealed(given: Unsealing, requester: str, turn: Turn) -> str:
    """Log an opening; "repeat" when it is logged already.

    Raises:
        Refusal: NOT_ALLOWED, FUTURE, EXPIRED, SIGNATURE, RECORD, OFFICERS, and as Directory.key.
    """
    said, ar = given.said, unb64(given.said.ar, 32)
    _check_time(said.a, said.ts, requester, turn.now)
    given.signed.verified(
        turn.view.key(said.signer, Use.IG_AUTH, said.ts, requester).public, Purpose.UNSEALED
    )
    check_enclosed(given.record, ar, said.oid, requester, said.ts, turn.view)
    tag = unsealed_tag(said)
    if turn.knows([tag]):
        return "repeat"
    entry = turn.log(
        Event.UNSEALED, tag, {requester}, {"statement": given.signed.to_json()}, (given.record, ar)
    )
    turn.remember(tag, said.ts + LATE, entry.index)
    return "recorded"


def record_handover(taken: Taken, requester: str, turn: Turn) -> str:
    """Log a handover that two officers of one agency signed; "repeat" when it is logged already.

    Raises:
        Refusal: NOT_ALLOWED, FUTURE, EXPIRED, SIGNATURE, and as Directory.key.
    """
    handover, given = taken.said, taken.said.given
    _check_time(given.a, handover.ts, requester, turn.now)
    check_handover(handover, turn.view)
    tag = handover_tag(given)
    if turn.knows([tag]):
        return "repeat"
    entry = turn.log(Event.HANDOVER, tag, {requester}, {"statement": handover.signed.to_json()})
    turn.remember(tag, handover.ts + LATE, entry.index)
    return "recorded"


def _check_time(agency: str, ts: int, requester: str, now: int) -> None:
    if agency != requester:
        raise Refusal("NOT_ALLOWED", "An officer's act is handed in by an officer of that agency.")
    if ts - now > MAX_SKEW:
        raise Refusal("FUTURE")
    if now - ts > LATE:
        raise Refusal("EXPIRED")
