"""Retention statements: which sealed records may go, said by oversight and signed by two people (PROTOCOL.md Y1-Y6).

Rules of this house:
- the relay cannot tell what a record is about, so a statement names entries of the log; people who can open them
  worked out which;
- the list itself goes to relay and IG officers only: the directory, which every agency reads, has its hash;
- leaves stay: what is deleted is what stands beside them, and every proof holds as before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from schemas.canonical import b64, decode, encode, strict_json
from schemas.envelope import Frozen, Hash32
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import Signer
from schemas.policing import FILE_LIMIT, POLICY_LIMIT, Holder, PolicySignature, Version, check_signers
from schemas.ranges import Index, Ranges, count_of
from schemas.signing import Purpose, sign

DAY = 24 * 3600


class RetentionBody(Frozen):
    """The body of oversight's directory statement "retention": the list's hash, and how many entries it names."""

    digest: Hash32
    count: Annotated[int, Field(ge=1, le=2**53)]
    sigs: tuple[PolicySignature, ...] = Field(max_length=9)

    def signed(self) -> bytes:
        """The bytes that the people sign."""
        return encode({"count": self.count, "digest": self.digest, "v": 1})


@dataclass(frozen=True, slots=True)
class Retention:
    """A retention statement on record: `at` is its place in the directory, `ts` its time."""

    digest: str
    count: int
    ts: int
    at: int
    signers: tuple[str, ...]


class RetentionList(Frozen):
    """The list that a statement stands for.

    `policy` is the version whose periods were applied, `size` the log's size when it was made, `notice` the seconds
    between the statement and the first deletion, in which a hold can still be placed.
    """

    notice: Annotated[int, Field(ge=DAY, le=366 * DAY)]
    policy: Version
    ranges: Ranges
    size: Index
    v: Annotated[int, Field(ge=1, le=1)]

    @classmethod
    def parse(cls, text: bytes) -> RetentionList:
        """Raises Refusal RETENTION for anything that is not exactly one list."""
        try:
            decode(text, POLICY_LIMIT)
            found = cls.model_validate_json(text)
        except (Refusal, ValidationError) as error:
            raise Refusal("RETENTION") from error
        if found.ranges[-1][1] >= found.size:
            raise Refusal("RETENTION")
        return found

    @property
    def text(self) -> bytes:
        return encode(self.model_dump(mode="json"))

    @property
    def count(self) -> int:
        return count_of(self.ranges)


def retention_digest(text: bytes) -> str:
    """H("fenpost/v1/retention", text), by which a list is known."""
    return b64(labelled("fenpost/v1/retention", text))


def read_list(body: RetentionBody | Retention, text: bytes) -> RetentionList:
    """The list that a statement stands for. Raises Refusal RETENTION."""
    found = RetentionList.parse(text)
    if (retention_digest(text), found.count) != (body.digest, body.count):
        raise Refusal("RETENTION")
    return found


def check_retention(body: RetentionBody, holder: Callable[[str], Holder]) -> tuple[str, ...]:
    """The two people or more who signed it, by their tags. Raises as policing.check_signers."""
    return check_signers(body, holder, Purpose.RETENTION)


@dataclass(frozen=True, slots=True)
class SignedRetention:
    """A list with the signatures it has so far: the file that goes from one signer to the next."""

    text: bytes
    sigs: tuple[PolicySignature, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> SignedRetention:
        """Read {"retention": text, "sigs": [...]}; no signature is verified yet. Raises Refusal RETENTION, TOO_BIG."""
        try:
            value = strict_json(data, FILE_LIMIT)
            text = value["retention"].encode("ascii")
            found = cls(text, tuple(PolicySignature.model_validate(row) for row in value["sigs"]))
        except (KeyError, TypeError, AttributeError, UnicodeEncodeError, ValidationError) as error:
            raise Refusal("RETENTION") from error
        RetentionList.parse(found.text)
        return found

    def to_bytes(self) -> bytes:
        value = {"retention": self.text.decode("ascii"), "sigs": [one.model_dump() for one in self.sigs]}
        return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"

    def body(self) -> RetentionBody:
        """What oversight will state. Raises Refusal RETENTION."""
        found = RetentionList.parse(self.text)
        return RetentionBody(digest=retention_digest(self.text), count=found.count, sigs=self.sigs)

    def signed_by(self, key: Signer) -> SignedRetention:
        """With one more signature. Raises Refusal RETENTION, POLICY_SAME_PERSON when this key has signed already."""
        if any(one.kid == key.kid for one in self.sigs):
            raise Refusal("POLICY_SAME_PERSON")
        signature = sign(key, Purpose.RETENTION, self.body().signed())
        return SignedRetention(self.text, (*self.sigs, PolicySignature(kid=key.kid, s=b64(signature))))
