"""Policies put in force: who signs one, what oversight states, and which one counts at a time (PROTOCOL.md Q1-Q7).

Rules of this house:
- a policy counts only with signatures of at least two people, whose keys stand in oversight's chain; oversight's own
  key only says in the directory that it is so;
- what they sign names the text's hash, its version and its first second, so that a replay of the directory alone can
  check them, and a text is right when its hash is;
- versions run without gaps and never back; what was once in force stays on record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Protocol

from pydantic import Field, ValidationError

from schemas.canonical import Json, b64, decode, encode, strict_json, unb64
from schemas.envelope import Frozen, Hash32, Seconds
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import Signer
from schemas.signing import Purpose, sign, verify

POLICY_LIMIT = 128 * 1024
"""The longest text of a policy, in bytes."""
FILE_LIMIT = 3 * POLICY_LIMIT
SIGNERS = 2
LATE = 300
"""How far in the past a policy may begin, in seconds: what passes between signing and posting."""
KEY_DELAY = 24 * 3600
"""How long after its publication a new signer's key counts, so that nobody adds two signers and signs at once."""
Version = Annotated[int, Field(ge=1, le=2**31)]


class PolicySignature(Frozen):
    """One person's signature."""

    kid: Hash32
    s: Annotated[str, Field(min_length=86, max_length=86)]


class PolicyBody(Frozen):
    """The body of oversight's directory statement "policy" (Q3)."""

    digest: Hash32
    version: Version
    effective: Seconds
    sigs: tuple[PolicySignature, ...] = Field(max_length=9)

    def signed(self) -> bytes:
        """The bytes that the people sign."""
        return signed_bytes(self.digest, self.version, self.effective)


class Holder(Protocol):
    """A published key and the person who holds it (schemas.directory.Key)."""

    @property
    def public(self) -> bytes: ...

    @property
    def person(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy that oversight put on record: from `effective` on it counts, until a later version does."""

    digest: str
    version: int
    effective: int
    ts: int
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Every policy on record, in the order of versions, which is the order of the directory."""

    entries: tuple[Entry, ...] = ()

    def in_force(self, at: int) -> Entry | None:
        """The highest version that has begun at this time, or None (Q5)."""
        for entry in reversed(self.entries):
            if entry.effective <= at:
                return entry
        return None

    def between(self, start: int, end: int | None = None) -> tuple[Entry, ...]:
        """Every policy that is in force at some second of [start, end], in the order in which they come in force."""
        first = self.in_force(start)
        later = [
            entry
            for entry in self.entries
            if start < entry.effective
            and (end is None or entry.effective <= end)
            and self.in_force(entry.effective) is entry
        ]
        return (*(() if first is None else (first,)), *sorted(later, key=lambda entry: entry.effective))

    def same_around(self, at: int, now: int) -> bool:
        """Whether the policy in force now is one of those that count within five minutes of another time (O11)."""
        entry = self.in_force(now)
        near = self.between(at - LATE, at + LATE)
        return entry in near or (entry is None and not near)

    def coming(self, at: int) -> tuple[Entry, ...]:
        """What will be in force after this time."""
        return tuple(entry for entry in self.between(at) if entry.effective > at)

    def version(self, number: int) -> Entry:
        """Raises Refusal NOT_FOUND."""
        for entry in self.entries:
            if entry.version == number:
                return entry
        raise Refusal("NOT_FOUND", "There is no policy of that version.")

    def after(self, body: PolicyBody, ts: int, signers: tuple[str, ...]) -> Timeline:
        """The timeline with one more policy.

        Raises:
            Refusal: POLICY_OLDER, POLICY_GAP, POLICY_PAST.
        """
        newest = self.entries[-1].version if self.entries else 0
        if body.version <= newest:
            raise Refusal("POLICY_OLDER")
        if body.version > newest + 1:
            raise Refusal("POLICY_GAP")
        if newest and body.effective < ts - LATE:  # the founding policy counts from before the first message
            raise Refusal("POLICY_PAST")
        return Timeline((*self.entries, Entry(body.digest, body.version, body.effective, ts, signers)))

    def without_last(self) -> Timeline:
        """The timeline without the newest word, which was void (K20)."""
        return Timeline(self.entries[:-1])


def policy_digest(text: bytes) -> str:
    """H("fenpost/v1/policy", text), by which a policy is known everywhere."""
    return b64(labelled("fenpost/v1/policy", text))


def signed_bytes(digest: str, version: int, effective: int) -> bytes:
    """What a person signs with purpose "fenpost/v1/policy-signature" (Q2)."""
    return encode({"digest": digest, "effective": effective, "v": 1, "version": version})


class TwoSigned(Protocol):
    """What two people sign: a policy, or what is deleted under one (schemas.retention.RetentionBody)."""

    @property
    def sigs(self) -> tuple[PolicySignature, ...]: ...

    def signed(self) -> bytes: ...


def check_signers(
    body: TwoSigned, holder: Callable[[str], Holder], purpose: Purpose = Purpose.POLICY
) -> tuple[str, ...]:
    """The people who signed, by their tags; every signature must hold (Q2).

    Args:
        holder: the policy key with this id that may sign now; raises Refusal UNKNOWN_KEY, REVOKED_KEY, STALE_KEY.
        purpose: what they signed it as.

    Raises:
        Refusal: POLICY_SIGNERS (fewer than two), POLICY_SAME_PERSON, SIGNATURE, and as `holder`.
    """
    people = []
    for one in body.sigs:
        key = holder(one.kid)
        verify(key.public, purpose, body.signed(), unb64(one.s, 64))
        people.append(key.person or "")
    if len(people) < SIGNERS:
        raise Refusal("POLICY_SIGNERS")
    if len(set(people)) != len(people):
        raise Refusal("POLICY_SAME_PERSON")
    return tuple(people)


def check_text(text: bytes, digest: str, version: int, effective: int) -> None:
    """Hold a policy's text against what oversight stated of it (Q4).

    Raises:
        Refusal: POLICY_TEXT.
    """
    try:
        told = read_core(text)
    except Refusal as refusal:
        raise Refusal("POLICY_TEXT") from refusal
    if told != (digest, version, effective):
        raise Refusal("POLICY_TEXT")


def read_core(text: bytes) -> tuple[str, int, int]:
    """(digest, version, effective) of a policy's text. Raises Refusal TOO_BIG, FORM, NOT_CANONICAL."""
    value = decode(text, POLICY_LIMIT)
    if not isinstance(value, dict):
        raise Refusal("FORM")
    version, effective = value.get("version"), value.get("effective")
    if not isinstance(version, int) or not isinstance(effective, int):
        raise Refusal("FORM")
    return policy_digest(text), version, effective


@dataclass(frozen=True, slots=True)
class SignedPolicy:
    """A policy's text with the signatures it has so far: the file that goes from one signer to the next (Q6)."""

    text: bytes
    sigs: tuple[PolicySignature, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> SignedPolicy:
        """Read {"policy": text, "sigs": [{"kid", "s"}, ...]}; nothing of it is verified yet.

        Raises:
            Refusal: TOO_BIG, FORM, NOT_CANONICAL.
        """
        value = strict_json(data, FILE_LIMIT)
        if not isinstance(value, dict) or set(value) != {"policy", "sigs"}:
            raise Refusal("FORM")
        text, sigs = value["policy"], value["sigs"]
        if not isinstance(text, str) or not text.isascii() or not isinstance(sigs, list):
            raise Refusal("FORM")
        try:
            found = cls(text.encode("ascii"), tuple(PolicySignature.model_validate(row) for row in sigs))
        except ValidationError:
            raise Refusal("FORM") from None
        read_core(found.text)
        return found

    def to_bytes(self) -> bytes:
        value = {"policy": self.text.decode("ascii"), "sigs": [one.model_dump() for one in self.sigs]}
        return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"

    def body(self) -> PolicyBody:
        """What oversight will state. Raises Refusal FORM."""
        digest, version, effective = read_core(self.text)
        try:
            return PolicyBody(digest=digest, version=version, effective=effective, sigs=self.sigs)
        except ValidationError:
            raise Refusal("FORM") from None

    def signed_by(self, key: Signer) -> SignedPolicy:
        """With one more signature. Raises Refusal FORM, POLICY_SAME_PERSON when this key has signed already."""
        if any(one.kid == key.kid for one in self.sigs):
            raise Refusal("POLICY_SAME_PERSON")
        signature = sign(key, Purpose.POLICY, self.body().signed())
        return SignedPolicy(self.text, (*self.sigs, PolicySignature(kid=key.kid, s=b64(signature))))

    def verify(self, holder: Callable[[str], Holder]) -> tuple[str, ...]:
        """The people who signed it. Raises as `check_signers`."""
        return check_signers(self.body(), holder)


def statement_body(signed: SignedPolicy) -> Json:
    """The body of the directory statement as canonical JSON."""
    return signed.body().model_dump(mode="json")


def spoken(digest: str) -> Iterator[str]:
    """A digest in groups to be read aloud: sixteen groups of four hexadecimal digits."""
    digits = unb64(digest, 32).hex()
    return (digits[at : at + 4] for at in range(0, len(digits), 4))
