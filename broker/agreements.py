"""Grants, staples and withdrawals at their turn (PROTOCOL.md C1-C6).

Rules of this house:
- a grant and its staples come from the issuer alone; a withdrawal from the issuer or any party, at any time, and for
  an agreement that somebody is no party to it sounds as if there were none;
- a withdrawal takes back, in its own transaction, every message that rests on the grant and was not yet collected;
  what the rule would still let pass without the agreement goes on. A newer version that holds less does the same to
  what no longer fits it.
"""

from __future__ import annotations

from broker.inquiries import inquiry_facts
from broker.intake import MAX_SKEW, passes_without, switched
from broker.overrides import shown
from broker.recalls import owe
from broker.turn import Agreement, Desk, Held, Turn
from broker.unsigned import spare
from schemas.audit import Event
from schemas.errors import Refusal
from schemas.grants import Grant, Status, Withdrawal, parse_grant, parse_status, parse_withdrawal, within
from schemas.keys import Use
from schemas.receipt import ENDED
from schemas.sealing import status_hash
from schemas.signing import Purpose, Signed

UNRELEASED: frozenset[str] = frozenset({"queued", "held"})
"""States in which no page has been confirmed: a withdrawal stops these, and recalls the others."""
MAX_PARTIES = 60
"""Fewer than a sealed record has readers (S1); oversight is one of them."""
SIGN_ANEW = (
    "This withdrawal is dated too far back. Nothing was withdrawn yet: sign it anew, with the present time."
)
GRANT_KEPT = 14 * 24 * 3600
"""A grant is kept past its end for as long as a message that rests on it can live."""


def record_grant(signed: Signed, requester: str, turn: Turn) -> str:
    """Take a grant; "repeat" when it is there already.

    Raises:
        Refusal: FORM, GRANT (dates), NOT_ALLOWED, TOO_BIG, UNKNOWN_AGENCY, EXPIRED, FUTURE, AGREEMENT_ENDED (it was
            withdrawn), OLDER (its handle has a newer version), ID_CLASH, PURPOSE (not one of the policy), and as
            Directory.key.
    """
    grant = parse_grant(signed)
    if grant.iss != requester:
        raise Refusal("NOT_ALLOWED", "Only the agency that asked the person can record her agreement.")
    known = turn.agreements.get(grant.gid)
    if known is not None:
        return _again(known, grant, signed, turn)
    if len(grant.parties()) > MAX_PARTIES:
        raise Refusal("TOO_BIG", "An agreement names at most 60 agencies. Make two.")
    for agency in sorted(grant.parties()):
        turn.view.member(agency)
    if turn.policy is not None and not turn.policy.purposes.keys() >= set(grant.pur):
        raise Refusal("PURPOSE")
    if grant.exp <= turn.now:
        raise Refusal("EXPIRED")
    if grant.nbf - turn.now > MAX_SKEW:
        raise Refusal("FUTURE")
    _verified(signed, grant.signer, grant.iss, Purpose.GRANT, grant.nbf, turn)
    turn.agreements[grant.gid] = Agreement(grant, signed, {}, None)
    turn.rows.grants.append(
        {"gid": grant.gid, "text": signed.text, "sig": signed.signature, "until": grant.exp + GRANT_KEPT}
    )
    turn.log(Event.GRANT, turn.draw(32), set(grant.parties()), {"statement": signed.to_json()})
    return "recorded"


def _again(known: Agreement, grant: Grant, signed: Signed, turn: Turn) -> str:
    """A grant whose handle is there already: the same, an older version, or a newer one that holds less (J3)."""
    if known.grant.iss == grant.iss and known.withdrawal is not None:
        raise Refusal("AGREEMENT_ENDED")
    if known.signed.text == signed.text:
        return "repeat"
    if known.grant.iss == grant.iss and grant.ver < known.grant.ver:
        raise Refusal("OLDER")
    if not grant.narrows(known.grant):
        raise Refusal("ID_CLASH")
    if grant.nbf - turn.now > MAX_SKEW:
        raise Refusal("FUTURE")
    _verified(signed, grant.signer, grant.iss, Purpose.GRANT, grant.nbf, turn)
    known.grant, known.signed = grant, signed
    turn.rows.limited.append({"key": grant.gid, "newer_text": signed.text, "newer_sig": signed.signature})
    turn.log(Event.GRANT, turn.draw(32), set(grant.parties()), {"statement": signed.to_json()})
    owe(known, grant, signed, turn)
    for held in turn.held.values():
        if held.gid == grant.gid and held.front and not within(held.header(), grant):
            _take_back(held, signed, turn, recall=False)
    return "recorded"


def record_status(signed: Signed, requester: str, turn: Turn) -> str:
    """Take a staple of a standing grant. It is no event of its own: it travels inside what rests on it.

    Raises:
        Refusal: FORM, STATUS_STALE, NOT_FOUND, AGREEMENT_ENDED, FUTURE, OLDER (than the newest), and as Directory.key.
    """
    status: Status = parse_status(signed)
    agreement = turn.agreements.get(status.gid)
    if agreement is None or agreement.grant.iss != requester:
        raise Refusal("NOT_FOUND")
    if agreement.withdrawal is not None:
        raise Refusal("AGREEMENT_ENDED")
    name = status_hash(signed)
    if name in agreement.statuses:
        return "repeat"
    if status.ts - turn.now > MAX_SKEW:
        raise Refusal("FUTURE")
    if status.exp <= turn.now:
        raise Refusal("STATUS_STALE")
    if any(status.ts < known.ts for known, _ in agreement.statuses.values()):
        raise Refusal("OLDER")
    _verified(signed, status.signer, requester, Purpose.STATUS, status.ts, turn)
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
        Refusal: FORM, NOT_ALLOWED, NOT_FOUND, FUTURE, CLOCK (it is to be signed anew), and as Directory.key.
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
    if turn.now - withdrawal.ts > MAX_SKEW:
        # Dated back, it would make what was honestly sent before look like a change of basis (row 17).
        raise Refusal("CLOCK", SIGN_ANEW)
    _verified(signed, withdrawal.signer, requester, Purpose.WITHDRAW, withdrawal.ts, turn)
    agreement.withdrawal = signed
    turn.rows.withdrawals.append(
        {"key": withdrawal.gid, "withdrawn_text": signed.text, "withdrawn_sig": signed.signature}
    )
    turn.log(Event.WITHDRAW, turn.draw(32), set(agreement.grant.parties()), {"statement": signed.to_json()})
    owe(agreement, withdrawal, signed, turn)
    resting = [held for held in turn.held.values() if held.gid == withdrawal.gid]
    return "recorded", sum(_take_back(held, signed, turn) for held in resting)


def _take_back(held: Held, signed: Signed, turn: Turn, *, recall: bool = True) -> int:
    if not held.front:
        return 0
    header = held.header()
    new_basis = switched(header, turn.agreements.get(header.gid or ""))
    facts, asked = shown(header, turn).facts, inquiry_facts(header, turn)
    if passes_without(header, turn.view, turn.policy, turn.now, facts, new_basis=new_basis, request=asked):
        return 0
    stopped = 0
    for desk in held.desks:
        if desk.state in UNRELEASED:
            _stop(held, desk, signed, turn)
            stopped += 1
        elif recall and desk.state not in ENDED:
            _tell_both(held, desk, "recall", signed, turn)
    spare(held, turn)
    return stopped


def _stop(held: Held, desk: Desk, signed: Signed, turn: Turn) -> None:
    waits = desk.state == "held"  # nobody but its sender knows of it, and so it stays
    turn.move(desk, "withdrawn")
    turn.log_step(held, desk, Event.WITHDRAWN, {"statement": signed.to_json()})
    if waits:
        turn.tell(held.sender, "withdrawn", held, (desk.agency, desk.desk), signed)
    else:
        _tell_both(held, desk, "withdrawn", signed, turn)


def _tell_both(held: Held, desk: Desk, kind: str, signed: Signed, turn: Turn) -> None:
    for agency in sorted({held.sender, desk.agency}):
        turn.tell(agency, kind, held, (desk.agency, desk.desk), signed)


def _verified(signed: Signed, kid: str, agency: str, purpose: Purpose, said: int, turn: Turn) -> None:
    """Its key stands now, and stood at the time in it, by which agents check it: what is taken here, they believe."""
    turn.view.key(kid, Use.CONSENT, said, agency)
    key = turn.view.key(kid, Use.CONSENT, turn.now, agency)
    signed.verified(key.public, purpose)
