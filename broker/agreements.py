"""Grants, staples and withdrawals at their turn (PROTOCOL.md C1-C6).

Rules of this house:
- a grant and its staples come from the issuer alone; a withdrawal from the issuer or any party, at any time, and for
  an agreement that somebody is no party to it sounds as if there were none;
- a withdrawal takes back, in its own transaction, every message that rests on the grant and was not yet collected;
  what the rule would still let pass without the agreement goes on.
"""

from __future__ import annotations

from broker.intake import MAX_SKEW, passes_without
from broker.turn import Agreement, Desk, Held, Turn
from schemas.audit import Event
from schemas.errors import Refusal
from schemas.grants import Status, Withdrawal, parse_grant, parse_status, parse_withdrawal
from schemas.keys import Use
from schemas.receipt import ENDED
from schemas.sealing import status_hash
from schemas.signing import Purpose, Signed

MAX_PARTIES = 60
"""A sealed record has room for 64 readers; oversight is one."""
GRANT_KEPT = 14 * 24 * 3600
"""A grant is kept past its end for as long as a message that rests on it can live."""


def record_grant(signed: Signed, requester: str, turn: Turn) -> str:
    """Take a grant; "repeat" when it is there already.

    Raises:
        Refusal: FORM, GRANT (dates), NOT_ALLOWED, TOO_BIG, UNKNOWN_AGENCY, EXPIRED, ID_CLASH, and as Directory.key.
    """
    grant = parse_grant(signed)
    if grant.iss != requester:
        raise Refusal("NOT_ALLOWED", "Only the agency that asked the person can record her agreement.")
    known = turn.agreements.get(grant.gid)
    if known is not None:
        if known.signed.text == signed.text:
            return "repeat"
        raise Refusal("ID_CLASH")
    if len(grant.parties()) > MAX_PARTIES:
        raise Refusal("TOO_BIG", "An agreement names at most 60 agencies. Make two.")
    for agency in sorted(grant.parties()):
        turn.view.member(agency)
    if grant.exp <= turn.now:
        raise Refusal("EXPIRED")
    _verified(signed, grant.signer, grant.iss, Purpose.GRANT, turn)
    turn.agreements[grant.gid] = Agreement(grant, signed, {}, None)
    turn.rows.grants.append(
        {"gid": grant.gid, "text": signed.text, "sig": signed.signature, "until": grant.exp + GRANT_KEPT}
    )
    turn.log(Event.GRANT, turn.draw(32), set(grant.parties()), {"statement": signed.to_json()})
    return "recorded"


def record_status(signed: Signed, requester: str, turn: Turn) -> str:
    """Take a staple of a standing grant. It is no event of its own: it travels inside what rests on it.

    Raises:
        Refusal: FORM, STATUS_STALE, NOT_FOUND, CONFLICT (it was withdrawn), FUTURE, and as Directory.key.
    """
    status: Status = parse_status(signed)
    agreement = turn.agreements.get(status.gid)
    if agreement is None or agreement.grant.iss != requester:
        raise Refusal("NOT_FOUND")
    name = status_hash(signed)
    if name in agreement.statuses:
        return "repeat"
    if agreement.withdrawal is not None:
        raise Refusal("CONFLICT", "The agreement was withdrawn, so it cannot be renewed.")
    if status.ts - turn.now > MAX_SKEW:
        raise Refusal("FUTURE")
    if status.exp <= turn.now:
        raise Refusal("STATUS_STALE")
    _verified(signed, status.signer, requester, Purpose.STATUS, turn)
    agreement.statuses[name] = (status, signed)
    turn.rows.statuses.append(
        {
            "hash": name,
            "gid": status.gid,
            "text": signed.text,
            "sig": signed.signature,
            "ts": status.ts,
            "exp": status.exp,
        }
    )
    return "recorded"


def record_withdrawal(signed: Signed, requester: str, turn: Turn) -> tuple[str, int]:
    """End a grant, and stop what rests on it; says how many deliveries were stopped.

    Raises:
        Refusal: FORM, NOT_ALLOWED, NOT_FOUND, FUTURE, and as Directory.key.
    """
    withdrawal: Withdrawal = parse_withdrawal(signed)
    if withdrawal.by != requester:
        raise Refusal("NOT_ALLOWED", "A withdrawal is handed in by the agency that signed it.")
    agreement = turn.agreements.get(withdrawal.gid)
    if agreement is None or requester not in agreement.grant.parties():
        raise Refusal("NOT_FOUND")
    if agreement.withdrawal is not None:
        return "repeat", 0
    if withdrawal.ts - turn.now > MAX_SKEW:
        raise Refusal("FUTURE")
    _verified(signed, withdrawal.signer, requester, Purpose.WITHDRAW, turn)
    agreement.withdrawal = signed
    turn.rows.withdrawals.append(
        {"key": withdrawal.gid, "withdrawn_text": signed.text, "withdrawn_sig": signed.signature}
    )
    turn.log(Event.WITHDRAW, turn.draw(32), set(agreement.grant.parties()), {"statement": signed.to_json()})
    resting = [held for held in turn.held.values() if held.gid == withdrawal.gid]
    return "recorded", sum(_take_back(held, signed, turn) for held in resting)


def _take_back(held: Held, signed: Signed, turn: Turn) -> int:
    if not held.front or passes_without(held.header(), turn.view):
        return 0
    stopped = 0
    for desk in held.desks:
        if desk.state == "queued":
            _stop(held, desk, signed, turn)
            stopped += 1
        elif desk.state not in ENDED:
            _tell_both(held, desk, "recall", signed, turn)
    return stopped


def _stop(held: Held, desk: Desk, signed: Signed, turn: Turn) -> None:
    turn.move(desk, "withdrawn")
    turn.log_step(held, desk, Event.WITHDRAWN, {"statement": signed.to_json()})
    _tell_both(held, desk, "withdrawn", signed, turn)


def _tell_both(held: Held, desk: Desk, kind: str, signed: Signed, turn: Turn) -> None:
    for agency in sorted({held.sender, desk.agency}):
        turn.tell(agency, kind, held, (desk.agency, desk.desk), signed)


def _verified(signed: Signed, kid: str, agency: str, purpose: Purpose, turn: Turn) -> None:
    key = turn.view.key(kid, Use.CONSENT, turn.now, agency)
    signed.verified(key.public, purpose)
