"""The consent rule: one pure table that decides whether a message may pass (PROTOCOL.md C7-C12).

Rules of this house:
- every row is evaluated; the strictest outcome wins: BLOCK > HOLD > DELIVER+ALERT > DELIVER;
- two exceptions, and no third: a statutory duty (row 12) switches off the rows about agreement, and break-glass
  (row 16) turns a HOLD and the blocks named in BREAKABLE into DELIVER+ALERT;
- a paperwork fault never stops a RED; a clear "no" always stops a GREEN;
- the sender's agent warns with it, the relay gates with it, the recipient checks with it, an auditor re-derives it.

Row numbers are those of the partnership's rule table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.decision import Decision, Lead, Outcome, Verdict
from schemas.facts import Facts, OnwardFacts
from schemas.reading import Reading

DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: its number and what it says of this reading, or None when it does not speak."""

    number: int
    judge: Callable[[Reading], Verdict | None]


BREAKABLE = frozenset({"SCOPE", "REFUSED", "REASON", "AUTHORISER", "NO_AGREEMENT"})
SWITCHED_OFF_BY_DUTY = frozenset({9, 10, 11, 13, 14, 15, 17})
NEVER_BROKEN = frozenset({1, 3, 6, 13, 20})
ANSWERS_AGREEMENT = frozenset({2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17})
"""The rows that say what the state of the agreement comes to. When none of them speaks, nobody foresaw it."""

NOTHING_SHOWN = frozenset({"none", "unknown"})
"""No agreement is named, or nobody holds it: not even an old staple stands behind the word."""

DELIVER = Verdict(Outcome.DELIVER)
LEAD_AFTER = Verdict(Outcome.DELIVER_ALERT, "LEAD_AFTER", "after")
LEAD_SIGNED = Verdict(Outcome.DELIVER_ALERT, "LEAD_SIGNED")
HOLD_LEAD = Verdict(Outcome.HOLD, "HOLD_LEAD", "before")
UNFORESEEN = Verdict(Outcome.HOLD, "UNFORESEEN", "before")
UNFORESEEN_GOES = Verdict(Outcome.DELIVER_ALERT, "UNFORESEEN", "after")
NO_POLICY = Verdict(Outcome.DELIVER_ALERT, "POLICY", "after")


def _block(code: str) -> Verdict:
    return Verdict(Outcome.BLOCK, code)


def _paper(code: str, lead: Lead = "") -> Callable[[Reading], Verdict]:
    """A fixable fault: a RED goes and rings a bell, anything else waits for the fix."""
    goes, waits = Verdict(Outcome.DELIVER_ALERT, code, lead), Verdict(Outcome.BLOCK, code)
    return lambda of: goes if of.red else waits


VOCABULARY, PURPOSE, CONSENT_ONLY, ASK_FIRST = map(
    _block, ("VOCABULARY", "PURPOSE", "CONSENT_ONLY", "ASK_FIRST")
)
BASIS, SCOPE, REFUSED, AUTHORISER, VIR = map(_block, ("BASIS", "SCOPE", "REFUSED", "AUTHORISER", "VIR"))
NO_AGREEMENT, REASON, ONWARD = (_paper(code, "after") for code in ("NO_AGREEMENT", "REASON", "ONWARD"))
SPECIAL, CRIMINAL, RISK, INCAPABLE, PUBLIC, GATEWAY, PRESUMED, UNBASED, DATES, DECIDER, BOTH, TOLD = (
    _paper(f"PAPER_{name}")
    for name in (
        "SPECIAL", "CRIMINAL", "RISK", "INCAPABLE", "PUBLIC", "GATEWAY", "PRESUMED", "BASIS", "DATES", "DECIDER",
        "BOTH", "TOLD",
    )
)  # fmt: skip
GRANT = _paper("GRANT", "after")  # a word of agreement that nothing shows is no better than a missing reason
CLAIMED = Verdict(Outcome.DELIVER_ALERT, "CLAIMED", "after")
OVERRIDE, NO_REQUEST = _paper("OVERRIDE"), _paper("NO_REQUEST")


def _unknown_code(of: Reading) -> Verdict | None:
    return None if of.known else VOCABULARY


def _no_personal_data(of: Reading) -> Verdict | None:
    return None if of.personal else DELIVER


def _purpose(of: Reading) -> Verdict | None:
    purpose = of.policy.purposes.get(of.header.pur)
    if purpose is None:
        return PURPOSE
    sectors = purpose.sectors
    shut = sectors is not None and any(party.sector not in sectors for party in of.facts.parties)
    return PURPOSE if shut else None


def _sharing(of: Reading) -> Verdict | None:
    if not of.personal:  # an agreement between agencies is about people's data
        return None
    header = of.header
    recipients = [to.a for to in header.to]
    stands = of.policy.shares(header.sender.a, recipients, header.pur, of.facts.now)
    # A purpose that nobody shares for is row 3's.
    return None if stands or header.pur not in of.policy.purposes else NO_AGREEMENT(of)


def _special(of: Reading) -> Verdict | None:
    return SPECIAL(of) if of.law.spec and of.law.b9 is None else None


def _criminal(of: Reading) -> Verdict | None:
    if not of.law.crim or "crime" in of.paragraphs:
        return None
    basis = of.policy.bases.get(of.law.b6 or "")
    official = of.sender.flags.public_authority and basis is not None and "authority" in basis.marks
    return None if official else CRIMINAL(of)


def _at_risk(of: Reading) -> Verdict | None:
    named = "at_risk" in of.paragraphs
    return RISK(of) if named and not (of.law.child or of.law.adult_at_risk) else None


def _incapable(of: Reading) -> Verdict | None:
    if of.state == "cannot":
        return None
    condition = of.policy.conditions.get(of.law.b9 or "")
    named = "incapable" in of.s1 or (condition is not None and "incapable" in condition.marks)
    return INCAPABLE(of) if named else None


def _public_basis(of: Reading) -> Verdict | None:
    return PUBLIC(of) if of.private and of.sender.flags.public_authority else None


def _gateway(of: Reading) -> Verdict | None:
    return GATEWAY(of) if of.gates_shut else None


def _presumed(of: Reading) -> Verdict | None:
    return PRESUMED(of) if of.state == "given" and "presumes" in of.s1 else None


def _unbased(of: Reading) -> Verdict | None:
    return UNBASED(of) if of.law.b6 is None and of.personal else None


def _outdated(of: Reading) -> Verdict | None:
    return DATES(of) if of.outdated else None


def _undecided(of: Reading) -> Verdict | None:
    # Silence is never agreement: somebody gave it.
    return DECIDER(of) if of.agreed and of.law.agree_by is None else None


def _both_ways(of: Reading) -> Verdict | None:
    return BOTH(of) if of.inside and of.why in ("reason", "overriding") else None


def _consent_only(of: Reading) -> Verdict | None:
    # A staple that is too old proves nothing either, so here it stops even a RED: there are other kinds for danger.
    return CONSENT_ONLY if of.law.consent_only and not of.inside else None


def _given(of: Reading) -> Verdict | None:
    return DELIVER if of.inside and of.state == "given" else None


def _limited(of: Reading) -> Verdict | None:
    return DELIVER if of.inside and of.state == "limited" else None


def _outside(of: Reading) -> Verdict | None:
    """As a refusal: what rows 13 to 15 make of it."""
    if not of.outside:
        return None
    return _basis_gone(of) or _overriding(of) or _refused(of)


def _unproven(of: Reading) -> Verdict | None:
    if not of.unproven:
        return None
    # Nobody said no, so it goes; but nothing else carries it, and so it is as loud as breaking the glass.
    return CLAIMED if of.red and of.rests_on_consent and of.facts.coverage in NOTHING_SHOWN else GRANT(of)


def _no_reason(of: Reading) -> Verdict | None:
    return REASON(of) if of.state == "unasked" and not of.why and of.personal else None


def _unasked(of: Reading) -> Verdict | None:
    if of.why != "reason" or of.state not in ("unasked", "cannot"):
        return None
    if of.green and of.state == "unasked":
        return ASK_FIRST
    if of.signed:
        return LEAD_SIGNED
    return LEAD_AFTER if of.red else HOLD_LEAD


def _duty(of: Reading) -> Verdict | None:
    return DELIVER if of.duty else None


def _duty_told(of: Reading) -> Verdict | None:
    return TOLD(of) if of.duty and of.policy.told.get(of.law.told) == "none" else None


def _basis_gone(of: Reading) -> Verdict | None:
    if not (of.no and of.rests_on_consent):
        return None
    return SCOPE if of.outside else BASIS


def _overriding(of: Reading) -> Verdict | None:
    if not of.no or of.why != "overriding" or of.green or of.rests_on_consent:
        return None
    return Verdict(Outcome.DELIVER_ALERT, "OVERRIDDEN") if of.signed else HOLD_LEAD


def _refused(of: Reading) -> Verdict | None:
    if not (of.no and (of.green or not of.why)):
        return None
    return SCOPE if of.outside else REFUSED


def _break_glass(of: Reading) -> Verdict | None:
    if not (of.red and of.why == "emergency"):
        return None
    return LEAD_SIGNED if of.signed else LEAD_AFTER


def _switched(of: Reading) -> Verdict | None:
    if not of.facts.switched or of.state != "withdrawn" or of.green:
        return None
    basis = of.policy.bases.get(of.law.b6 or "")
    if basis is not None and "consent" in basis.marks:
        return None
    if of.signed:
        return Verdict(Outcome.DELIVER_ALERT, "BASIS_SWITCH")
    return Verdict(Outcome.HOLD, "BASIS_SWITCH", "before")


def _authoriser(of: Reading) -> Verdict | None:
    override = of.facts.override
    needed = override is not None or (of.no and of.why == "overriding")
    if of.authoriser_wrong or (needed and not of.facts.leads):
        return AUTHORISER
    named = override is not None or of.header.ovr is not None
    return OVERRIDE(of) if named and not of.signed else None


def _no_request(of: Reading) -> Verdict | None:
    if of.header.cls != "INFOGIVE":
        return None
    request = of.facts.request
    asked = (
        of.law.rfi is not None
        and request is not None
        and request.open
        and request.asked.issuperset(of.header.cat)
    )
    return None if asked else NO_REQUEST(of)


def _unattested(of: Reading) -> Verdict | None:
    if of.header.cls != "INFOREQ" or not of.personal:
        return None
    needs = of.policy.attestations
    if of.sender.sector == "police" and any(
        need == "always" and code not in of.law.vir for code, need in needs.items()
    ):
        return VIR
    named = {needs.get(code) for code in of.law.vir}
    return VIR if "counselling" in named and "senior" not in named else None


def _review(of: Reading) -> Verdict | None:
    due = of.law.told_by
    if due is None or due >= of.facts.now or of.policy.told.get(of.law.told) != "unsafe":
        return None
    return Verdict(Outcome.DELIVER, note="TOLD_REVIEW")


def _far_review(of: Reading) -> Verdict | None:
    due = of.law.told_by
    if due is None or of.policy.told.get(of.law.told) != "unsafe":
        return None
    return TOLD(of) if due > of.header.ts + of.policy.thresholds.unsafe_days * DAY else None


def _onward(of: Reading) -> Verdict | None:
    return None if all(_free(of, source) for source in of.facts.onward) else ONWARD(of)


def _free(of: Reading, source: OnwardFacts) -> bool:
    means = of.policy.onward.get(source.source, "never")
    within = means == "within" and source.purpose == of.header.pur
    return within or (means != "never" and source.granted)


def _unforeseen(of: Reading) -> Verdict | None:
    if of.answered:
        return None
    if of.signed:
        return LEAD_SIGNED
    return UNFORESEEN_GOES if of.red else UNFORESEEN


def _no_policy(of: Reading) -> Verdict | None:
    return NO_POLICY if of.facts.policy is None else None


TABLE: tuple[Row, ...] = (
    Row(1, _unknown_code),
    Row(2, _no_personal_data),
    Row(3, _purpose),
    Row(4, _sharing),
    Row(5, _special),
    Row(5, _criminal),
    Row(5, _at_risk),
    Row(5, _incapable),
    Row(5, _public_basis),
    Row(5, _gateway),
    Row(5, _presumed),
    Row(5, _unbased),
    Row(5, _outdated),
    Row(5, _undecided),
    Row(5, _both_ways),
    Row(6, _consent_only),
    Row(7, _given),
    Row(8, _limited),
    Row(9, _outside),
    Row(9, _unproven),
    Row(10, _no_reason),
    Row(11, _unasked),
    Row(12, _duty),
    Row(12, _duty_told),
    Row(13, _basis_gone),
    Row(14, _overriding),
    Row(15, _refused),
    Row(16, _break_glass),
    Row(17, _switched),
    Row(18, _authoriser),
    Row(19, _no_request),
    Row(20, _unattested),
    Row(21, _review),
    Row(21, _far_review),
    Row(22, _onward),
    Row(23, _unforeseen),
    Row(23, _no_policy),
)
"""Row 1's other parts (form, keys, replay) are held before the rule is asked."""


def decide(facts: Facts) -> Decision:
    """Whether this message may pass, why, and what to do if not (C7)."""
    if facts.policy is None and facts.header.rag != "RED":
        return Decision(Outcome.BLOCK, "POLICY", (23,), ("POLICY",))
    of = Reading(facts)
    spoken: list[tuple[int, Verdict]] = []
    for row in TABLE:
        if (verdict := row.judge(of)) is not None:
            spoken.append((row.number, verdict))
            of.answered = of.answered or row.number in ANSWERS_AGREEMENT
    if of.duty:
        spoken = [(n, v) for n, v in spoken if n not in SWITCHED_OFF_BY_DUTY]
    if of.red and of.why == "emergency":
        spoken = [(n, _broken(n, v)) for n, v in spoken]
    return _strictest(spoken)


def _strictest(spoken: list[tuple[int, Verdict]]) -> Decision:
    worst = max([verdict.outcome for _, verdict in spoken])
    rows: dict[int, None] = {}
    codes: dict[str, None] = {}
    notes: tuple[str, ...] = ()
    lead: Lead = ""
    for number, verdict in spoken:
        if verdict.note:
            notes = (*notes, verdict.note)
        if verdict.outcome == worst:
            rows[number] = None
            if verdict.code:
                codes[verdict.code] = None
            lead = lead or verdict.lead
    return Decision(worst, next(iter(codes), ""), tuple(rows), tuple(codes), lead, notes)


def _broken(number: int, verdict: Verdict) -> Verdict:
    stopped = verdict.outcome == Outcome.HOLD or (
        verdict.outcome == Outcome.BLOCK and verdict.code in BREAKABLE
    )
    return LEAD_AFTER if stopped and number not in NEVER_BROKEN else verdict
