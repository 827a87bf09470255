"""Agreements as signed statements: grant, status staple, withdrawal (PROTOCOL.md C1-C6).

Rules of this house:
- a grant names agencies, purposes, categories and dates, and a random handle; nothing about the person;
- a withdrawal is final and needs nobody's leave: the issuer or any party to the grant may sign it;
- a status staple lives a day at most, so a relay that hides a withdrawal is found out within a day.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from schemas.canonical import decode
from schemas.categories import CATEGORIES
from schemas.envelope import AgencyId, Frozen, Hash32, Header, Id16, Seconds
from schemas.errors import Refusal
from schemas.lawful import Purpose as LawfulPurpose
from schemas.signing import STATEMENT_LIMIT, Signed

T = TypeVar("T", bound=Frozen)


def known(category: str) -> str:
    """A category of the closed list: a grant is clear, so a stranger's words must not stand in it."""
    if category not in CATEGORIES:
        raise ValueError("category")
    return category


Category = Annotated[str, AfterValidator(known)]
MAX_GRANT = 90 * 24 * 3600
MAX_STATUS = 24 * 3600


class Grant(Frozen):
    """An agreement, signed by the consent key of the agency that holds the relationship.

    `ev` is a salted hash of the evidence (how she was asked), which stays at the agency. `limited` says that she
    agreed to part of what was asked; the lists are then her limits.
    """

    v: Annotated[int, Field(ge=1, le=1)]
    gid: Id16
    iss: AgencyId
    signer: Hash32
    ver: Annotated[int, Field(ge=1, le=2**31)]
    limited: bool
    sender: tuple[AgencyId, ...] = Field(alias="from", min_length=1, max_length=64)
    to: tuple[AgencyId, ...] = Field(min_length=1, max_length=64)
    pur: tuple[LawfulPurpose, ...] = Field(min_length=1)
    cat: tuple[Category, ...] = Field(min_length=1, max_length=64)
    nbf: Seconds
    exp: Seconds
    ev: Hash32

    def parties(self) -> frozenset[str]:
        return frozenset({self.iss, *self.sender, *self.to})


class Status(Frozen):
    """A staple: the issuer's word that the grant still stood at `ts`; good until `exp`."""

    v: Annotated[int, Field(ge=1, le=1)]
    gid: Id16
    state: Literal["active"]
    signer: Hash32
    ts: Seconds
    exp: Seconds


class Withdrawal(Frozen):
    """The end of a grant, signed by a consent key of the issuer or of any party to it."""

    v: Annotated[int, Field(ge=1, le=1)]
    gid: Id16
    by: AgencyId
    signer: Hash32
    ts: Seconds


def parse_grant(signed: Signed) -> Grant:
    """The grant as claimed. Raises Refusal FORM, NOT_CANONICAL, or GRANT when its dates do not hold together."""
    grant = _parse(Grant, signed)
    if not grant.nbf < grant.exp <= grant.nbf + MAX_GRANT:
        raise Refusal(
            "GRANT", "An agreement lasts from its first day for at most 90 days. Correct its dates."
        )
    return grant


def parse_status(signed: Signed) -> Status:
    """The staple as claimed. Raises Refusal FORM, NOT_CANONICAL, STATUS_STALE when it claims more than a day."""
    status = _parse(Status, signed)
    if not status.ts < status.exp <= status.ts + MAX_STATUS:
        raise Refusal("STATUS_STALE")
    return status


def parse_withdrawal(signed: Signed) -> Withdrawal:
    """The withdrawal as claimed. Raises Refusal FORM, NOT_CANONICAL."""
    return _parse(Withdrawal, signed)


def check_grant(header: Header, grant: Grant, status: Status, at: int) -> None:
    """Hold a message against its agreement at time `at` (C4): every party, purpose, category and date within it.

    Raises:
        Refusal: GRANT, SCOPE, EXPIRED, STATUS_STALE. The relay answers all of them alike.
    """
    if header.gid != grant.gid or status.gid != grant.gid:
        raise Refusal("GRANT")
    if header.sender.a not in grant.sender or not {r.a for r in header.to} <= set(grant.to):
        raise Refusal("SCOPE")
    if header.pur not in grant.pur or not set(header.cat) <= set(grant.cat):
        raise Refusal("SCOPE")
    if not grant.nbf <= at < grant.exp:
        raise Refusal("EXPIRED")
    if not status.ts <= at + 300 or at >= status.exp:
        raise Refusal("STATUS_STALE")


def _parse(model: type[T], signed: Signed) -> T:
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return model.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None
