"""Agreements verified: what a signed statement is worth once its signer is known (PROTOCOL.md C1-C7, V8).

The relay's word counts for nothing here: each statement is held against the directory that this agent replayed.
"""

from __future__ import annotations

from schemas.consent import Coverage, Decision, Facts, decide
from schemas.directory import Directory
from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.grants import (
    Grant,
    Status,
    Withdrawal,
    check_grant,
    parse_grant,
    parse_status,
    parse_withdrawal,
)
from schemas.keys import Use
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


def coverage(
    header: Header, signed: Signed | None, staple: Signed | None, view: Directory, *, withdrawn: bool = False
) -> Coverage:
    """What is provable about the agreement that a header names, as of the header's own time."""
    if header.gid is None:
        return "none"
    if withdrawn:
        return "withdrawn"
    if signed is None or staple is None or header.st != status_hash(staple):
        return "unknown"
    try:
        grant = verified_grant(signed, view)
        status = verified_status(staple, grant, view)
    except Refusal as refusal:
        return "stale" if refusal.code == "STATUS_STALE" else "unknown"
    try:
        check_grant(header, grant, status, header.ts)
    except Refusal as refusal:
        # Ended or not begun is as good as none; outside of what was agreed is a no.
        return (
            "stale"
            if refusal.code == "STATUS_STALE"
            else "unknown"
            if refusal.code == "EXPIRED"
            else "outside"
        )
    return "covers"


def decision(header: Header, covered: Coverage, view: Directory) -> Decision:
    """The consent rule's answer for a header, as every party works it out. Raises Refusal UNKNOWN_AGENCY."""
    parties = tuple(view.party(recipient.a) for recipient in header.to)
    return decide(Facts(header, covered, view.party(header.sender.a), parties))
