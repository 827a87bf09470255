"""A decision not to share, recorded as every sharing is (PROTOCOL.md G12, G13).

Two parts. The statement is clear and says only that this agency decided something: the relay logs it and learns
neither about whom nor away from whom. The record is sealed to the agency's IG officers and oversight's, and says in
codes what was weighed. The words stay in the agency's own encrypted store; the record holds their hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import Field, ValidationError

from schemas.audit import Event, event_tag
from schemas.canonical import Json, b64, decode, encode, unb64
from schemas.envelope import AgencyId, Frozen, Hash32, Id16, Seconds
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.record_sealing import record_hash
from schemas.sealing import Officer, payload_hash, seal_record
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

WhyNotShared = Literal[
    "person_said_no",
    "could_endanger_person",
    "could_endanger_another",
    "not_needed_for_purpose",
    "no_lawful_basis",
    "another_way_found",
    "not_known_enough_yet",
    "recipient_not_right",
]
"""Why it was decided not to share. The reasoning itself is words, and stays at the agency."""


class Undisclosed(Frozen):
    """The clear statement: agency `by` decided not to share something; `ar` commits to the sealed record."""

    ar: Hash32
    by: AgencyId
    nid: Id16
    signer: Hash32
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the sealed record says of the decision.

    `to` are the agencies and desks that it would have gone to, `outside` says that it was also meant for somebody who
    is no member; `subject` is the agency's keyed reference, `words` the text that stays at the agency.
    """

    agency: str
    to: tuple[tuple[str, str], ...]
    outside: bool
    purpose: str
    categories: tuple[str, ...]
    why: WhyNotShared
    role: str
    review: int
    subject: str
    words: str


def undisclosed_facts(weighed: Weighed, nid: str, ts: int) -> dict[str, Json]:
    """The record's plain text as a value: codes, dates and hashes."""
    return {
        "author": weighed.role,
        "cat": list(weighed.categories),
        "from": {"a": weighed.agency},
        "nid": nid,
        "outside": weighed.outside,
        "ph": payload_hash(weighed.words),
        "pur": weighed.purpose,
        "ref": weighed.subject,
        "review": weighed.review,
        "to": [{"a": agency, "d": desk} for agency, desk in weighed.to],
        "ts": ts,
        "v": 1,
        "why": weighed.why,
    }


def seal_undisclosed(
    weighed: Weighed, nid: str, ts: int, officers: tuple[Officer, ...], signer: SigningKey, rk: bytes
) -> tuple[Signed, bytes]:
    """The statement and the sealed record.

    Args:
        nid: 16 fresh random bytes, base64url.
        officers: those of the agency itself and of oversight, so that the list tells nobody who was left out.
        signer: the agency's message key.
        rk: 32 fresh random bytes.

    Raises:
        Refusal: OFFICERS, KEY, NOT_CANONICAL, TOO_BIG.
    """
    record = seal_record(nid, encode(undisclosed_facts(weighed, nid, ts)), officers, rk)
    body: dict[str, Json] = {
        "ar": b64(record_hash(record)),
        "by": weighed.agency,
        "nid": nid,
        "signer": signer.kid,
        "ts": ts,
        "v": 1,
    }
    return Signed.make(signer, Purpose.NONDISCLOSURE, body), record


def parse_undisclosed(signed: Signed) -> Undisclosed:
    """The statement as claimed. Raises Refusal FORM, NOT_CANONICAL."""
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return Undisclosed.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None


def undisclosed_tag(said: Undisclosed) -> bytes:
    """The leaf's tag: the same decision twice has the same."""
    return event_tag(unb64(said.nid, 16), Event.NONDISCLOSURE, said.by, "")


WHY_NOT_SHARED: tuple[WhyNotShared, ...] = get_args(WhyNotShared)
