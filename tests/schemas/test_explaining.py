"""Lawful next steps: what is offered, to whom, and that the rule never refuses again what was offered (G11)."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import explaining_words as words
from schemas.consent import decide
from schemas.decision import Outcome
from schemas.directory import Party
from schemas.directory_statement import Flags
from schemas.envelope import Address, HarmCauser, Header, Law, Recipient
from schemas.explaining import changed, explain, steps_for
from schemas.facts import Coverage, Facts, OnwardFacts, OverrideFacts
from schemas.kinds import KINDS
from schemas.policy import founding
from schemas.sectors import Sector
from tests.tools.forge import LAW, b
from tests.tools.vector_world import ALDER, BIRCH, T0, seed

SCHEMAS = Path(words.__file__).parent
POLICY = founding()
PRIVATE = Flags(public_authority=False, s16la_member=False, cda_relevant=False)
PUBLIC = Flags(public_authority=True, s16la_member=False, cda_relevant=True)
CHARITY, IDVA = Party(PRIVATE, "da_support"), Party(PRIVATE, "idva")
COUNCIL, POLICE, CLINIC = (
    Party(PUBLIC, "childrens_services"),
    Party(PUBLIC, "police"),
    Party(PUBLIC, "health"),
)
UNASKED = {
    "agree": "NOT_SOUGHT",
    "agree_by": None,
    "agree_ver": None,
    "b6": None,
    "told": "BY",
    "told_by": T0 + 60,
}
REFUSED = {**UNASKED, "agree": "REFUSED", "b6": "6f"}
MAY_CHANGE = {"b6", "b9", "s1", "gw", "hc", "why_no", "agree_by", "told", "told_by"}


def facts(
    law: dict[str, Any], *, coverage="covers", sender=CHARITY, parties=(IDVA,), rag="AMBER", **fields: Any
) -> Facts:
    block = {
        name: tuple(value) if isinstance(value, list) else value for name, value in {**LAW, **law}.items()
    }
    base = {
        "v": 1, "mid": b(seed("m")[:16]), "thr": b(seed("t")[:16]), "from": Address(a=ALDER.id, d="duty"), "signer": ALDER.msg.kid,
        "to": tuple(Recipient(a=BIRCH.id, d=f"d{n}", k=BIRCH.prekey.kid) for n in range(len(parties))), "ts": T0, "exp": T0 + 60,
        "cls": "REFER", "rag": rag, "pur": "SUPPORT", "cat": ("ask", "person"), "law": Law(**block), "gid": None, "ovr": None,
        "st": None, "att": (), "kc": b(seed("k")), "ar": b(seed("a")),
    }  # fmt: skip
    return Facts(Header.model_validate({**base, **fields}), coverage, sender, tuple(parties), POLICY, T0)


def explained(asked: Facts):
    return explain(asked, decide(asked))


def offered(asked: Facts, **law: Any):
    """The steps that change the law block to hold these entries."""
    return [step for step in explained(asked).steps if step.law and law.items() <= dict(step.law).items()]


def codes(asked: Facts) -> set[str]:
    return {part for step in explained(asked).steps for part in step.code.split("+")}


# --- nothing is offered that would be refused again, and nothing that would be a lie


SLOW = [HealthCheck.too_slow]
"""A machine that does much else besides is no fault of these inputs."""


def one_of(*values):
    return st.sampled_from(values)


LAWS = st.fixed_dictionaries(
    {
        "agree": one_of("GIVEN", "LIMITED", "NOT_SOUGHT", "REFUSED", "WITHDRAWN", "EXPIRED", "CANNOT_GIVE", "NOT_APPLICABLE"),
        "agree_by": one_of("SELF", None, "BEST_INTERESTS"),
        "b6": one_of(None, "6a", "6c", "6d", "6e", "6f", "6ea:safeguarding", "LE", "6x"),
        "b9": one_of(None, None, "9a", "9c", "9g"),
        "s1": one_of([], [], ["s1:10"], ["s1:18"], ["s1:29"], ["s1:30"], ["s1:10", "s1:36"]),
        "gw": one_of([], [], ["CDA-115"], ["CA89-47"], ["CA04-16LA"], ["DAA21"], ["HA-213B"]),
        "hc": st.none() | st.builds(HarmCauser, b6=one_of("6f", "6e"), s1=one_of((), ("s1:10",), ("s1:30",))),
        "why_no": one_of(None, None, *"ABCDEFG"),
        "spec": st.booleans(), "crim": st.booleans(), "child": st.booleans(), "adult_at_risk": st.booleans(),
        "consent_only": one_of(False, False, True),
        "told": one_of("YES", "NA"),
        "told_by": st.none(),
    }
)  # fmt: skip
PARTIES = st.builds(
    Party, st.builds(Flags, public_authority=st.booleans(), s16la_member=st.booleans(), cda_relevant=st.booleans()),
    st.sampled_from(get_args(Sector)),
)  # fmt: skip
OVERRIDES = st.none() | st.builds(
    OverrideFacts, authoriser_role=one_of("lead", "worker"), author=st.just("a"), authoriser=one_of("a", "b"),
    scope=one_of("msg", "thread"), valid=st.booleans(), covers=st.booleans(), reason=one_of(*"GEF"),
)  # fmt: skip
ANY = st.builds(
    lambda law, more, **fields: replace(facts(law, **fields), **more),
    LAWS,
    st.fixed_dictionaries(
        {
            "override": OVERRIDES,
            "policy": one_of(POLICY, POLICY, POLICY, None),
            "onward": st.lists(
                st.builds(OnwardFacts, one_of("NONE", "ASK"), st.just("SUPPORT"), st.booleans()), max_size=2
            ).map(tuple),
            "switched": st.booleans(),
            "leads": st.booleans(),
        }
    ),
    coverage=st.sampled_from(get_args(Coverage)),
    sender=PARTIES,
    parties=st.lists(PARTIES, min_size=1, max_size=3).map(tuple),
    rag=one_of("RED", "AMBER", "GREEN"),
    cls=one_of("REFER", "SAFEGUARD", "ADMIN", "INFOGIVE", "INFOREQ"),
    pur=one_of("SUPPORT", "CHILD_PROT", "RISK_MGMT", "CRIME", "NOWHERE"),
)


@given(ANY)
@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
def test_each_change_that_is_offered_makes_the_rule_milder(asked: Facts):
    decision = decide(asked)
    for step in explain(asked, decision).steps:
        if step.law:
            again = decide(changed(asked, step.law)).outcome
            assert again < decision.outcome
            assert step.leads_to == again.name
            assert step.say.endswith(words.LEADS_TO[again])


@given(ANY)
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_no_step_changes_what_is_so(asked: Facts):
    """Colour, recipients, whom it is about, what it holds and what the person said are no codes to choose."""
    for step in explained(asked).steps:
        assert set(step.law) <= MAY_CHANGE
        before, after = asked.header.law, changed(asked, step.law).header.law
        same = set(Law.model_fields) - MAY_CHANGE
        assert all(getattr(before, name) == getattr(after, name) for name in same)
        assert "s1:30" not in step.law.get("s1", ())
        assert json.loads(json.dumps(dict(step.law))) == step.law
        Law.model_validate(after.model_dump())


@given(ANY)
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_there_is_always_something_that_a_person_can_do(asked: Facts):
    decision = decide(asked)
    found = explain(asked, decision)
    if not decision.passes:
        assert any(not step.law and step.say for step in found.steps), decision.codes
    assert bool(found.steps) == bool(decision.code)
    assert all(step.say and step.code for step in found.steps)


@given(ANY)
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_a_public_authority_is_never_offered_a_private_basis_and_no_other_its_gateways(asked: Facts):
    for step in explained(asked).steps:
        basis = step.law.get("b6") or ""
        if asked.sender.flags.public_authority:
            assert not basis.startswith(("6f", "6ea:"))
        else:
            assert basis not in ("6e", "6c")


@given(ANY)
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_safeguarding_is_offered_only_where_somebody_is_at_risk(asked: Facts):
    law = asked.header.law
    for step in explained(asked).steps:
        if not (law.child or law.adult_at_risk):
            assert step.law.get("b6") != "6ea:safeguarding"
            assert "s1:18" not in step.law.get("s1", ())
        if law.agree != "CANNOT_GIVE":
            assert step.law.get("b9") != "9c"


# --- what is offered to whom


def test_nothing_is_said_of_a_message_that_goes():
    asked = facts({})
    assert decide(asked).code == ""
    assert explained(asked).steps == ()


def test_a_charity_with_a_child_in_the_message_is_offered_safeguarding():
    asked = facts({**UNASKED, "why_no": "C", "child": True, "spec": True})
    [step] = offered(asked, b6="6ea:safeguarding")
    assert step.law == {"b6": "6ea:safeguarding", "b9": "9g", "s1": ["s1:18"]}
    assert step.leads_to == "HOLD"


def test_a_charity_with_an_adult_at_risk_is_offered_safeguarding():
    assert offered(facts({**UNASKED, "why_no": "B", "adult_at_risk": True}), b6="6ea:safeguarding")


def test_a_charity_without_anybody_at_risk_is_offered_its_balancing_test():
    asked = facts({**UNASKED, "why_no": "B"})
    assert offered(asked, b6="6f")
    assert not offered(asked, b6="6ea:safeguarding")
    assert "balancing test is on file" in offered(asked, b6="6f")[0].say


def test_a_council_is_told_which_gateways_are_open_to_it_and_the_recipient():
    asked = facts(
        {**UNASKED, "b6": "6f", "why_no": "B", "child": True},
        sender=COUNCIL,
        parties=[CLINIC],
        pur="CHILD_PROT",
    )
    named = {code for step in explained(asked).steps for code in step.law.get("gw", ())}
    assert decide(asked).code == "PAPER_PUBLIC"
    assert "CA89-47" in named
    assert "CDA-115" not in named or CLINIC.flags.cda_relevant
    assert "DAA21" not in named
    assert "FGM-5B" not in named


def test_a_duty_comes_first_and_lets_it_go():
    asked = facts(
        {**UNASKED, "why_no": "B", "child": True}, sender=COUNCIL, parties=[CLINIC], pur="CHILD_PROT"
    )
    first = next(step for step in explained(asked).steps if step.law)
    assert first.code == "duty"
    assert first.law["why_no"] == "E"
    assert first.leads_to == "DELIVER"
    assert "If the law requires you" in first.say


def test_a_shut_gateway_is_replaced_by_an_open_one():
    asked = facts({**UNASKED, "b6": "6e", "gw": ["CDA-115"], "why_no": "B"}, sender=POLICE, parties=[IDVA])
    assert decide(asked).code == "PAPER_GATEWAY"
    assert all("CDA-115" not in step.law.get("gw", ()) for step in explained(asked).steps)
    assert offered(asked, gw=[])


def test_two_faults_on_paper_are_mended_together():
    """Neither a basis nor a reason helps alone."""
    asked = facts({**UNASKED, "child": True})
    assert set(decide(asked).codes) == {"PAPER_BASIS", "REASON"}
    [step] = offered(asked, b6="6ea:safeguarding", why_no="C")
    assert step.code == "why-C+safeguarding"
    assert step.leads_to == "HOLD"


def test_only_what_is_needed_is_changed():
    [step, *_] = offered(facts({**UNASKED, "b6": "6f", "spec": True, "why_no": "B"}))
    assert set(step.law) == {"b9", "s1"}


def test_a_green_no_is_a_no():
    asked = facts(REFUSED, rag="GREEN")
    assert decide(asked).code == "REFUSED"
    assert all(not step.law for step in explained(asked).steps)
    assert codes(asked) == {"respect", "lead-override", "danger"}


def test_no_other_basis_gets_round_a_no_without_the_lead():
    for law in ({**REFUSED, "b6": "6a"}, {**REFUSED, "b6": "6a", "why_no": "G"}):
        for step in explained(facts(law)).steps:
            assert step.leads_to in ("", "HOLD")


def test_a_red_no_is_offered_the_emergency_and_999_first():
    asked = facts(REFUSED, rag="RED")
    [step] = offered(asked, why_no="F")
    assert step.leads_to == "DELIVER_ALERT"
    assert "ring 999 first" in step.say


def test_no_emergency_is_offered_to_an_amber():
    assert not offered(facts({**UNASKED, "b6": "6f"}), why_no="F")


def test_overriding_her_no_is_never_a_code_to_choose():
    for rag in ("RED", "AMBER", "GREEN"):
        assert not offered(facts(REFUSED, rag=rag), why_no="G")


def test_a_hold_names_the_person_who_can_end_it():
    asked = facts({**UNASKED, "b6": "6f", "why_no": "B"})
    assert decide(asked).outcome == Outcome.HOLD
    assert "Ring your safeguarding lead" in explained(asked).steps[0].say


def test_an_unproven_agreement_is_looked_at_and_asked_for():
    for coverage in ("unknown", "none", "stale"):
        found = codes(facts({}, coverage=coverage))
        assert "ask-about-this" in found or "wait" in found


def test_consent_only_forms_are_asked_for_or_replaced_by_a_concern():
    assert codes(facts({**UNASKED, "consent_only": True})) >= {"ask", "danger"}


# --- words


def test_every_code_of_the_rule_has_something_that_people_do():
    source = "".join((SCHEMAS / f"{name}.py").read_text(encoding="utf-8") for name in ("consent", "decision"))
    said = {code for code in re.findall(r'"([A-Z][A-Z_]+)"', source) if code in KINDS}
    said |= {f"PAPER_{name}" for name in re.findall(r'"([A-Z]+)"', source) if f"PAPER_{name}" in KINDS}
    assert said - {"TOLD_REVIEW"} - set(words.BY_HAND) == set()


def test_each_list_of_words_is_whole_and_used():
    assert set(words.BY_HAND) <= set(KINDS)
    assert {name for names in words.BY_HAND.values() for name in names} == set(words.HUMAN)


@pytest.mark.parametrize("code", sorted(words.BY_HAND))
def test_a_code_from_elsewhere_has_steps_of_its_own(code):
    assert steps_for(code)


def test_an_unknown_code_has_none():
    assert steps_for("NOTHING") == ()


@pytest.mark.parametrize(
    "word", ["fail", "refuse to", "uncooperative", "engage", "victim", "must have", "obviously", "alleged"]
)
def test_no_step_blames(word):
    said = " ".join((*words.HUMAN.values(), *words.ROUTE.values(), *words.WHY_NOT.values())).lower()
    assert word not in said


def test_every_code_change_says_for_which_situation_it_is_meant():
    for say in (*words.WHY_NOT.values(), *words.ROUTE.values()):
        assert say.startswith(("If ", "A child or an adult at risk", "You are a public authority", "Say "))
