"""Agreements as signed statements: grant, status staple, withdrawal, and what a recall came to (PROTOCOL.md C1-C6, J7).

Rules of this house:
- a grant names agencies, purposes, categories and dates, and a random handle; nothing about the person;
- a withdrawal is final and needs nobody's leave: the issuer or any party to the grant may sign it;
- a status staple lives a day at most, so a relay that hides a withdrawal is found out within a day;
- whoever is told of a withdrawal says, signed, what became of what it holds.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from schemas.canonical import decode
from schemas.categories import CATEGORIES
from schemas.envelope import AgencyId, Frozen, Hash32, Header, Id16, Seconds
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.lawful import KeptFor
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
AHEAD = 300
"""How far one party's clock may be before another's, in seconds."""
Uncovered = Literal["stale", "unknown", "outside"]


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

    def narrows(self, older: Grant) -> bool:
        """Whether this is a later version of the same handle that allows less, for the same parties (J3)."""
        same = (self.gid, self.iss, self.sender, self.to) == (older.gid, older.iss, older.sender, older.to)
        less = set(self.pur) <= set(older.pur) and set(self.cat) <= set(older.cat)
        return same and less and self.limited and self.ver > older.ver and self.exp <= older.exp


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


class Recalled(Frozen):
    """What became, at the agency `a`, of everything that it held under a withdrawn grant.

    `wd` names the withdrawal that it answers. `did` says deleted, kept (then `why` gives the lawful reason), or that
    nothing was held. `passed` lists the members of the partnership to whom it had gone on, `outside` says that it had
    gone to somebody else too.
    """

    v: Annotated[int, Field(ge=1, le=1)]
    gid: Id16
    wd: Hash32
    a: AgencyId
    did: Literal["deleted", "kept", "nothing-held"]
    why: KeptFor | None
    passed: tuple[AgencyId, ...] = Field(max_length=64)
    outside: bool
    signer: Hash32
    ts: Seconds

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if (self.did == "kept") != (self.why is not None):
            raise ValueError("keeping has a reason")
        if self.did == "nothing-held" and (self.passed or self.outside):
            raise ValueError("nothing was held, so nothing went on")
        if list(self.passed) != sorted(set(self.passed)):
            raise ValueError("passed")
        return self


def written_after(header: Header, said: Withdrawal) -> bool:
    """Whether a message was written after its agreement was withdrawn (row 17). Where another agency said so, its clock
    may be behind the sender's, and what it dates back must not stop what was sent before: 5 minutes are allowed for."""
    return header.ts > said.ts + (0 if said.by == header.sender.a else AHEAD)


def parse_recalled(signed: Signed) -> Recalled:
    """The answer to a recall as claimed. Raises Refusal FORM, NOT_CANONICAL."""
    return _parse(Recalled, signed)


def withdrawal_hash(signed: Signed) -> bytes:
    """Under which an answer to a recall names the withdrawal."""
    return labelled("fenpost/v1/withdrawal", signed.text)


def ending(signed: Signed) -> Withdrawal | Grant:
    """What took a message back: a withdrawal, or a later version that holds less. Raises as their readers do."""
    value = signed.peek()
    return parse_grant(signed) if isinstance(value, dict) and "ver" in value else parse_withdrawal(signed)


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
        Refusal: GRANT, OLDER, OUT_OF_ORDER, SCOPE, EXPIRED, FUTURE, STATUS_STALE. The relay answers all alike.
    """
    if status.gid != grant.gid:
        raise Refusal("GRANT")
    check_scope(header, grant)
    if at >= grant.exp:
        raise Refusal("EXPIRED")
    if max(grant.nbf, status.ts) > at + AHEAD:
        raise Refusal("FUTURE")
    if at >= status.exp:
        raise Refusal("STATUS_STALE")


def check_scope(header: Header, grant: Grant) -> None:
    """What of C4 no staple can change: this agreement, the version that is quoted, and what it allows.

    Raises:
        Refusal: GRANT, OLDER, OUT_OF_ORDER, SCOPE.
    """
    if header.gid != grant.gid:
        raise Refusal("GRANT")
    _same_answer(header, grant)
    if not within(header, grant):
        raise Refusal("SCOPE")


def within(header: Header, grant: Grant) -> bool:
    """Whether every party, the purpose and every category of a message stand in a grant."""
    parties = header.sender.a in grant.sender and {r.a for r in header.to} <= set(grant.to)
    return parties and header.pur in grant.pur and set(header.cat) <= set(grant.cat)


def uncovered(code: str) -> Uncovered:
    """What a refusal by check_grant proves (C8): outside of what was agreed is a no, anything else is no proof."""
    if code == "SCOPE":
        return "outside"
    return "stale" if code == "STATUS_STALE" else "unknown"


def _same_answer(header: Header, grant: Grant) -> None:
    """A header that rests on an agreement quotes this version of it, and whether it is limited."""
    law = header.law
    if law.agree not in ("GIVEN", "LIMITED"):
        return
    if law.agree_ver is None or (law.agree == "LIMITED") != grant.limited:
        raise Refusal("GRANT")
    if law.agree_ver != grant.ver:
        raise Refusal("OLDER" if law.agree_ver < grant.ver else "OUT_OF_ORDER")


def _parse(model: type[T], signed: Signed) -> T:
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return model.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None
