"""Keys of entries, passed from one officer to another of the same agency (PROTOCOL.md U5-U8).

An officer who leaves opens the keys of her entries and seals them to her successor; an officer under dual control does
so with her shares, for the entries that both have agreed to open. The sealed keys travel from machine to machine. The
relay logs, signed by both, that they did: the clear statement names the two keys and the hash of what was passed on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from schemas.audit import Event, event_tag
from schemas.canonical import Json, b64, decode, unb64
from schemas.directory import Directory
from schemas.envelope import AgencyId, Frozen, Hash32, Id16, Seconds
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import Signer, Use
from schemas.signed_text import SignedText
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

Of = Literal["handover", "shares"]


class Given(Frozen):
    """What the giving officer signs. `old` and `new` are opening keys, `by` and `to` the request keys beside them.

    `of` says whether she leaves (handover) or joins in an opening under dual control (shares); `first` to `last` are
    the positions whose keys go over, `package` is the hash of the sealed keys.
    """

    a: AgencyId
    by: Hash32
    first: Annotated[int, Field(ge=0, le=2**53)]
    hid: Id16
    last: Annotated[int, Field(ge=0, le=2**53)]
    new: Hash32
    of: Of
    old: Hash32
    package: Hash32
    to: Hash32
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]


class Taking(Frozen):
    """What the taking officer signs: the giving officer's statement, whole."""

    given: SignedText
    ts: Seconds
    v: Annotated[int, Field(ge=1, le=1)]


@dataclass(frozen=True, slots=True)
class Handover:
    """A handover as claimed: nothing is verified yet but its form."""

    given: Given
    ts: int
    inner: Signed = field(repr=False)
    signed: Signed = field(repr=False)


def give(given: Given, key: Signer) -> Signed:
    """The giving officer's signature. Raises Refusal KEY unless `given` names her key."""
    if given.by != key.kid:
        raise Refusal("KEY")
    return Signed.make(key, Purpose.HANDOVER_GIVE, given.model_dump(mode="json"))


def take(inner: Signed, key: Signer, ts: int) -> Signed:
    """The taking officer's signature over the giving one's statement."""
    value: Json = {"given": inner.to_json(), "ts": ts, "v": 1}
    return Signed.make(key, Purpose.HANDOVER_TAKE, value)


def parse_given(signed: Signed) -> Given:
    """Raises Refusal FORM, NOT_CANONICAL."""
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return Given.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None


def parse_handover(signed: Signed) -> Handover:
    """The handover as claimed, with both signatures. Raises Refusal FORM, NOT_CANONICAL."""
    decode(signed.text, STATEMENT_LIMIT)
    try:
        outer = Taking.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None
    inner = Signed.from_json(outer.given.model_dump())
    return Handover(parse_given(inner), outer.ts, inner, signed)


def check_handover(handover: Handover, view: Directory) -> None:
    """Both are officers of this agency, at their times, and both signed.

    Raises:
        Refusal: KEY, SIGNATURE, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY.
    """
    given = handover.given
    check_given(given, handover.inner, view)
    view.key(given.new, Use.IG, given.ts, given.a)
    taker = view.key(given.to, Use.IG_AUTH, handover.ts, given.a)
    handover.signed.verified(taker.public, Purpose.HANDOVER_TAKE)


def check_given(given: Given, signed: Signed, view: Directory) -> None:
    """An officer of this agency gave it. Raises as `check_handover`."""
    if given.by == given.to or given.old == given.new:
        raise Refusal("KEY", "A handover is between two officers. This names one.")
    view.key(given.old, Use.IG, given.ts, given.a)
    giver = view.key(given.by, Use.IG_AUTH, given.ts, given.a)
    signed.verified(giver.public, Purpose.HANDOVER_GIVE)


def package_hash(package: bytes) -> str:
    return b64(labelled("fenpost/v1/handover-package", package))


def handover_tag(given: Given) -> bytes:
    """The leaf's tag: the same handover twice has the same."""
    return event_tag(unb64(given.hid, 16), Event.HANDOVER, given.a, "")
