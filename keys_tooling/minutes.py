"""The minutes of a ceremony: who was there, what was done when, which keys it was about (PROTOCOL.md K18). Pure.

Rules of this house:
- minutes hold names that people chose for the paper, times and key ids; never a secret, and nobody's case;
- they say only what was typed at the time; who signs them has read them;
- a signature is added, none is taken away: the text is carried as it was signed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError

from schemas.canonical import b64, decode, encode, strict_json, unb64
from schemas.directory_statement import shown
from schemas.envelope import AgencyId, Frozen, Hash32, Seconds
from schemas.errors import Refusal
from schemas.keys import ED25519, Signer, kid_of
from schemas.signing import STATEMENT_LIMIT, Purpose, sign, verify

LIMIT = 64 * 1024
OP = "op"
Kind = Literal["founding", "recovery", "shares"]
Named = Annotated[str, Field(min_length=1, max_length=60), AfterValidator(shown)]
Line = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(shown)]


class Attending(Frozen):
    """Somebody who was there; `pub` is her own key's public half, if she has one."""

    name: Named
    pub: Annotated[str, Field(min_length=43, max_length=43)] | None


class Step(Frozen):
    """What was done, by whom, when; `note` is what she added."""

    say: Line
    by: Named
    at: Seconds
    note: Annotated[str, Field(max_length=200)]


class KeyRead(Frozen):
    """A key whose id was read aloud."""

    what: Named
    kid: Hash32


class Minutes(Frozen):
    """What is signed."""

    v: Annotated[int, Field(ge=1, le=1)]
    kind: Kind
    agency: AgencyId
    op: Annotated[str, Field(min_length=43, max_length=43)]
    began: Seconds
    ended: Seconds
    need: Annotated[int, Field(ge=2, le=16)]
    present: tuple[Attending, ...] = Field(min_length=2, max_length=16)
    steps: tuple[Step, ...] = Field(min_length=1, max_length=40)
    keys: tuple[KeyRead, ...] = Field(max_length=18)


class Hand(Frozen):
    """One signature under the minutes."""

    name: Named = Field(alias="as")
    by: Hash32
    s: Annotated[str, Field(min_length=86, max_length=86)]


@dataclass(frozen=True, slots=True)
class SignedMinutes:
    """Minutes with the signatures under them, all verified when they were read or made."""

    minutes: Minutes
    text: bytes
    hands: tuple[Hand, ...] = ()

    @classmethod
    def make(cls, minutes: Minutes) -> SignedMinutes:
        """Not signed yet. Raises Refusal MINUTES when too few were there, or one is there twice."""
        names = [one.name for one in minutes.present]
        if len(set(names)) != len(names) or OP in names:
            raise Refusal("MINUTES", "Everybody who is there has a name of her own. Correct --present.")
        if len(names) < minutes.need:
            raise Refusal(
                "MINUTES", f"{len(names)} people are here, and {minutes.need} must be. Wait for the others."
            )
        return cls(minutes, encode(minutes.model_dump(mode="json")))

    def signed(self, name: str, key: Signer) -> SignedMinutes:
        """With one more signature.

        Raises:
            Refusal: MINUTES when nobody of that name and key was there, or she signed already.
        """
        if self._key_of(name) != b64(key.public):
            raise Refusal("MINUTES", "Nobody of that name and with that key is in these minutes.")
        if any(hand.name == name for hand in self.hands):
            raise Refusal("MINUTES", "She has signed these minutes already.")
        signature = b64(sign(key, Purpose.MINUTES, self.text))
        return replace(
            self, hands=(*self.hands, Hand.model_validate({"as": name, "by": key.kid, "s": signature}))
        )

    def to_bytes(self) -> bytes:
        value = {
            "signatures": [hand.model_dump(mode="json", by_alias=True) for hand in self.hands],
            "text": self.text.decode("ascii"),
        }
        return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> SignedMinutes:
        """Minutes that the operational key signed, and every signature under them. Raises Refusal MINUTES."""
        try:
            value = strict_json(data, LIMIT)
            if set(value) != {"signatures", "text"}:
                raise Refusal("FORM")
            text = value["text"].encode("ascii")
            decode(text, STATEMENT_LIMIT)
            found = cls.make(Minutes.model_validate_json(text))
            if found.text != text:
                raise Refusal("NOT_CANONICAL")
            found = replace(found, hands=tuple(map(Hand.model_validate, value["signatures"])))
            found.check()
        except (Refusal, ValidationError, AttributeError, TypeError, UnicodeError) as error:
            raise Refusal("MINUTES") from error
        return found

    def check(self) -> None:
        """Raises Refusal MINUTES, SIGNATURE unless each signature holds, and the operational key's is among them."""
        names = [hand.name for hand in self.hands]
        if OP not in names or len(set(names)) != len(names):
            raise Refusal("MINUTES")
        for hand in self.hands:
            public = unb64(self._key_of(hand.name) or "", 32)
            if kid_of(ED25519, public) != hand.by:
                raise Refusal("MINUTES")
            verify(public, Purpose.MINUTES, self.text, unb64(hand.s, 64))

    def _key_of(self, name: str) -> str | None:
        if name == OP:
            return self.minutes.op
        return next((one.pub for one in self.minutes.present if one.name == name), None)

    def unsigned(self) -> Iterable[str]:
        """Who was there with a key and has not signed."""
        signed = {hand.name for hand in self.hands}
        return (one.name for one in self.minutes.present if one.pub is not None and one.name not in signed)


def printed(found: SignedMinutes) -> str:
    """Minutes as a page to print and sign by hand as well."""
    said, signed = found.minutes, {hand.name: hand.by for hand in found.hands}
    lines = [
        f"MINUTES OF A CEREMONY: {said.kind}",
        "",
        f"Agency   {said.agency}",
        f"Began    {_moment(said.began)}",
        f"Ended    {_moment(said.ended)}",
        f"Present  {len(said.present)}, of whom {said.need} were needed",
        "",
        *(
            f"  {at}. {_moment(step.at)}  {step.by}: {step.say}{_noted(step)}"
            for at, step in enumerate(said.steps, 1)
        ),
        "",
        "Keys that were read aloud",
        *(f"  {key.what:<16} {grouped(key.kid)}" for key in said.keys),
        "",
        "Signed",
        f"  op: key {signed.get(OP, 'not signed')}",
    ]
    for one in said.present:
        hand = (
            f"key {signed[one.name]}"
            if one.name in signed
            else "no key"
            if one.pub is None
            else "not signed yet"
        )
        lines.append(f"  {one.name}: {hand}   by hand: ______________________")
    return "\n".join(lines)


def grouped(kid: str) -> str:
    """A key id in groups, to be read aloud."""
    return " ".join(kid[at : at + 6] for at in range(0, len(kid), 6))


def _noted(step: Step) -> str:
    return f" ({step.note})" if step.note else ""


def _moment(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %B %Y %H:%M:%S} UTC"
