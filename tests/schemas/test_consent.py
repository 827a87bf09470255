"""The consent rule as a table of cases: each row, its boundary, and how rows 12 and 16 change it.

The last part goes through every combination of what the rule reads and holds the promises: a paperwork fault never
stops a RED; a clear "no" always stops a GREEN.
"""

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest

from schemas.consent import (
    BREAKABLE,
    NEVER_BROKEN,
    SWITCHED_OFF_BY_DUTY,
    TABLE,
    Decision,
    Outcome,
    decide,
)
from schemas.directory import Flags, Party
from schemas.envelope import Address, HarmCauser, Header, Law, Recipient
from schemas.errors import KINDS
from schemas.facts import Facts
from schemas.policy import founding
from tests.tools.forge import LAW, b
from tests.tools.vector_world import ALDER, BIRCH, CEDAR, T0, seed

POLICY = founding()
PRIVATE = Flags(public_authority=False, s16la_member=False, cda_relevant=False)
PUBLIC = Flags(public_authority=True, s16la_member=True, cda_relevant=True)
CHARITY, CLINIC, SCHOOL = (Party(PRIVATE, sector) for sector in ("da_support", "health", "education"))
COUNCIL, POLICE = Party(PUBLIC, "childrens_services"), Party(PUBLIC, "police")
GO, ALERT, HOLD, STOP = Outcome.DELIVER, Outcome.DELIVER_ALERT, Outcome.HOLD, Outcome.BLOCK
UNASKED = {"agree": "NOT_SOUGHT", "agree_by": None, "agree_ver": None, "b6": "6f"}
NO = {**UNASKED, "agree": "REFUSED"}
DUTY = {"why_no": "E", "gw": ("CA89-47",), "child": True}


def header(law: dict[str, Any], **fields: Any) -> Header:
    block = {
        **{name: tuple(value) if isinstance(value, list) else value for name, value in LAW.items()},
        **law,
    }
    base = {
        "v": 1, "mid": b(seed("m")[:16]), "thr": b(seed("t")[:16]), "from": Address(a=ALDER.id, d="duty"), "signer": ALDER.msg.kid,
        "to": (Recipient(a=BIRCH.id, d="idva", k=BIRCH.prekey.kid),), "ts": T0, "exp": T0 + 60, "cls": "REFER", "rag": "AMBER",
        "pur": "SUPPORT", "cat": ("ask", "person"), "law": Law(**block), "gid": None, "ovr": None, "st": None, "att": (),
        "kc": b(seed("k")), "ar": b(seed("a")),
    }  # fmt: skip
    return Header.model_validate({**base, **fields})


@dataclass(frozen=True)
class Case:
    """What is asked, and the answer: outcome, code, and one row that must be among those that decided."""

    name: str
    row: int
    outcome: Outcome
    code: str = ""
    law: dict[str, Any] = field(default_factory=dict)
    rag: str = "AMBER"
    coverage: str = "covers"
    sender: Party = CHARITY
    parties: tuple[Party, ...] = (CLINIC,)
    cls: str = "REFER"
    more: dict[str, Any] = field(default_factory=dict)

    def decision(self) -> Decision:
        fields = {"rag": self.rag, "cls": self.cls, **self.more}
        to = tuple(Recipient(a=CEDAR.id, d=f"d{n}", k=CEDAR.prekey.kid) for n in range(len(self.parties)))
        return decide(Facts(header(self.law, to=to, **fields), self.coverage, self.sender, self.parties, POLICY, T0))


def paper(name: str, row: int, code: str, **fields: Any) -> list[Case]:
    """A fault on paper: BLOCK for GREEN and AMBER, an alert for RED, an alert with break-glass, no change by a duty."""
    law = fields.pop("law", {})
    return [
        Case(f"{name}, GREEN", row, STOP, code, law, "GREEN", **fields),
        Case(f"{name}, AMBER", row, STOP, code, law, "AMBER", **fields),
        Case(f"{name}, RED", row, ALERT, code, law, "RED", **fields),
        Case(f"{name}, RED and break-glass", row, ALERT, code, {**law, "why_no": "F"}, "RED", **fields),
    ]


S1 = ("s1:18",)
CASES: list[Case] = [
    # 2: about nobody
    Case("nothing personal", 2, GO, law={**UNASKED, "pd": "none", "agree": "NOT_APPLICABLE"}, cls="ADMIN", more={"cat": ()}, coverage="none"),
    Case("nothing personal, says the header, of a referral", 10, STOP, "REASON", {**UNASKED, "pd": "none", "agree": "NOT_APPLICABLE"}, coverage="none", more={"cat": ()}),
    Case("nothing personal, says the header, with a person inside", 10, STOP, "REASON", {**UNASKED, "pd": "none", "agree": "NOT_APPLICABLE"}, cls="ADMIN", coverage="none"),
    Case("nothing personal, says the header, with a child's mark", 10, STOP, "REASON", {**UNASKED, "pd": "none", "child": True}, cls="ADMIN", coverage="none", more={"cat": ()}),
    # 5: on paper
    *paper("special without a condition", 5, "PAPER_SPECIAL", law={"spec": True}),
    Case("special with a condition", 7, GO, law={"spec": True, "b9": "9a"}),
    *paper("offence without a condition", 5, "PAPER_CRIMINAL", law={"crim": True}),
    Case("offence with a condition", 7, GO, law={"crim": True, "s1": ("s1:10",), "agree": "LIMITED"}),
    Case("offence with a condition for the harm-causer only", 7, GO, law={"crim": True, "hc": HarmCauser(b6="6f", s1=("s1:10",))}),
    Case("offence under official authority", 7, GO, law={"crim": True, "b6": "6e"}, sender=COUNCIL),
    Case("offence under 6e by a charity", 5, STOP, "PAPER_CRIMINAL", {"crim": True, "b6": "6e"}),
    Case("offence by a council on consent", 5, STOP, "PAPER_CRIMINAL", {"crim": True}, sender=COUNCIL),
    *paper("safeguarding paragraph without anybody at risk", 5, "PAPER_RISK", law={"s1": S1, "agree": "LIMITED"}),
    *paper("the same for the harm-causer's data", 5, "PAPER_RISK", law={"hc": HarmCauser(b6="6f", s1=S1)}),
    Case("safeguarding paragraph with a child", 7, GO, law={"s1": S1, "child": True, "agree": "LIMITED"}),
    Case("safeguarding paragraph with an adult at risk", 7, GO, law={"s1": S1, "adult_at_risk": True, "agree": "LIMITED"}),
    *paper("vital interests of somebody who can decide", 5, "PAPER_INCAPABLE", law={"b9": "9c"}),
    *paper("vital interests in offence data of somebody who can decide", 5, "PAPER_INCAPABLE", law={"s1": ("s1:30",)}),
    Case("vital interests of somebody who cannot", 11, HOLD, "HOLD_LEAD", {**UNASKED, "agree": "CANNOT_GIVE", "why_no": "A", "b9": "9c"}, coverage="none"),
    *paper("a council on legitimate interests", 5, "PAPER_PUBLIC", law={"b6": "6f"}, sender=COUNCIL),
    *paper("a council on a recognised interest", 5, "PAPER_PUBLIC", law={"b6": "6ea:safeguarding"}, sender=COUNCIL),
    *paper("a council on legitimate interests in the harm-causer's data", 5, "PAPER_PUBLIC", law={"hc": HarmCauser(b6="6f", s1=())}, sender=COUNCIL),
    Case("a charity on legitimate interests", 7, GO, law={"b6": "6f"}),
    *paper("crime and disorder to a bare charity", 5, "PAPER_GATEWAY", law={"gw": ("CDA-115",)}),
    *paper("crime and disorder to one of two", 5, "PAPER_GATEWAY", law={"gw": ("CDA-115",)}, parties=(COUNCIL, CHARITY)),
    Case("crime and disorder to a council", 7, GO, law={"gw": ("CDA-115",)}, parties=(COUNCIL,)),
    *paper("16LA by somebody outside it", 5, "PAPER_GATEWAY", law={"gw": ("CA04-16LA",)}, parties=(COUNCIL,)),
    *paper("16LA to somebody outside it", 5, "PAPER_GATEWAY", law={"gw": ("CA04-16LA",)}, sender=COUNCIL),
    *paper("an enquiry about a child, to a charity", 5, "PAPER_GATEWAY", law={"gw": ("CA89-47",)}, parties=(CHARITY,)),
    *paper("an enquiry about a child, to a council and a charity", 5, "PAPER_GATEWAY", law={"gw": ("CA89-47",)}, parties=(COUNCIL, CHARITY)),
    Case("an enquiry about a child, to all who make it", 7, GO, law={"gw": ("CA89-47",)}, parties=(COUNCIL, POLICE, CLINIC, SCHOOL)),
    *paper("a school told by a charity as if by the police", 5, "PAPER_GATEWAY", law={"gw": ("DAA21",)}, parties=(SCHOOL,)),
    *paper("the police telling a clinic as if a school", 5, "PAPER_GATEWAY", law={"gw": ("DAA21",)}, sender=POLICE),
    *paper("the police telling a school and a clinic", 5, "PAPER_GATEWAY", law={"gw": ("DAA21",)}, sender=POLICE, parties=(SCHOOL, CLINIC)),
    Case("the police telling a school", 7, GO, law={"gw": ("DAA21",)}, sender=POLICE, parties=(SCHOOL,)),
    *paper("mutilation, to a clinic", 5, "PAPER_GATEWAY", law={"gw": ("FGM-5B",)}),
    *paper("mutilation, to the police and a clinic", 5, "PAPER_GATEWAY", law={"gw": ("FGM-5B",)}, parties=(POLICE, CLINIC)),
    Case("mutilation, to the police", 7, GO, law={"gw": ("FGM-5B",)}, parties=(POLICE,)),
    *paper("one gateway open and the other shut", 5, "PAPER_GATEWAY", law={"gw": ("CA89-47", "FGM-5B")}),
    Case("16LA between members", 7, GO, law={"gw": ("CA04-16LA",)}, sender=COUNCIL, parties=(COUNCIL,)),
    *paper("a paragraph that presumes no consent", 5, "PAPER_PRESUMED", law={"s1": ("s1:10",)}),
    Case("the same for the harm-causer's data", 7, GO, law={"hc": HarmCauser(b6="6f", s1=("s1:10",))}),
    *paper("no basis at all", 5, "PAPER_BASIS", law={"b6": None}),
    Case("a paper fault is not switched off by a duty", 5, STOP, "PAPER_SPECIAL", {**NO, **DUTY, "spec": True}, coverage="none"),
    # 6: consent only
    Case("consent only, agreed", 7, GO, law={"consent_only": True}),
    *[
        Case(f"consent only, {agree} and {coverage}, {rag}, {why}", 6, STOP, "CONSENT_ONLY", {"consent_only": True, "agree": agree, "why_no": why, **more}, rag, coverage)
        for agree, coverage in (("NOT_SOUGHT", "none"), ("GIVEN", "stale"), ("LIMITED", "unknown"), ("CANNOT_GIVE", "none"), ("EXPIRED", "none"))
        for rag in ("GREEN", "RED")
        for why, more in ((None, {}), ("F", {}), ("E", {"gw": ("CA89-47",), "child": True}))
        if not (agree in ("GIVEN", "LIMITED") and why)
    ],
    Case("consent only, outside, RED and break-glass", 6, STOP, "CONSENT_ONLY", {"consent_only": True, "b6": "6f", "why_no": "F"}, "RED", "outside"),
    # 7, 8: agreed
    Case("given", 7, GO),
    Case("given, GREEN", 7, GO, rag="GREEN"),
    Case("given, RED", 7, GO, rag="RED"),
    Case("limited and inside", 7, GO, law={"agree": "LIMITED"}),
    # 9: agreed and not provable, or outside
    *[case for coverage in ("none", "stale", "unknown") for case in paper(f"given, {coverage}", 9, "GRANT", coverage=coverage)],
    Case("given and unprovable, with a duty", 12, GO, law={**DUTY, "b6": "6c"}, coverage="stale"),
    Case("outside, no reason", 15, STOP, "SCOPE", {"b6": "6f"}, coverage="outside"),
    Case("outside, RED, no reason", 15, STOP, "SCOPE", {"b6": "6f"}, "RED", "outside"),
    Case("outside, RED and break-glass", 16, ALERT, "LEAD_AFTER", {"b6": "6f", "why_no": "F"}, "RED", "outside"),
    Case("outside, on consent", 13, STOP, "BASIS", {"b6": "6a"}, coverage="outside"),
    # 10: no reason
    *paper("not asked, no reason", 10, "REASON", law=UNASKED, coverage="none")[:3],
    *paper("expired, no reason", 10, "REASON", law={**UNASKED, "agree": "EXPIRED"}, coverage="none")[:3],
    # 11: a reason
    *[
        case
        for why in "ABCD"
        for case in (
            Case(f"not asked, {why}, GREEN", 11, STOP, "ASK_FIRST", {**UNASKED, "why_no": why}, "GREEN", "none"),
            Case(f"not asked, {why}, AMBER", 11, HOLD, "HOLD_LEAD", {**UNASKED, "why_no": why}, "AMBER", "none"),
            Case(f"not asked, {why}, RED", 11, ALERT, "LEAD_AFTER", {**UNASKED, "why_no": why}, "RED", "none"),
            Case(f"cannot give, {why}, GREEN", 11, HOLD, "HOLD_LEAD", {**UNASKED, "agree": "CANNOT_GIVE", "why_no": why}, "GREEN", "none"),
        )
    ],
    # 12: a duty
    *[
        Case(f"a duty, {agree}, {rag}", 12, GO, law={**UNASKED, **DUTY, "agree": agree, "b6": "6c"}, rag=rag, coverage="none")
        for agree in ("NOT_SOUGHT", "REFUSED", "WITHDRAWN", "EXPIRED", "CANNOT_GIVE") for rag in ("GREEN", "AMBER", "RED")
    ],
    Case("a duty that rests on consent all the same", 12, GO, law={**NO, **DUTY, "b6": "6a"}, coverage="none"),
    Case("a duty's reason without its gateway", 23, HOLD, "UNFORESEEN", {**UNASKED, "why_no": "E", "child": True}, coverage="none"),
    Case("a duty's gateway without its reason", 10, STOP, "REASON", {**UNASKED, **DUTY, "why_no": None}, coverage="none"),
    Case("a duty's gateway, and no child in the message", 23, HOLD, "UNFORESEEN", {**UNASKED, **DUTY, "child": False}, coverage="none"),
    Case("a duty that she refused, and no child in the message", 15, STOP, "REFUSED", {**NO, **DUTY, "child": False}, "GREEN", "none"),
    Case("a duty between agencies outside it", 5, STOP, "PAPER_GATEWAY", {**UNASKED, **DUTY, "gw": ("CA04-16LA",)}, coverage="none"),
    *[
        Case(f"{gw} to a desk outside it, {rag}", 5, outcome, "PAPER_GATEWAY", {**UNASKED, **DUTY, "gw": (gw,)}, rag, "none", parties=(CLINIC, CHARITY))
        for gw in ("CA89-47", "DAA21", "FGM-5B") for rag, outcome in (("GREEN", STOP), ("AMBER", STOP), ("RED", ALERT))
    ],
    Case("the police's duty to tell a school", 12, GO, law={**UNASKED, **DUTY, "gw": ("DAA21",), "b6": "6e"}, coverage="none", sender=POLICE, parties=(SCHOOL,)),
    Case("the duty to tell the police", 12, GO, law={**UNASKED, **DUTY, "gw": ("FGM-5B",), "b6": "6c"}, coverage="none", parties=(POLICE,)),
    Case("a duty between members of 16LA", 12, GO, law={**UNASKED, **DUTY, "gw": ("CA04-16LA",), "b6": "6e"}, coverage="none", sender=COUNCIL, parties=(COUNCIL,)),
    # 13: the basis is gone
    *[
        Case(f"{agree}, rests on {basis}, {rag}", 13, STOP, "BASIS", {**NO, "agree": agree, **law, "why_no": "G"}, rag, "none")
        for agree in ("REFUSED", "WITHDRAWN") for rag in ("AMBER", "RED")
        for basis, law in (("6a", {"b6": "6a"}), ("9a", {"spec": True, "b9": "9a"}))
    ],
    Case("break-glass does not bring a basis back", 13, STOP, "BASIS", {**NO, "b6": "6a", "why_no": "F"}, "RED", "none"),
    Case("withdrawn on record, given in the header", 13, STOP, "BASIS", {}, coverage="withdrawn"),
    Case("withdrawn on record, not asked in the header", 15, STOP, "REFUSED", {**UNASKED, "why_no": "C"}, "GREEN", "withdrawn"),
    Case("withdrawn on record, not applicable in the header", 15, STOP, "REFUSED", {**UNASKED, "agree": "NOT_APPLICABLE"}, coverage="withdrawn"),
    Case("withdrawn on record, and she cannot decide now", 11, HOLD, "HOLD_LEAD", {**UNASKED, "agree": "CANNOT_GIVE", "why_no": "A"}, coverage="withdrawn"),
    # 14: overriding interest
    Case("refused, G, AMBER", 14, HOLD, "HOLD_LEAD", {**NO, "why_no": "G"}, coverage="none"),
    Case("refused, G, RED", 14, HOLD, "HOLD_LEAD", {**NO, "why_no": "G"}, "RED", "none"),
    Case("G, and she was never asked", 23, HOLD, "UNFORESEEN", {**UNASKED, "why_no": "G"}, coverage="none"),
    # 15: no
    *[Case(f"refused, no reason, {rag}", 15, STOP, "REFUSED", NO, rag, "none") for rag in ("GREEN", "AMBER", "RED")],
    *[Case(f"refused, {why}, GREEN", 15, STOP, "REFUSED", {**NO, "why_no": why}, "GREEN", "none") for why in "ABCDEFG"],
    Case("refused, A, AMBER", 23, HOLD, "UNFORESEEN", {**NO, "why_no": "A"}, coverage="none"),
    Case("refused, A, RED", 23, ALERT, "UNFORESEEN", {**NO, "why_no": "A"}, "RED", "none"),
    # 16: break-glass
    Case("break-glass, refused", 16, ALERT, "LEAD_AFTER", {**NO, "why_no": "F"}, "RED", "none"),
    Case("break-glass, not asked", 16, ALERT, "LEAD_AFTER", {**UNASKED, "why_no": "F"}, "RED", "none"),
    Case("break-glass, AMBER", 23, HOLD, "UNFORESEEN", {**UNASKED, "why_no": "F"}, "AMBER", "none"),
    Case("break-glass, GREEN", 23, HOLD, "UNFORESEEN", {**UNASKED, "why_no": "F"}, "GREEN", "none"),
    Case("break-glass with a paper fault", 5, ALERT, "PAPER_SPECIAL", {**NO, "why_no": "F", "spec": True}, "RED", "none"),
    # 18: overrides are not carried
    *paper("an override", 18, "OVERRIDE", more={"ovr": b(seed("o"))})[:3],
    # 19, 20: requests are not carried
    *paper("an answer to a request", 19, "NO_REQUEST", cls="INFOGIVE")[:3],
    *[Case(f"a request, {rag}", 20, STOP, "VIR", rag=rag, cls="INFOREQ") for rag in ("GREEN", "AMBER", "RED")],
    Case("a request with break-glass", 20, STOP, "VIR", {**NO, "why_no": "F"}, "RED", "none", cls="INFOREQ"),
    Case("a request under a duty", 20, STOP, "VIR", {**UNASKED, **DUTY, "b6": "6c"}, "AMBER", "none", cls="INFOREQ"),
    # 23: nobody foresaw it
    *[
        Case(f"a class that no form has, {cls}, {rag}", 23, outcome, "UNFORESEEN", {}, rag, cls=cls)
        for cls in ("MEETING", "CORRECT", "FEEDBACK") for rag, outcome in (("GREEN", HOLD), ("AMBER", HOLD), ("RED", ALERT))
    ],
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_table(case: Case):
    decision = case.decision()
    assert (decision.outcome, decision.code) == (case.outcome, case.code)
    assert case.row in decision.rows
    assert decision.passes == (case.outcome <= ALERT)
    assert bool(decision.next_step) == bool(case.code)


def test_no_case_stands_twice_and_each_row_has_some():
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.row for case in CASES} == {row.number for row in TABLE}


def test_the_exceptions_are_those_of_the_partnerships_table():
    assert frozenset({9, 10, 11, 13, 14, 15, 17}) == SWITCHED_OFF_BY_DUTY
    assert frozenset({1, 3, 6, 13, 20}) == NEVER_BROKEN
    assert {"SCOPE", "REFUSED", "REASON"} <= BREAKABLE <= set(KINDS)
    assert [row.number for row in TABLE] == sorted(row.number for row in TABLE)


# --- every combination

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
    return facts.law.why_no == "E" and "CA89-47" in facts.law.gw and facts.law.child


def test_a_paper_fault_never_stops_a_red(everything: list[tuple[Facts, Decision]]):
    stops = {(d.code, d.rows) for f, d in everything if f.red and not d.passes}
    assert {code for code, _ in stops} == {"CONSENT_ONLY", "BASIS", "REFUSED", "SCOPE", "HOLD_LEAD"}
    assert {row for _, rows in stops for row in rows} == {6, 13, 14, 15}


def test_a_clear_no_always_stops_a_green(everything: list[tuple[Facts, Decision]]):
    through = [f for f, d in everything if f.header.rag == "GREEN" and f.said_no and d.passes]
    assert through
    assert all(duty(facts) for facts in through)


def test_a_withdrawal_stops_what_rests_on_agreement_in_any_colour(everything: list[tuple[Facts, Decision]]):
    rested = [
        (f, d)
        for f, d in everything
        if f.coverage == "withdrawn" and f.law.b6 == "6a" and f.law.agree != "CANNOT_GIVE"
    ]
    assert rested
    assert all(not d.passes or duty(f) for f, d in rested)


def test_break_glass_gets_a_red_through_whatever_the_agreement(everything: list[tuple[Facts, Decision]]):
    glass = [(f, d) for f, d in everything if f.red and f.law.why_no == "F"]
    stopped = {d.code for _, d in glass if not d.passes}
    assert stopped == {"CONSENT_ONLY", "BASIS"}
    assert all(d.outcome == ALERT for _, d in glass if d.passes)


def test_consent_only_needs_consent(everything: list[tuple[Facts, Decision]]):
    through = [f for f, d in everything if f.law.consent_only and d.passes]
    assert through
    assert all(f.agreed and f.coverage == "covers" for f in through)


def test_nothing_passes_without_a_row_that_says_so(everything: list[tuple[Facts, Decision]]):
    for facts, decision in everything:
        if decision.outcome == GO:
            assert decision.code == ""
            assert (facts.agreed and facts.coverage == "covers") or duty(facts)
        else:
            assert decision.code in KINDS
        assert decision.rows


def test_a_later_word_of_no_is_never_milder(everything: list[tuple[Facts, Decision]]):
    """Withdrawing never lets through what would have been stopped before, save where a duty carries it."""
    outcomes = {(id(facts.header), facts.coverage): decision.outcome for facts, decision in everything}
    for facts, decision in everything:
        if facts.coverage != "covers" or duty(facts) or facts.law.agree == "CANNOT_GIVE":
            continue
        after = outcomes[id(facts.header), "withdrawn"]
        if facts.agreed:
            assert after >= decision.outcome
