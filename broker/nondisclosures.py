"""Decisions not to share, at their turn: logged, and nothing else (PROTOCOL.md G13).

The relay learns which agency decided something, and when. The record is closed to it, and its head names only the
officers of that agency and oversight's, so it does not show from whom something was kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from broker.enclosed import check_enclosed, enclosed
from broker.turn import Turn
from schemas.audit import Event
from schemas.canonical import Json, unb64
from schemas.envelope import MAX_LIFE
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.nondisclosure import Undisclosed, parse_undisclosed, undisclosed_tag
from schemas.signing import Purpose, Signed

MAX_SKEW = 300


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision as it was handed in, with its sealed record."""

    said: Undisclosed
    signed: Signed
    record: bytes = field(repr=False)

    @classmethod
    def read(cls, signed: Signed, record: str | None) -> Decided:
        """Raises Refusal FORM, NOT_CANONICAL, RECORD, TOO_BIG."""
        sealed = enclosed(record, "A decision not to share comes with its record, sealed to officers.")
        return cls(parse_undisclosed(signed), signed, sealed)


def record_nondisclosure(decided: Decided, requester: str, turn: Turn) -> str:
    """Log a decision not to share; "repeat" when it is logged already.

    Raises:
        Refusal: NOT_ALLOWED, FUTURE, EXPIRED (older than a message may be), SIGNATURE, RECORD, OFFICERS, and as
            Directory.key.
    """
    said, ar = decided.said, unb64(decided.said.ar, 32)
    if said.by != requester:
        raise Refusal("NOT_ALLOWED", "A decision is handed in by the agency that made it.")
    if said.ts - turn.now > MAX_SKEW:
        raise Refusal("FUTURE")
    if turn.now - said.ts > MAX_LIFE:
        raise Refusal("EXPIRED")
    key = turn.view.key(said.signer, Use.MSG, said.ts, requester)
    decided.signed.verified(key.public, Purpose.NONDISCLOSURE)
    check_enclosed(decided.record, ar, said.nid, requester, said.ts, turn.view)
    tag = undisclosed_tag(said)
    if turn.knows([tag]):
        return "repeat"
    facts: dict[str, Json] = {"statement": decided.signed.to_json()}
    entry = turn.log(Event.NONDISCLOSURE, tag, {requester}, facts, (decided.record, ar))
    turn.remember(tag, said.ts + MAX_LIFE, entry.index)
    return "recorded"
