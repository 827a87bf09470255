"""Holds: an IG officer's word that records are needed for a review, and its end (PROTOCOL.md Y7-Y9). Pure.

Neither says why, nor for whom: the relay sees entries, and learns that somebody wants them kept.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from schemas.canonical import Json, decode, unb64
from schemas.envelope import AgencyId, Frozen, Hash32, Id16, Seconds
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import Signer
from schemas.ranges import Ranges
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

T = TypeVar("T", bound="Frozen")


class Hold(Frozen):
    """Nothing beside these entries is deleted until agency `by` lifts it. `hid` is 16 random bytes."""

    by: AgencyId
    hid: Id16
    ranges: Ranges
    signer: Hash32
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]


class Lift(Frozen):
    """The end of a hold."""

    by: AgencyId
    hid: Id16
    signer: Hash32
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]


def parse_hold(signed: Signed) -> Hold:
    """The hold as claimed. Raises Refusal FORM, NOT_CANONICAL, TOO_BIG."""
    return _parsed(Hold, signed)


def parse_lift(signed: Signed) -> Lift:
    """The end of a hold as claimed. Raises Refusal FORM, NOT_CANONICAL, TOO_BIG."""
    return _parsed(Lift, signed)


def make_hold(key: Signer, agency: str, hid: str, ranges: tuple[tuple[int, int], ...], ts: int) -> Signed:
    """Signed with the officer's request key. Raises Refusal TOO_BIG when it names too many runs for one statement."""
    runs: list[Json] = [[first, last] for first, last in ranges]
    value: dict[str, Json] = {"by": agency, "hid": hid, "ranges": runs, "signer": key.kid, "ts": ts, "v": 1}
    signed = Signed.make(key, Purpose.HOLD, value)
    if len(signed.text) > STATEMENT_LIMIT:
        raise Refusal("TOO_BIG", "A hold names at most a few hundred runs of entries. Place several holds.")
    return signed


def make_lift(key: Signer, agency: str, hid: str, ts: int) -> Signed:
    return Signed.make(key, Purpose.LIFT, {"by": agency, "hid": hid, "signer": key.kid, "ts": ts, "v": 1})


def hold_key(hid: str) -> bytes:
    """What the relay's store knows a hold by: who has the store has no handle to lift it with."""
    return labelled("fenpost/v1/hold-key", unb64(hid, 16))


def hold_owner(hid: str, agency: str) -> bytes:
    """Whose hold it is, checkable only by who knows `hid`: a stolen store must not tell whose entries these are."""
    return labelled("fenpost/v1/hold-owner", agency.encode("ascii"), key=unb64(hid, 16))


def _parsed(model: type[T], signed: Signed) -> T:
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return model.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None
