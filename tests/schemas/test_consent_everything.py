"""The consent rule over every combination of what it mostly reads, and the promises that hold for all of them."""

import itertools

import pytest

from schemas.consent import decide
from schemas.decision import Decision
from schemas.facts import Facts
from schemas.kinds import KINDS
from schemas.reading import Reading
from tests.schemas.consent_cases import ALERT, CHARITY, CLINIC, GO, HOLD, POLICY, T0, header

LAWS = [
    {
        "agree": agree, "why_no": why, "b6": b6, "gw": gw, "consent_only": only, "spec": spec, "child": child,
        "b9": None, "s1": (), "crim": False,
    }
    for agree in ("GIVEN", "NOT_SOUGHT", "REFUSED", "WITHDRAWN", "CANNOT_GIVE", "NOT_APPLICABLE")
    for why in (None, *"AEFG") for b6 in ("6a", "6f", None) for gw in ((), ("CA89-47",))
    for only in (False, True) for spec in (False, True) for child in (False, True)
]  # fmt: skip
COVERAGES = ("none", "covers", "outside", "withdrawn", "stale", "unknown")


@pytest.fixture(scope="module")
def everything() -> list[tuple[Facts, Decision]]:
    blank = header({})
    found = []
    for law, rag in itertools.product(LAWS, ("RED", "AMBER", "GREEN")):
        block = blank.law.model_copy(update=law)
        one = blank.model_copy(update={"law": block, "rag": rag})
        for coverage in COVERAGES:
            facts = Facts(one, coverage, CHARITY, (CLINIC,), POLICY, T0)
            found.append((facts, decide(facts)))
    return found


def duty(facts: Facts) -> bool:
    law = facts.header.law
    return law.why_no == "E" and "CA89-47" in law.gw and law.child


def test_a_paper_fault_never_stops_a_red(everything: list[tuple[Facts, Decision]]):
    stops = {(d.code, d.rows) for f, d in everything if f.header.rag == "RED" and not d.passes}
    assert {code for code, _ in stops} == {"CONSENT_ONLY", "BASIS", "REFUSED", "SCOPE", "HOLD_LEAD"}
    assert {row for _, rows in stops for row in rows} == {6, 9, 13, 14, 15}


def test_a_clear_no_always_stops_a_green(everything: list[tuple[Facts, Decision]]):
    through = [f for f, d in everything if f.header.rag == "GREEN" and Reading(f).no and d.passes]
    assert through
    assert all(duty(facts) for facts in through)


def test_a_withdrawal_stops_what_rests_on_agreement_in_any_colour(everything: list[tuple[Facts, Decision]]):
    rested = [
        (f, d)
        for f, d in everything
        if f.coverage == "withdrawn" and f.header.law.b6 == "6a" and f.header.law.agree != "CANNOT_GIVE"
    ]
    assert rested
    assert all(not d.passes or duty(f) for f, d in rested)


def test_break_glass_gets_a_red_through_whatever_the_agreement(everything: list[tuple[Facts, Decision]]):
    glass = [(f, d) for f, d in everything if f.header.rag == "RED" and f.header.law.why_no == "F"]
    stopped = {d.code for _, d in glass if not d.passes}
    assert stopped == {"CONSENT_ONLY", "BASIS", "SCOPE"}
    assert all(d.outcome == ALERT for _, d in glass if d.passes)


def test_consent_only_needs_consent(everything: list[tuple[Facts, Decision]]):
    through = [f for f, d in everything if f.header.law.consent_only and d.passes]
    assert through
    assert all(Reading(f).agreed and f.coverage == "covers" for f in through)


def test_nothing_passes_without_a_row_that_says_so(everything: list[tuple[Facts, Decision]]):
    for facts, decision in everything:
        if decision.outcome == GO:
            assert decision.code == ""
            assert (Reading(facts).agreed and facts.coverage == "covers") or duty(facts)
        else:
            assert decision.code in KINDS
        assert decision.rows


def test_a_later_word_of_no_is_never_milder(everything: list[tuple[Facts, Decision]]):
    """Withdrawing never lets through what would have been stopped before, save where a duty carries it."""
    outcomes = {(id(facts.header), facts.coverage): decision.outcome for facts, decision in everything}
    for facts, decision in everything:
        if facts.coverage != "covers" or duty(facts) or facts.header.law.agree == "CANNOT_GIVE":
            continue
        after = outcomes[id(facts.header), "withdrawn"]
        if Reading(facts).agreed:
            assert after >= min(decision.outcome, HOLD)
