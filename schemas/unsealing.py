"""An officer's opening of entries, recorded before anything is shown (PROTOCOL.md U1-U4).

Two parts, as with a decision not to share. The statement is clear and says only that an officer of this agency
opened something: the relay logs it and learns neither which entries nor why. The record is sealed to the officers of
the agency and of oversight, so that they can watch each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from schemas.audit import Event, event_tag
from schemas.canonical import Json, b64, decode, encode, unb64
from schemas.envelope import AgencyId, Frozen, Hash32, Id16, Seconds
from schemas.errors import Refusal
from schemas.keys import Signer
from schemas.reasons import WORDS, Act, Why
from schemas.record_sealing import record_hash
from schemas.sealing import Officer, seal_record
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed


class Unsealed(Frozen):
    """The clear statement: an officer of agency `a` opened something; `ar` commits to the sealed record."""

    a: AgencyId
    ar: Hash32
    oid: Id16
    signer: Hash32
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]


class Opened(Frozen):
    """What the sealed record says: `count` entries of those at `first` to `last` were opened.

    `of` names the query or report; its parameters are not kept, they may name a case. `words` are the officer's own.
    """

    act: Act
    by: Hash32
    count: Annotated[int, Field(ge=0, le=2**53)]
    first: Annotated[int, Field(ge=0, le=2**53)]
    last: Annotated[int, Field(ge=0, le=2**53)]
    of: Annotated[str, Field(max_length=64)]
    oid: Id16
    offline: bool
    v: Annotated[int, Field(ge=1, le=1)]
    why: Why
    words: Annotated[str, Field(max_length=WORDS)]


@dataclass(frozen=True, slots=True)
class Opening:
    """What an officer is about to do: see `Opened` for the fields."""

    act: Act
    why: Why
    first: int
    last: int
    count: int
    of: str = ""
    words: str = ""
    offline: bool = False


def seal_opening(
    opening: Opening,
    agency: str,
    oid: str,
    ts: int,
    officers: tuple[Officer, ...],
    signer: Signer,
    rk: bytes,
) -> tuple[Signed, bytes]:
    """The statement and the sealed record.

    Args:
        oid: 16 fresh random bytes, base64url.
        officers: those of the officer's agency and of oversight.
        signer: the officer's request key.
        rk: 32 fresh random bytes.

    Raises:
        Refusal: OFFICERS, KEY, NOT_CANONICAL, TOO_BIG, FORM (words that are too long).
    """
    try:
        said = Opened(
            act=opening.act, by=signer.kid, count=opening.count, first=opening.first, last=opening.last, of=opening.of,
            oid=oid, offline=opening.offline, v=1, why=opening.why, words=opening.words,
        )  # fmt: skip
    except ValidationError:
        raise Refusal("FORM", f"Say why in at most {WORDS} letters.") from None
    record = seal_record(oid, encode(said.model_dump(mode="json")), officers, rk)
    body: dict[str, Json] = {
        "a": agency, "ar": b64(record_hash(record)), "oid": oid, "signer": signer.kid, "ts": ts, "v": 1,
    }  # fmt: skip
    return Signed.make(signer, Purpose.UNSEALED, body), record


def parse_unsealed(signed: Signed) -> Unsealed:
    """The statement as claimed. Raises Refusal FORM, NOT_CANONICAL."""
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return Unsealed.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None


def read_opened(facts: Json) -> Opened:
    """What an opened record says. Raises Refusal FORM."""
    try:
        return Opened.model_validate_json(encode(facts))
    except ValidationError:
        raise Refusal("FORM") from None


def unsealed_tag(said: Unsealed) -> bytes:
    """The leaf's tag: the same opening twice has the same."""
    return event_tag(unb64(said.oid, 16), Event.UNSEALED, said.a, "")
