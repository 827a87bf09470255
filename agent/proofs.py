"""Agreements verified: what a signed statement is worth once its signer is known (PROTOCOL.md C1-C7, V8).

The relay's word counts for nothing here: each statement is held against the directory that this agent replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from agent.overriding import weighed
from schemas.consent import decide
from schemas.covering import moment
from schemas.decision import Decision
from schemas.directory import Directory
from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.facts import Coverage, Facts
from schemas.grants import (
    Grant,
    Recalled,
    Status,
    Withdrawal,
    check_grant,
    parse_grant,
    parse_recalled,
    parse_status,
    parse_withdrawal,
    uncovered,
)
from schemas.keys import Use
from schemas.override import Override, leads
from schemas.policy import Policy
from schemas.references import onward_facts, request_facts
from schemas.sealing import status_hash
from schemas.signing import Purpose, Signed


def verified_grant(signed: Signed, view: Directory) -> Grant:
    """Raises Refusal FORM, GRANT, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, SIGNATURE."""
    grant = parse_grant(signed)
    key = view.key(grant.signer, Use.CONSENT, grant.nbf, grant.iss)
    signed.verified(key.public, Purpose.GRANT)
    return grant


def verified_status(signed: Signed, grant: Grant, view: Directory) -> Status:
    """Raises Refusal FORM, GRANT, STATUS_STALE, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, SIGNATURE."""
    status = parse_status(signed)
    if status.gid != grant.gid:
        raise Refusal("GRANT")
    key = view.key(status.signer, Use.CONSENT, status.ts, grant.iss)
    signed.verified(key.public, Purpose.STATUS)
    return status


def verified_withdrawal(signed: Signed, view: Directory, grant: Grant | None) -> Withdrawal:
    """Raises Refusal FORM, GRANT, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, SIGNATURE, NOT_ALLOWED (not a party)."""
    withdrawal = parse_withdrawal(signed)
    key = view.key(withdrawal.signer, Use.CONSENT, withdrawal.ts, withdrawal.by)
    signed.verified(key.public, Purpose.WITHDRAW)
    if grant is not None and (withdrawal.gid != grant.gid or withdrawal.by not in grant.parties()):
        raise Refusal("NOT_ALLOWED")
    return withdrawal


def verified_recalled(signed: Signed, view: Directory, grant: Grant) -> Recalled:
    """Raises Refusal FORM, GRANT, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY, SIGNATURE, NOT_ALLOWED (not a party)."""
    said = parse_recalled(signed)
    key = view.key(said.signer, Use.CONSENT, said.ts, said.a)
    signed.verified(key.public, Purpose.RECALLED)
    if said.gid != grant.gid or said.a not in grant.parties():
        raise Refusal("NOT_ALLOWED")
    return said


def vouched(
    signed: Signed | None, staple: Signed | None, view: Directory
) -> tuple[Signed | None, Signed | None]:
    """What of an agreement and its staple its issuer signed: what a RED brings along may be anything."""
    try:
        grant = None if signed is None else verified_grant(signed, view)
    except Refusal:
        grant = None
    if grant is None:
        return None, None
    try:
        if staple is not None:
            verified_status(staple, grant, view)
    except Refusal:
        staple = None
    return signed, staple


@dataclass(frozen=True, slots=True)
class Proven:
    """What is provable about an agreement, and the code of what is wrong with it, if anything is."""

    coverage: Coverage
    code: str = ""


def prove(
    header: Header, signed: Signed | None, staple: Signed | None, view: Directory, *, withdrawn: bool = False
) -> Proven:
    """What is provable about the agreement that a header names, as of the header's own time."""
    if header.gid is None:
        return Proven("none")
    if withdrawn:
        return Proven("withdrawn", "AGREEMENT_ENDED")
    if signed is None or staple is None or header.st != status_hash(staple):
        return Proven("unknown", "GRANT_UNKNOWN")
    try:
        grant = verified_grant(signed, view)
        check_grant(header, grant, verified_status(staple, grant, view), header.ts)
    except Refusal as refusal:
        return Proven(uncovered(refusal.code), refusal.code)
    return Proven("covers")


def coverage(
    header: Header, signed: Signed | None, staple: Signed | None, view: Directory, *, withdrawn: bool = False
) -> Coverage:
    """What is provable, without the code."""
    return prove(header, signed, staple, view, withdrawn=withdrawn).coverage


def decision(
    header: Header,
    covered: Coverage,
    view: Directory,
    policies: Sequence[Policy | None],
    override: Override | None = None,
    *,
    switched: bool = False,
    at_hand: Sequence[Header] = (),
) -> Decision:
    """The consent rule's answer for a header, as every party works it out (Q9).

    What one policy lets pass, passes; and what it lets pass by the flags and sectors on one side of a change.

    Raises:
        Refusal: UNKNOWN_AGENCY.
    """
    asked = (
        facts_of(header, covered, view, policy, override, switched=switched, at_hand=at_hand)
        for policy in policies
    )
    said = (decide(facts) for known in asked for facts in _around(known, view))
    return min(said, key=lambda decision: decision.outcome)


def _around(known: Facts, view: Directory) -> Iterable[Facts]:
    """The same, by what the agencies were in law when the relay decided, whatever they have become since (K14)."""
    header = known.header
    for sender, *to in view.parties([header.sender.a, *(row.a for row in header.to)], known.now):
        yield replace(known, sender=sender, parties=tuple(to))


def facts_of(
    header: Header,
    covered: Coverage,
    view: Directory,
    policy: Policy | None,
    override: Override | None = None,
    *,
    switched: bool = False,
    at_hand: Iterable[Header] = (),
) -> Facts:
    """What the rule may know of a header under one policy. Raises Refusal UNKNOWN_AGENCY.

    Args:
        switched: it was written after the agreement that it names was withdrawn (row 17).
        at_hand: the headers that this agency holds of what it refers to (rows 19 and 22).
    """
    sender, parties = view.party(header.sender.a), tuple(view.party(recipient.a) for recipient in header.to)
    worth = weighed(header, override, view, policy)
    held, at = worth.facts, header.ts if worth.code else moment(header, override)
    lead = (held is None and header.law.why_no != "G") or bool(leads(view, header.sender.a, at))
    return Facts(
        header,
        covered,
        sender,
        parties,
        policy,
        at,
        held,
        request_facts(header, at_hand),
        onward_facts(header, at_hand),
        switched=switched,
        leads=lead,
    )
