"""Whether an override is for a message, and what it is worth there (PROTOCOL.md O7, O8). Pure.

Rules of this house:
- an override names the basis and the reason that the message names; where the message names none, two people do, and
  what they name must be lawful under the policy and never the person's agreement;
- of a message that has gone, the lead may name another basis than its author did: what happened is not made undone;
- an emergency is a RED's reason alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.directory import Directory
from schemas.envelope import Address, Header
from schemas.errors import Refusal
from schemas.facts import OverrideFacts
from schemas.lawful import Basis, WhyNo
from schemas.override import Override, Terms, verify_override
from schemas.policy import Policy
from schemas.reading import brought


class Grounds(Protocol):
    """What a header names of its law, where an override names it too."""

    @property
    def b6(self) -> str | None: ...

    @property
    def why_no(self) -> str | None: ...


class Claims(Protocol):
    """What of a header an override is held against: a header itself, or what is kept of one that has gone (O16)."""

    @property
    def cat(self) -> Sequence[str]: ...

    @property
    def law(self) -> Grounds: ...

    @property
    def mid(self) -> str: ...

    @property
    def ovr(self) -> str | None: ...

    @property
    def pur(self) -> str: ...

    @property
    def rag(self) -> str: ...

    @property
    def sender(self) -> Address: ...

    @property
    def thr(self) -> str: ...

    @property
    def to(self) -> Sequence[Address]: ...


@dataclass(frozen=True, slots=True)
class Weighed:
    """An override held against a message: what the rule may know of it, and the exact code when it is worthless."""

    facts: OverrideFacts | None
    code: str = ""
    override: Override | None = None


NONE = Weighed(None)


def moment(header: Header, override: Override | None) -> int:
    """When message and lead's signature were both there, as anybody can read it: the time that O8 decides by."""
    return header.ts if override is None or header.ovr is not None else max(header.ts, override.ts)


def check_basis(basis: Basis, policy: Policy | None) -> None:
    """Raises Refusal VOCABULARY (no basis of the policy), BASIS (the person's agreement, by whatever code)."""
    found = (policy or brought()).bases.get(basis)
    if found is None:
        raise Refusal("VOCABULARY")
    if "consent" in found.marks:
        raise Refusal("BASIS", "An override needs another basis than the person's agreement. Name it.")


def check_covers(
    override: Override, header: Claims, view: Directory, terms: Terms, at: int, *, gone: bool = False
) -> None:
    """Whether this override is for this message (O7).

    Args:
        at: the time at which a basis that the header does not name must stand.
        gone: the message went already, on the understanding that a lead signs afterwards (O16).

    Raises:
        Refusal: OVERRIDE_AGENCY, OVERRIDE_USED (another message or thread), OVERRIDE_RECIPIENTS, OVERRIDE_CATEGORIES,
            OVERRIDE_DIFFERS (desk, purpose, basis or reason), OVERRIDE_UNKNOWN (the header names another), and of a
            basis VOCABULARY, BASIS, PAPER_DATES, PAPER_PUBLIC.
    """
    core = override.core
    if header.sender.a != core.sender.a:
        raise Refusal("OVERRIDE_AGENCY")
    if (header.mid, header.thr) != (core.mid or header.mid, core.thr or header.thr):
        raise Refusal("OVERRIDE_USED")
    if header.ovr is not None and header.ovr != override.hash and not gone:
        raise Refusal("OVERRIDE_UNKNOWN")
    if not {(r.a, r.d) for r in header.to} <= {(one.a, one.d) for one in core.to}:
        raise Refusal("OVERRIDE_RECIPIENTS")
    if not set(header.cat) <= set(core.cat):
        raise Refusal("OVERRIDE_CATEGORIES")
    if (header.sender.d, header.pur) != (core.sender.d, core.pur):
        raise Refusal("OVERRIDE_DIFFERS")
    check_message(core.basis, core.reason, header, view, terms, at, gone=gone)


def check_message(
    basis: Basis, reason: WhyNo, header: Claims, view: Directory, terms: Terms, at: int, *, gone: bool
) -> None:
    """Whether an override for this message may name this basis and this reason (O4).

    Raises:
        Refusal: OVERRIDE_DIFFERS, VOCABULARY, BASIS, PAPER_DATES, PAPER_PUBLIC, UNKNOWN_AGENCY.
    """
    policy = terms.policy or brought()
    if not _same_reason(reason, header, policy):
        raise Refusal("OVERRIDE_DIFFERS")
    if basis == header.law.b6:
        check_basis(basis, policy)  # of the rest, the rule has judged the header
        return
    if header.law.b6 is not None and not gone:
        raise Refusal("OVERRIDE_DIFFERS")
    _check_lawful(basis, header, view, policy, at)


def weigh(header: Header, override: Override | None, view: Directory, terms: Terms, at: int) -> Weighed:
    """What an override is worth for this message, as the consent rule is told it (O8).

    A header that names an override which nobody can show has a worthless one; that is not the same as none.
    """
    if override is None:
        return (
            NONE
            if header.ovr is None
            else Weighed(_facts(None, valid=False, covers=False), "OVERRIDE_UNKNOWN")
        )
    try:
        verify_override(override, view, terms, at)
    except Refusal as refusal:
        return Weighed(_facts(override, valid=False, covers=False), refusal.code, override)
    try:
        check_covers(override, header, view, terms, at)
    except Refusal as refusal:
        return Weighed(_facts(override, valid=True, covers=False), refusal.code, override)
    return Weighed(_facts(override, valid=True, covers=True), override=override)


def _check_lawful(basis: Basis, header: Claims, view: Directory, policy: Policy, at: int) -> None:
    check_basis(basis, policy)
    found = policy.bases[basis]
    if not found.since <= at < found.until:
        raise Refusal("PAPER_DATES")
    ways = view.parties([header.sender.a], at)
    public = all(policy.party(header.sender.a, sender).flags.public_authority for (sender,) in ways)
    if "private" in found.marks and public:
        raise Refusal("PAPER_PUBLIC")


def _same_reason(reason: str, header: Claims, policy: Policy) -> bool:
    if header.law.why_no is not None:
        return reason == header.law.why_no
    # Nobody may say that a no is outweighed where the message does not even say that there was one.
    means = policy.reasons.get(reason, "overriding")
    return header.rag == "RED" if means == "emergency" else means != "overriding"


def _facts(override: Override | None, *, valid: bool, covers: bool) -> OverrideFacts:
    if override is None:
        return OverrideFacts("", "", "", "msg", valid=valid, covers=covers, reason="G")
    core = override.core
    return OverrideFacts(
        "lead", core.author, override.by, core.scope, valid=valid, covers=covers, reason=core.reason
    )
