"""Deciding again: what the relay's record says that it knew, put to the rule once more (PROTOCOL.md C18). Pure.

What cannot be asked again (a policy that this mirror has no text of, a refusal that came before the rule) is no fault.
"""

from __future__ import annotations

from dataclasses import replace

from schemas.canonical import Json
from schemas.consent import decide
from schemas.covering import moment, weigh
from schemas.decision import Outcome
from schemas.directory import Directory
from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.facts import Facts
from schemas.grants import check_grant, parse_grant, parse_status, parse_withdrawal, written_after
from schemas.keys import Use
from schemas.override import Override, parse_override, terms_of
from schemas.policing import LATE
from schemas.policy import Policy
from schemas.recorded import read_facts
from schemas.sealing import status_hash
from schemas.shelf import Shelf
from schemas.signing import Purpose, Signed

WORDS = {
    Outcome.DELIVER: "deliver",
    Outcome.DELIVER_ALERT: "alert",
    Outcome.HOLD: "hold",
    Outcome.BLOCK: "refuse",
}
PASSED = frozenset({"deliver", "alert"})


def decided_otherwise(
    header: Header, ts: int, version: int | None, facts: dict[str, Json], view: Directory, shelf: Shelf
) -> tuple[str, ...]:
    """The faults of a recorded decision: "policy", "parties", "covered", "signed", "switched", "decided".

    Args:
        version: the policy that the record names, None when it names none.
        facts: the record, whose `decision` and whose agreement are looked at.
        shelf: the policies whose texts are at hand.

    Raises:
        Refusal: FORM when what the relay says that it knew is in no known form.
    """
    said = facts["decision"]
    if said.get("known") is None:
        return ()
    policy = _policy(version, view, shelf)
    known = read_facts(header, said["known"], policy, ts)
    faults = () if _counted(version, ts, view) else ("policy",)
    if not _were(known, ts, view):
        faults = (*faults, "parties")
    if known.coverage == "covers" and not _covers(known, facts, view):
        faults = (*faults, "covered")
    if known.switched != _switched(header, facts):
        faults = (*faults, "switched")
    if version is not None and policy is None:
        return faults
    if known.override is not None and not _signed(known, facts, view):
        faults = (*faults, "signed")
    if said["outcome"] in PASSED and not _released(known, facts, view):
        faults = (*faults, "policy")
    decision = decide(known)
    told = (WORDS[decision.outcome], decision.code, list(decision.rows))
    return faults if told == (said["outcome"], said["code"], said["rows"]) else (*faults, "decided")


def _policy(version: int | None, view: Directory, shelf: Shelf) -> Policy | None:
    entry = next((one for one in view.policies.entries if one.version == version), None)
    return None if entry is None else shelf.policies.get(entry.digest)


def _counted(version: int | None, ts: int, view: Directory) -> bool:
    """Whether the policy that the record names was in force then, give or take the relay's clock."""
    return version is None or any(
        one.version == version for one in view.policies.between(ts - LATE, ts + LATE)
    )


def _were(known: Facts, at: int, view: Directory) -> bool:
    """Whether the directory gave these agencies these flags and sectors then, or within ten minutes of then."""
    agencies = [known.header.sender.a, *(row.a for row in known.header.to)]
    try:
        return (known.sender, *known.parties) in view.parties(agencies, at)
    except Refusal:
        return False


def _quoted(facts: dict[str, Json]) -> Override | None:
    return None if facts.get("override") is None else parse_override(Signed.from_json(facts["override"]))


def _signed(known: Facts, facts: dict[str, Json], view: Directory) -> bool:
    """Whether the override in the record is worth what the relay says, by this mirror's view of the directory."""
    worth = weigh(known.header, _quoted(facts), view, terms_of(known.policy), known.now)
    return worth.facts == known.override


def _released(known: Facts, facts: dict[str, Json], view: Directory) -> bool:
    """Whether what waited for its lead went by a policy of her moment, and the rule let it pass then (O11)."""
    signed = moment(known.header, _quoted(facts))
    if known.now <= known.header.ts + LATE:  # it did not wait
        return True
    same = view.policies.same_around(signed, known.now) and _were(known, signed, view)
    return same and decide(replace(known, now=signed)).passes


def _switched(header: Header, facts: dict[str, Json]) -> bool:
    """Whether the message was written after the withdrawal that the record quotes (row 17)."""
    quoted = facts.get("withdrawal")
    try:
        return quoted is not None and written_after(header, parse_withdrawal(Signed.from_json(quoted)))
    except Refusal:
        return False


def _covers(known: Facts, facts: dict[str, Json], view: Directory) -> bool:
    """Whether the agreement in the record covers the message, by this mirror's own view of the directory."""
    header = known.header
    try:
        signed, staple = Signed.from_json(facts.get("grant")), Signed.from_json(facts.get("status"))
        grant, status = parse_grant(signed), parse_status(staple)
        signed.verified(view.key(grant.signer, Use.CONSENT, grant.nbf, grant.iss).public, Purpose.GRANT)
        staple.verified(view.key(status.signer, Use.CONSENT, status.ts, grant.iss).public, Purpose.STATUS)
        check_grant(header, grant, status, known.now)
    except Refusal:
        return False
    return header.st == status_hash(staple) and facts.get("withdrawal") is None
