"""Directory statements: what each says, its hash and its leaf (PROTOCOL.md K8-K14, K19-K25).

Whether one follows from those before it, and what they all come to, is for schemas.directory.
"""

from __future__ import annotations

import base64
from typing import Annotated, Literal

import orjson
from pydantic import AfterValidator, Field, ValidationError

from schemas.canonical import Json, b64, decode, encode
from schemas.emergency import MOST_KIDS, EmergencyRevoke, Reason
from schemas.envelope import AgencyId, DeskId, Frozen, Hash32, Seconds
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.policing import PolicyBody
from schemas.retention import RetentionBody
from schemas.roles import Role
from schemas.roots import RotateOp, RotateRoot
from schemas.sectors import Sector
from schemas.signing import STATEMENT_LIMIT, Signed

NO_PREVIOUS = b64(bytes(32))


def shown(text: str) -> str:
    """A name that shows as it is: no control, no invisible or direction-changing character, no outer space (K14).

    Raises:
        ValueError: inside a model, where it becomes Refusal FORM.
    """
    if not text.isprintable() or text != text.strip():
        raise ValueError("a character that does not show")
    return text


Text = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(shown)]
PublicText = Annotated[str, Field(max_length=2000)]


class Inception(Frozen):
    """The birth of an agency: root keys and threshold, digests of the next roots, the first operational key."""

    roots: tuple[PublicText, ...] = Field(min_length=1, max_length=9)
    threshold: Annotated[int, Field(ge=1, le=9)]
    next_roots: tuple[Hash32, ...] = Field(max_length=9)
    op_key: PublicText


class AddKey(Frozen):
    """A new key for one use, with its dates. `person` is a role code, for keys that people hold."""

    use: Literal["msg", "auth", "prekey", "ig", "ig-auth", "consent", "person", "witness", "policy", "renew"]
    alg: Literal["ed25519", "x-wing"]
    pub: PublicText
    nbf: Seconds
    exp: Seconds
    person: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] | None


class Revoke(Frozen):
    """The end of a key, from a date that may lie in the past."""

    kid: Hash32
    reason: Reason
    since: Seconds


class Flags(Frozen):
    """What an agency is in law, as oversight checked it; the consent rule's party tests read these."""

    public_authority: bool
    s16la_member: bool
    cda_relevant: bool


class Admit(Frozen):
    """Oversight takes an agency into the partnership, or renews its entry."""

    member: AgencyId
    name: Text
    desks: tuple[DeskId, ...] = Field(min_length=1, max_length=32)
    flags: Flags
    sector: Sector


class Countersign(Frozen):
    """Oversight has met the person who holds this key, and she has this role at her agency (O2)."""

    kid: Hash32
    role: Role


class Leave(Frozen):
    """An agency leaves: from `stops` on nobody addresses it anew. `successor` has its work then, or null."""

    member: AgencyId
    stops: Seconds
    successor: AgencyId | None


class Alias(Frozen):
    """A merged or renamed agency: until `until`, whoever looks up `was` is told of `now`."""

    was: AgencyId
    now: AgencyId
    until: Seconds


class Recertify(Frozen):
    """The agency has looked again: these people's keys are still theirs, and their roles still right."""

    kids: tuple[Hash32, ...] = Field(min_length=1, max_length=MOST_KIDS)


RoleCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class Roster(Frozen):
    """The roles that work at one of the agency's desks, as receipts name them (D2); none says that nobody does."""

    desk: DeskId
    roles: tuple[RoleCode, ...] = Field(max_length=32)


class Statement(Frozen):
    """The frame of every directory statement."""

    v: Annotated[int, Field(ge=1, le=1)]
    agency: AgencyId
    seq: Annotated[int, Field(ge=0, le=2**31)]
    prev: Hash32
    op: Literal[
        "inception", "add-key", "revoke", "admit", "policy", "countersign", "retention",
        "rotate-op", "rotate-root", "leave", "alias", "emergency-revoke", "recertify", "roster",
    ]  # fmt: skip
    body: dict[str, object]
    ts: Seconds
    by: Hash32


BODIES: dict[str, type[Frozen]] = {
    "inception": Inception,
    "add-key": AddKey,
    "revoke": Revoke,
    "admit": Admit,
    "policy": PolicyBody,
    "countersign": Countersign,
    "retention": RetentionBody,
    "rotate-op": RotateOp,
    "rotate-root": RotateRoot,
    "leave": Leave,
    "alias": Alias,
    "emergency-revoke": EmergencyRevoke,
    "recertify": Recertify,
    "roster": Roster,
}


def agency_id(inception: Json) -> str:
    """ "ag1" and the base32 of the first 20 bytes of H("fenpost/v1/agency", canonical inception body) (K9)."""
    digest = labelled("fenpost/v1/agency", encode(inception))[:20]
    return "ag1" + base64.b32encode(digest).decode("ascii").lower()


def statement_hash(signed: Signed) -> str:
    return b64(labelled("fenpost/v1/dir-statement", signed.text))


def statement_leaf(signed: Signed) -> bytes:
    """A statement's leaf in the directory's own tree: its text and signature, clear."""
    return signed.text + signed.signature


def parse_statement(signed: Signed) -> tuple[Statement, Frozen]:
    """The statement and its body, as claimed. Raises Refusal FORM, NOT_CANONICAL."""
    value = decode(signed.text, STATEMENT_LIMIT)
    try:
        statement = Statement.model_validate(value)
        # As JSON, in which a list may stand for a tuple; that its spelling is the canonical one is checked already.
        return statement, BODIES[statement.op].model_validate_json(orjson.dumps(value["body"]))
    except ValidationError:
        raise Refusal("FORM") from None
