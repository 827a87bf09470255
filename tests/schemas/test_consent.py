"""The consent rule as a table of cases: each row, its boundary, and how rows 12 and 16 change it.

What holds for every combination is in test_consent_everything.py, and the comparison with the text in
test_consent_oracle.py.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.consent import BREAKABLE, NEVER_BROKEN, SWITCHED_OFF_BY_DUTY, TABLE
from schemas.envelope import HarmCauser
from schemas.kinds import KINDS
from tests.schemas.consent_cases import (
    ALERT,
    ALONE,
    CHARITY,
    CLERK,
    CLINIC,
    COUNCIL,
    DUTY,
    GO,
    HOLD,
    KEEP,
    NO,
    NO_GLASS,
    NOBODY,
    OPEN,
    POLICE,
    POLICY,
    SCHOOL,
    SIGNED,
    STOP,
    THREAD,
    UNASKED,
    UNSHARED,
    Case,
    changed,
)
from tests.tools.forge import b
from tests.tools.vector_world import ALDER, CEDAR, T0, seed


def paper(name: str, row: int, code: str, **fields: Any) -> list[Case]:
    """A fault on paper: BLOCK for GREEN and AMBER, an alert for RED, an alert with break-glass, no change by a duty."""
    law = fields.pop("law", {})
    return [
        Case(f"{name}, GREEN", row, STOP, code, law, "GREEN", **fields),
        Case(f"{name}, AMBER", row, STOP, code, law, "AMBER", **fields),
        Case(f"{name}, RED", row, ALERT, code, law, "RED", **fields),
        Case(
            f"{name}, RED and break-glass",
            row,
            ALERT,
            code if row < 16 else "LEAD_AFTER",
            {**law, "why_no": "F"},
            "RED",
            **fields,
        ),
    ]


S1 = ("s1:18",)
VIR = ("VIR-LINE", "VIR-NECESSARY", "VIR-PROPORTIONATE", "VIR-LAST-RESORT")
ADULT_CARE = replace(COUNCIL, sector="adult_care")
RECOGNISED, DUTY_BEGINS = 1_770_249_600, 1_790_726_400
"""5 February 2026, 30 September 2026."""
VOCABULARY = json.loads(POLICY.text)["vocabulary"]
SCHOOLS_ONLY = changed(
    vocabulary={
        **VOCABULARY,
        "purposes": [
            {**one, "sectors": ["education"]} if one["code"] == "FORUM" else one
            for one in VOCABULARY["purposes"]
        ],
    }
)
PAIR = changed(
    agreements=[
        {
            "id": "pair",
            "parties": sorted([ALDER.id, CEDAR.id]),
            "purposes": ["SUPPORT"],
            "from": T0,
            "to": T0 + 100,
        }
    ]
)
OUTRANKED = changed(
    flags={
        ALDER.id: {"public_authority": True, "s16la_member": None, "cda_relevant": None},
        CEDAR.id: {"public_authority": None, "s16la_member": None, "cda_relevant": True},
    }
)
CASES: list[Case] = [
    # 1: a code that the policy does not have
    *[
        Case(f"an unknown {field}, {rag}", 1, STOP, "VOCABULARY", {field: value}, rag)
        for field, value in (
            ("agree", "PERHAPS"), ("agree_by", "NEIGHBOUR"), ("b6", "6z"), ("b9", "9z"), ("s1", ("s1:99",)), ("gw", ("HA-1",)),
            ("conf", "rumour"), ("why_no", "Z"), ("told", "PARTLY"), ("onward", "FREELY"), ("vir", ("VIR-MAYBE",)),
            ("hc", HarmCauser(b6="6z", s1=())),
        ) for rag in ("GREEN", "RED")
    ],
    Case("an unknown paragraph for the harm-causer's data", 1, STOP, "VOCABULARY", {"hc": HarmCauser(b6="6f", s1=("s1:99",))}, "RED"),
    Case("an unknown code and break-glass", 1, STOP, "VOCABULARY", {**NO, "why_no": "F", "told": "PARTLY"}, "RED", "none"),
    Case("an unknown code under a duty", 1, STOP, "VOCABULARY", {**UNASKED, **DUTY, "b6": "6c", "onward": "FREELY"}, "RED", "none"),
    Case("an unknown state, and the agreement withdrawn", 1, STOP, "VOCABULARY", {"agree": "PERHAPS"}, "RED", "withdrawn"),
    # 2: about nobody
    Case("nothing personal", 2, GO, law={**UNASKED, "pd": "none", "agree": "NOT_APPLICABLE"}, cls="ADMIN", more={"cat": ()}, coverage="none"),
    Case("nothing personal, says the header, of a referral", 10, STOP, "REASON", {**UNASKED, "pd": "none"}, coverage="none", more={"cat": ()}),
    Case("nothing personal, says the header, with a person inside", 10, STOP, "REASON", {**UNASKED, "pd": "none"}, cls="ADMIN", coverage="none"),
    Case("nothing personal, and nobody shares", 2, GO, law={**UNASKED, "pd": "none", "agree": "NOT_APPLICABLE"}, cls="ADMIN", more={"cat": ()}, coverage="none", known={"policy": UNSHARED}),
    Case("nothing personal, and a consent-only kind", 6, STOP, "CONSENT_ONLY", {**UNASKED, "pd": "none", "agree": "NOT_APPLICABLE", "consent_only": True}, cls="ADMIN", more={"cat": ()}, coverage="none"),
    # 3: for what, to whom
    *[Case(f"immigration enforcement, {rag}", 3, STOP, "PURPOSE", rag=rag, more={"pur": "IMMIGRATION"}) for rag in ("GREEN", "AMBER", "RED")],
    Case("an unknown purpose and break-glass", 3, STOP, "PURPOSE", {**NO, "why_no": "F"}, "RED", "none", more={"pur": "DEBT"}),
    Case("an unknown purpose under a duty", 3, STOP, "PURPOSE", {**UNASKED, **DUTY, "b6": "6c"}, "RED", "none", more={"pur": "DEBT"}),
    Case("a purpose that goes to schools only, to a clinic", 3, STOP, "PURPOSE", {}, "RED", more={"pur": "FORUM"}, known={"policy": SCHOOLS_ONLY}),
    Case("a purpose that goes to schools only, to a school and a clinic", 3, STOP, "PURPOSE", {}, "RED", parties=(SCHOOL, CLINIC), more={"pur": "FORUM"}, known={"policy": SCHOOLS_ONLY}),
    Case("a purpose that goes to schools only, to a school", 7, GO, parties=(SCHOOL,), more={"pur": "FORUM"}, known={"policy": SCHOOLS_ONLY}),
    # 4: agreements between agencies
    Case("nobody shares, GREEN", 4, STOP, "NO_AGREEMENT", {}, "GREEN", known={"policy": UNSHARED}),
    Case("nobody shares, AMBER", 4, STOP, "NO_AGREEMENT", {}, "AMBER", known={"policy": UNSHARED}),
    Case("nobody shares, RED", 4, ALERT, "NO_AGREEMENT", {}, "RED", known={"policy": UNSHARED}),
    Case("nobody shares, and break-glass", 4, ALERT, "NO_AGREEMENT", {**NO, "why_no": "F"}, "RED", "none", known={"policy": UNSHARED}),
    Case("nobody shares, and a duty", 4, STOP, "NO_AGREEMENT", {**UNASKED, **DUTY, "b6": "6c"}, "AMBER", "none", known={"policy": UNSHARED}),
    Case("the pair shares", 7, GO, known={"policy": PAIR}),
    Case("the pair shares for something else", 4, STOP, "NO_AGREEMENT", more={"pur": "HOUSING"}, known={"policy": PAIR}),
    Case("the pair shares from this second on", 7, GO, known={"policy": PAIR, "now": T0}),
    Case("the pair does not share yet", 4, STOP, "NO_AGREEMENT", known={"policy": PAIR, "now": T0 - 1}),
    Case("the pair shares until now", 4, STOP, "NO_AGREEMENT", known={"policy": PAIR, "now": T0 + 100}),
    Case("nothing personal, says the header, with a child's mark", 10, STOP, "REASON", {**UNASKED, "pd": "none", "child": True}, cls="ADMIN", coverage="none", more={"cat": ()}),
    # 5: on paper
    *paper("special without a condition", 5, "PAPER_SPECIAL", law={"spec": True}),
    Case("special with a condition", 7, GO, law={"spec": True, "b9": "9a"}),
    *paper("offence without a condition", 5, "PAPER_CRIMINAL", law={"crim": True}),
    Case("offence with a condition", 8, GO, law={"crim": True, "s1": ("s1:10",), "agree": "LIMITED"}),
    Case("offence with her consent", 7, GO, law={"crim": True, "s1": ("s1:29",)}),
    *paper("offence with a paragraph about monitoring", 5, "PAPER_CRIMINAL", law={"crim": True, "s1": ("s1:8",)}),
    *paper("offence with a paragraph about health data", 5, "PAPER_CRIMINAL", law={"crim": True, "hc": HarmCauser(b6="6f", s1=("s1:19",))}),
    Case("offence with a condition for the harm-causer only", 7, GO, law={"crim": True, "hc": HarmCauser(b6="6f", s1=("s1:10",))}),
    Case("offence under official authority", 7, GO, law={"crim": True, "b6": "6e"}, sender=COUNCIL),
    Case("offence under 6e by a charity", 5, STOP, "PAPER_CRIMINAL", {"crim": True, "b6": "6e"}),
    Case("offence by a council on consent", 5, STOP, "PAPER_CRIMINAL", {"crim": True}, sender=COUNCIL),
    *paper("safeguarding paragraph without anybody at risk", 5, "PAPER_RISK", law={"s1": S1, "agree": "LIMITED"}),
    *paper("the same for the harm-causer's data", 5, "PAPER_RISK", law={"hc": HarmCauser(b6="6f", s1=S1)}),
    Case("safeguarding paragraph with a child", 8, GO, law={"s1": S1, "child": True, "agree": "LIMITED"}),
    Case("safeguarding paragraph with an adult at risk", 8, GO, law={"s1": S1, "adult_at_risk": True, "agree": "LIMITED"}),
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
    Case("the same, limited", 8, GO, law={"s1": ("s1:10",), "agree": "LIMITED"}),
    *paper("no basis at all", 5, "PAPER_BASIS", law={"b6": None}),
    *paper("a recognised interest before its day", 5, "PAPER_DATES", law={"b6": "6ea:crime"}, known={"now": RECOGNISED - 1}),
    Case("a recognised interest on its day", 7, GO, law={"b6": "6ea:crime"}, known={"now": RECOGNISED}),
    *paper("a recognised interest for the harm-causer's data, before its day", 5, "PAPER_DATES", law={"hc": HarmCauser(b6="6ea:crime", s1=())}, known={"now": RECOGNISED - 1}),
    *paper("16LA before its day", 5, "PAPER_GATEWAY", law={"gw": ("CA04-16LA",)}, sender=COUNCIL, parties=(COUNCIL,), known={"now": DUTY_BEGINS - 1}),
    Case("16LA on its day", 7, GO, law={"gw": ("CA04-16LA",)}, sender=COUNCIL, parties=(COUNCIL,), known={"now": DUTY_BEGINS}),
    *paper("given by nobody", 5, "PAPER_DECIDER", law={"agree_by": None}),
    *paper("limited by nobody", 5, "PAPER_DECIDER", law={"agree_by": None, "agree": "LIMITED"}),
    *[case for why in "ABCDG" for case in paper(f"given, and {why}", 5, "PAPER_BOTH", law={"why_no": why})[:3]],
    Case("given, and a duty", 7, GO, law=DUTY),
    *paper("a child in need, to a charity", 5, "PAPER_GATEWAY", law={"gw": ("CA89-17",)}, parties=(CHARITY,)),
    *paper("an adult enquiry, to a clinic", 5, "PAPER_GATEWAY", law={"gw": ("CARE-42",)}),
    Case("an adult enquiry, to adult care", 7, GO, law={"gw": ("CARE-42", "CARE-6")}, parties=(ADULT_CARE,)),
    *paper("for the adults' board, which did not ask", 5, "PAPER_GATEWAY", law={"gw": ("CARE-45",)}, parties=(ADULT_CARE,)),
    Case("for the adults' board, which asked", 7, GO, law={"gw": ("CARE-45",), "rfi": b(seed("r")[:16])}, parties=(ADULT_CARE,)),
    *paper("homelessness, of a kind that does not need agreement", 5, "PAPER_GATEWAY", law={"gw": ("HA-213B",)}),
    Case("homelessness, of a kind that needs agreement", 7, GO, law={"gw": ("HA-213B",), "consent_only": True}),
    *paper("an adult's slavery, of a kind that does not need agreement", 5, "PAPER_GATEWAY", law={"gw": ("MSA-52",)}),
    Case("a child's slavery", 7, GO, law={"gw": ("MSA-52",), "child": True}),
    *paper("offender management, to a charity", 5, "PAPER_GATEWAY", law={"gw": ("CJA-325",)}, sender=POLICE, parties=(CHARITY,)),
    *paper("a police request that attests nothing", 5, "PAPER_GATEWAY", law={"gw": ("PCSC-44A",)}),
    *paper("a court's order without a legal obligation", 5, "PAPER_GATEWAY", law={"gw": ("COURT",)}),
    Case("confidence and capacity have no party test", 7, GO, law={"gw": ("CLDC", "MCA")}),
    Case("the policy says that a charity is a public authority", 5, STOP, "PAPER_PUBLIC", {"b6": "6f"}, known={"policy": OUTRANKED}),
    Case("the policy says that a recipient is inside s.115", 7, GO, law={"gw": ("CDA-115",)}, known={"policy": OUTRANKED}),
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
    Case("consent only, and a staple that is too old, RED", 6, STOP, "CONSENT_ONLY", {"consent_only": True}, "RED", "stale"),
    Case("consent only, limited and inside", 8, GO, law={"consent_only": True, "agree": "LIMITED"}),
    Case("consent only, on the lead's word", 6, STOP, "CONSENT_ONLY", {**NO, "consent_only": True, "why_no": "G"}, "RED", "none", known={"override": SIGNED}),
    Case("consent only, outside, RED and break-glass", 6, STOP, "CONSENT_ONLY", {"consent_only": True, "b6": "6f", "why_no": "F"}, "RED", "outside"),
    # 7, 8: agreed
    Case("given", 7, GO),
    Case("given, GREEN", 7, GO, rag="GREEN"),
    Case("given, RED", 7, GO, rag="RED"),
    Case("limited and inside", 8, GO, law={"agree": "LIMITED"}),
    # 9: agreed and not provable, or outside
    *[case for coverage in ("none", "stale", "unknown") for case in paper(f"given, {coverage}, on another basis", 9, "GRANT", law={"b6": "6f"}, coverage=coverage)],
    *paper("given, and an old staple", 9, "GRANT", coverage="stale"),
    *[
        Case(f"on consent alone, {agree}, {coverage}, {rag}, {sorted(law)}", 9, ALERT if rag == "RED" else STOP, "CLAIMED" if rag == "RED" else "GRANT", {**law, "agree": agree}, rag, coverage)
        for coverage in ("none", "unknown")
        for rag in ("RED", "AMBER", "GREEN")
        for agree in ("GIVEN", "LIMITED")
        for law in ({"b6": "6a"}, {"b6": "6f", "spec": True, "b9": "9a"}, {"b6": "6f", "s1": ("s1:29",)})
    ],
    Case("on consent alone, nothing shown, and withdrawn: a clear no", 13, STOP, "BASIS", rag="RED", coverage="withdrawn"),
    Case("on consent alone, nothing shown, no policy, RED", 23, ALERT, "CLAIMED", rag="RED", coverage="none", known={"policy": None}),
    Case("given and unprovable, with a duty", 12, GO, law={**DUTY, "b6": "6c"}, coverage="stale"),
    Case("outside, no reason", 15, STOP, "SCOPE", {"b6": "6f"}, coverage="outside"),
    Case("outside, RED, no reason", 15, STOP, "SCOPE", {"b6": "6f"}, "RED", "outside"),
    Case("outside, RED and break-glass", 16, ALERT, "LEAD_AFTER", {"b6": "6f", "why_no": "F"}, "RED", "outside"),
    Case("outside, as refused", 9, STOP, "SCOPE", {"b6": "6f"}, coverage="outside"),
    Case("outside, on consent", 13, STOP, "SCOPE", {"b6": "6a"}, coverage="outside"),
    Case("outside, on consent, RED and break-glass", 13, STOP, "SCOPE", {"b6": "6a", "why_no": "F"}, "RED", "outside"),
    Case("outside, G, AMBER", 9, HOLD, "HOLD_LEAD", {"b6": "6f", "why_no": "G"}, coverage="outside"),
    Case("outside, G, AMBER, on the lead's word", 9, ALERT, "OVERRIDDEN", {"b6": "6f", "why_no": "G"}, coverage="outside", known={"override": SIGNED}),
    Case("limited and outside, G, GREEN", 9, STOP, "SCOPE", {"b6": "6f", "agree": "LIMITED", "why_no": "G"}, "GREEN", "outside"),
    Case("outside, and a duty", 12, GO, law={**DUTY, "b6": "6c"}, coverage="outside"),
    # 10: no reason
    *paper("not asked, no reason", 10, "REASON", law=UNASKED, coverage="none")[:3],
    *paper("expired, no reason", 10, "REASON", law={**UNASKED, "agree": "EXPIRED"}, coverage="none")[:3],
    Case("not asked, no reason, and another signs", 10, STOP, "REASON", UNASKED, coverage="none", known={"override": SIGNED}),
    Case("cannot give, no reason, AMBER", 23, HOLD, "UNFORESEEN", {**UNASKED, "agree": "CANNOT_GIVE"}, coverage="none"),
    Case("cannot give, no reason, RED", 23, ALERT, "UNFORESEEN", {**UNASKED, "agree": "CANNOT_GIVE"}, "RED", "none"),
    Case("nobody to ask, no reason, AMBER", 23, HOLD, "UNFORESEEN", {**UNASKED, "agree": "NOT_APPLICABLE"}, coverage="none"),
    Case("nobody to ask, C, AMBER", 23, HOLD, "UNFORESEEN", {**UNASKED, "agree": "NOT_APPLICABLE", "why_no": "C"}, coverage="none"),
    Case("not asked, and break-glass is switched off", 10, ALERT, "REASON", {**UNASKED, "why_no": "F"}, "RED", "none", known={"policy": NO_GLASS}),
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
    Case("not asked, C, AMBER, on the lead's word", 11, ALERT, "LEAD_SIGNED", {**UNASKED, "why_no": "C"}, coverage="none", known={"override": SIGNED}),
    Case("not asked, C, GREEN, on the lead's word", 11, STOP, "ASK_FIRST", {**UNASKED, "why_no": "C"}, "GREEN", "none", known={"override": SIGNED}),
    Case("cannot give, A, GREEN, on the lead's word", 11, ALERT, "LEAD_SIGNED", {**UNASKED, "agree": "CANNOT_GIVE", "why_no": "A"}, "GREEN", "none", known={"override": SIGNED}),
    Case("not asked, C, RED, on the lead's word", 11, ALERT, "LEAD_SIGNED", {**UNASKED, "why_no": "C"}, "RED", "none", known={"override": SIGNED}),
    # 12: a duty
    *[
        Case(f"a duty, {agree}, {rag}", 12, GO, law={**UNASKED, **DUTY, "agree": agree, "b6": "6c"}, rag=rag, coverage="none")
        for agree in ("NOT_SOUGHT", "REFUSED", "WITHDRAWN", "EXPIRED", "CANNOT_GIVE") for rag in ("GREEN", "AMBER", "RED")
    ],
    Case("a duty that rests on consent all the same", 12, GO, law={**NO, **DUTY, "b6": "6a"}, coverage="none"),
    Case("a duty, and nothing said of telling, AMBER", 12, STOP, "PAPER_TOLD", {**UNASKED, **DUTY, "b6": "6c", "told": "NA"}, coverage="none"),
    Case("a duty, and nothing said of telling, RED", 12, ALERT, "PAPER_TOLD", {**UNASKED, **DUTY, "b6": "6c", "told": "NA"}, "RED", "none"),
    Case("a court's order", 12, GO, law={**NO, "why_no": "E", "gw": ("COURT",), "b6": "6c"}, rag="GREEN", coverage="none"),
    Case("a gateway that is a power and no duty", 23, HOLD, "UNFORESEEN", {**UNASKED, "why_no": "E", "gw": ("CA89-17",), "child": True}, coverage="none"),
    Case("a duty before its day", 5, STOP, "PAPER_GATEWAY", {**UNASKED, **DUTY, "gw": ("CA04-16LA",), "b6": "6e"}, coverage="none", sender=COUNCIL, parties=(COUNCIL,), known={"now": DUTY_BEGINS - 1}),
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
        for basis, law in (("6a", {"b6": "6a"}), ("9a", {"spec": True, "b9": "9a"}), ("s1:29", {"crim": True, "s1": ("s1:29",)}))
    ],
    Case("a lead's word does not bring a basis back", 13, STOP, "BASIS", {**NO, "b6": "6a", "why_no": "G"}, "RED", "none", known={"override": SIGNED}),
    Case("break-glass does not bring a basis back", 13, STOP, "BASIS", {**NO, "b6": "6a", "why_no": "F"}, "RED", "none"),
    Case("withdrawn on record, given in the header", 13, STOP, "BASIS", {}, coverage="withdrawn"),
    Case("withdrawn on record, not asked in the header", 15, STOP, "REFUSED", {**UNASKED, "why_no": "C"}, "GREEN", "withdrawn"),
    Case("withdrawn on record, not applicable in the header", 15, STOP, "REFUSED", {**UNASKED, "agree": "NOT_APPLICABLE"}, coverage="withdrawn"),
    Case("withdrawn on record, and she cannot decide now", 11, HOLD, "HOLD_LEAD", {**UNASKED, "agree": "CANNOT_GIVE", "why_no": "A"}, coverage="withdrawn"),
    # 14: overriding interest
    Case("refused, G, AMBER", 14, HOLD, "HOLD_LEAD", {**NO, "why_no": "G"}, coverage="none"),
    Case("refused, G, RED", 14, HOLD, "HOLD_LEAD", {**NO, "why_no": "G"}, "RED", "none"),
    *[
        Case(f"{agree}, G, {rag}, on the lead's word", 14, ALERT, "OVERRIDDEN", {**NO, "agree": agree, "why_no": "G"}, rag, "none", known={"override": SIGNED})
        for agree in ("REFUSED", "WITHDRAWN") for rag in ("AMBER", "RED")
    ],
    Case("refused, G, GREEN, on the lead's word", 15, STOP, "REFUSED", {**NO, "why_no": "G"}, "GREEN", "none", known={"override": SIGNED}),
    Case("refused, G, and the lead's word for another message", 18, STOP, "OVERRIDE", {**NO, "why_no": "G"}, "AMBER", "none", known={"override": replace(SIGNED, covers=False)}),
    Case("refused, G, RED, and the lead's word for another message", 14, HOLD, "HOLD_LEAD", {**NO, "why_no": "G"}, "RED", "none", known={"override": replace(SIGNED, covers=False)}),
    Case("refused, G, RED, and a lead's word that does not hold", 14, HOLD, "HOLD_LEAD", {**NO, "why_no": "G"}, "RED", "none", known={"override": replace(SIGNED, valid=False)}),
    Case("refused, G, a word for the thread of a risk", 14, ALERT, "OVERRIDDEN", {**NO, "why_no": "G"}, "AMBER", "none", more={"pur": "RISK_MGMT"}, known={"override": THREAD}),
    Case("refused, G, a word for a thread of support", 18, STOP, "OVERRIDE", {**NO, "why_no": "G"}, "AMBER", "none", known={"override": THREAD}),
    Case("refused, G, and a fault on paper, on the lead's word", 5, STOP, "PAPER_SPECIAL", {**NO, "why_no": "G", "spec": True}, "AMBER", "none", known={"override": SIGNED}),
    Case("G, on the lead's word, and she was never asked", 23, ALERT, "LEAD_SIGNED", {**UNASKED, "why_no": "G"}, coverage="none", known={"override": SIGNED}),
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
    Case("break-glass, on the lead's word", 16, ALERT, "LEAD_SIGNED", {**NO, "why_no": "F"}, "RED", "none", known={"override": SIGNED}),
    Case("break-glass switched off, refused", 15, STOP, "REFUSED", {**NO, "why_no": "F"}, "RED", "none", known={"policy": NO_GLASS}),
    # 17: another basis after a withdrawal
    *[
        Case(f"another basis in place of agreement, {why}, {rag}", 17, HOLD, code, {"b6": "6f", "why_no": why}, rag, "withdrawn", known={"switched": True})
        for why, rag, code in (("G", "AMBER", "HOLD_LEAD"), ("G", "RED", "HOLD_LEAD"), ("C", "AMBER", "BASIS_SWITCH"), ("C", "RED", "BASIS_SWITCH"))
    ],
    Case("another basis in place of agreement, no reason", 15, STOP, "REFUSED", {"b6": "6f"}, "RED", "withdrawn", known={"switched": True}),
    Case("another basis in place of agreement, GREEN", 15, STOP, "REFUSED", {"b6": "6f", "why_no": "G"}, "GREEN", "withdrawn", known={"switched": True}),
    Case("another basis in place of agreement, on the lead's word", 17, ALERT, "OVERRIDDEN", {"b6": "6f", "why_no": "G"}, "RED", "withdrawn", known={"switched": True, "override": SIGNED}),
    Case("another basis in place of agreement, and break-glass", 17, ALERT, "LEAD_AFTER", {"b6": "6f", "why_no": "F"}, "RED", "withdrawn", known={"switched": True}),
    Case("another basis in place of agreement, and a duty", 12, GO, law={**DUTY, "b6": "6c"}, coverage="withdrawn", known={"switched": True}),
    Case("still on consent after the withdrawal", 13, STOP, "BASIS", {"why_no": "G"}, "RED", "withdrawn", known={"switched": True}),
    Case("the same basis as before the withdrawal", 23, ALERT, "UNFORESEEN", {"b6": "6f", "why_no": "C"}, "RED", "withdrawn"),
    # 18: who may authorise
    *paper("an override that nobody can show", 18, "OVERRIDE", more={"ovr": b(seed("o"))})[:3],
    *paper("an override that names nobody", 18, "OVERRIDE", known={"override": NOBODY}),
    *[
        Case(f"{what}, {rag}", 18, STOP, "AUTHORISER", {**NO, "why_no": "G"}, rag, "none", known=known)
        for what, known in (
            ("one person as author and lead", {"override": ALONE}), ("an authoriser who is no lead", {"override": CLERK}),
            ("an agency without a lead", {"leads": False}), ("a lead's word from an agency without a lead", {"leads": False, "override": SIGNED}),
        ) for rag in ("AMBER", "RED")
    ],
    *[
        Case(f"{what}, and break-glass", 18, ALERT, "LEAD_AFTER", {**NO, "why_no": "F"}, "RED", "none", known=known)
        for what, known in (("one person as author and lead", {"override": ALONE}), ("an authoriser who is no lead", {"override": CLERK}))
    ],
    Case("one person as author and lead, under a duty", 18, STOP, "AUTHORISER", {**NO, **DUTY, "b6": "6c"}, "AMBER", "none", known={"override": ALONE}),
    Case("an agency without a lead that needs none", 7, GO, known={"leads": False}),
    # 19: answers to requests
    Case("an answer to an open request", 7, GO, law={"rfi": b(seed("r")[:16])}, cls="INFOGIVE", known={"request": OPEN}),
    *paper("an answer that names no request", 19, "NO_REQUEST", cls="INFOGIVE", known={"request": OPEN}),
    *paper("an answer to a request that is closed", 19, "NO_REQUEST", law={"rfi": b(seed("r")[:16])}, cls="INFOGIVE", known={"request": replace(OPEN, open=False)}),
    *paper("an answer that says more than was asked", 19, "NO_REQUEST", law={"rfi": b(seed("r")[:16])}, cls="INFOGIVE", known={"request": replace(OPEN, asked=frozenset({"ask"}))}),
    # 20: police requests about a person
    *paper("an answer to a request", 19, "NO_REQUEST", cls="INFOGIVE")[:3],
    *[Case(f"a police request, {rag}", 20, STOP, "VIR", rag=rag, cls="INFOREQ", sender=POLICE) for rag in ("GREEN", "AMBER", "RED")],
    *[
        Case(f"a police request without {one}", 20, STOP, "VIR", {"vir": tuple(v for v in VIR if v != one)}, cls="INFOREQ", sender=POLICE)
        for one in ("VIR-LINE", "VIR-NECESSARY", "VIR-PROPORTIONATE", "VIR-LAST-RESORT")
    ],
    Case("a police request with every attestation", 7, GO, law={"vir": VIR, "gw": ("PCSC-44A",)}, cls="INFOREQ", sender=POLICE),
    Case("a police request about nobody", 2, GO, law={**UNASKED, "pd": "none", "agree": "NOT_APPLICABLE", "b6": "6e"}, cls="INFOREQ", sender=POLICE, more={"cat": ()}, coverage="none"),
    Case("counselling records without a senior officer", 20, STOP, "VIR", {"vir": (*VIR, "VIR-COUNSELLING")}, "RED", cls="INFOREQ", sender=POLICE),
    Case("counselling records with a senior officer", 7, GO, law={"vir": (*VIR, "VIR-COUNSELLING", "VIR-SENIOR")}, cls="INFOREQ", sender=POLICE),
    Case("a charity's request for counselling records", 20, STOP, "VIR", {"vir": ("VIR-COUNSELLING",)}, cls="INFOREQ"),
    Case("a charity's request", 7, GO, cls="INFOREQ"),
    Case("a police request with break-glass", 20, STOP, "VIR", {**NO, "why_no": "F"}, "RED", "none", cls="INFOREQ", sender=POLICE),
    Case("a police request under a duty", 20, STOP, "VIR", {**UNASKED, **DUTY, "b6": "6c"}, "AMBER", "none", cls="INFOREQ", sender=POLICE),
    # 21: whether the person knows
    Case("the day to look again is past", 21, GO, law={"told": "UNSAFE", "told_by": T0 - 1}),
    Case("the day to look again is today", 7, GO, law={"told": "UNSAFE", "told_by": T0}),
    *paper("the day to look again is too far", 21, "PAPER_TOLD", law={"told": "UNSAFE", "told_by": T0 + 90 * 86_400 + 1}),
    Case("the day to look again is just near enough", 7, GO, law={"told": "UNSAFE", "told_by": T0 + 90 * 86_400}),
    Case("a reminder lets nothing through", 23, HOLD, "UNFORESEEN", {**NO, "why_no": "A", "told": "UNSAFE", "told_by": T0 - 1}, coverage="none"),
    # 22: passed on
    *paper("passed on, and its source said no", 22, "ONWARD", known={"onward": (KEEP,)}),
    *paper("passed on, its source wanted to be asked, and was not", 22, "ONWARD", known={"onward": (replace(KEEP, source="ASK"),)}),
    Case("passed on, its source wanted to be asked, and was", 7, GO, known={"onward": (replace(KEEP, source="ASK", granted=True),)}),
    *paper("passed on, its source said no, and leave is claimed", 22, "ONWARD", known={"onward": (replace(KEEP, granted=True),)}),
    *paper("passed on from two sources, and one said no", 22, "ONWARD", known={"onward": (replace(KEEP, source="WITHIN_PURPOSE"), KEEP)}),
    Case("passed on from two sources, and both allow it", 7, GO, known={"onward": (replace(KEEP, source="WITHIN_PURPOSE"), replace(KEEP, source="ASK", granted=True))}),
    Case("passed on for the same purpose", 7, GO, known={"onward": (replace(KEEP, source="WITHIN_PURPOSE"),)}),
    *paper("passed on for another purpose", 22, "ONWARD", known={"onward": (replace(KEEP, source="WITHIN_PURPOSE", purpose="CRIME"),)}),
    Case("passed on under a duty, and its source said no", 22, STOP, "ONWARD", {**UNASKED, **DUTY, "b6": "6c"}, "AMBER", "none", known={"onward": (KEEP,)}),
    # 23: no policy
    *[Case(f"no policy, {what}, {rag}", 23, STOP, "POLICY", law, rag, coverage, known={"policy": None}) for rag in ("GREEN", "AMBER") for what, law, coverage in (("given", {}, "covers"), ("refused", NO, "none"), ("about nobody", {**UNASKED, "pd": "none"}, "none"))],
    Case("no policy, given, RED", 23, ALERT, "POLICY", {}, "RED", known={"policy": None}),
    Case("no policy, break-glass", 23, ALERT, "LEAD_AFTER", {**NO, "why_no": "F"}, "RED", "none", known={"policy": None}),
    Case("no policy, and a basis that is gone, RED", 13, STOP, "BASIS", {**NO, "b6": "6a", "why_no": "F"}, "RED", "none", known={"policy": None}),
    Case("no policy, consent only, RED", 6, STOP, "CONSENT_ONLY", {**NO, "consent_only": True}, "RED", "none", known={"policy": None}),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_table(case: Case):
    decision = case.decision()
    assert (decision.outcome, decision.code) == (case.outcome, case.code)
    assert case.row in decision.rows
    assert decision.passes == (case.outcome <= ALERT)
    assert bool(decision.next_step) == bool(case.code or decision.notes)
    assert set(decision.codes) <= set(KINDS)


def test_no_case_stands_twice_and_each_row_has_some():
    assert len({case.name for case in CASES}) == len(CASES)
    assert {case.row for case in CASES} == {row.number for row in TABLE}


def test_the_exceptions_are_those_of_the_partnerships_table():
    assert frozenset({9, 10, 11, 13, 14, 15, 17}) == SWITCHED_OFF_BY_DUTY
    assert frozenset({1, 3, 6, 13, 20}) == NEVER_BROKEN
    assert frozenset({"SCOPE", "REFUSED", "REASON", "AUTHORISER", "NO_AGREEMENT"}) == BREAKABLE
    assert set(KINDS) >= BREAKABLE
    assert [row.number for row in TABLE] == sorted(row.number for row in TABLE)


LEADS = [
    ("nobody signs what simply goes", "", {}),
    ("before a message that waits", "before", {"law": {**UNASKED, "why_no": "C"}, "coverage": "none"}),
    ("after a RED that nobody was asked about", "after", {"law": UNASKED, "rag": "RED", "coverage": "none"}),
    ("after a RED between agencies that do not share", "after", {"rag": "RED", "known": {"policy": UNSHARED}}),
    ("after a RED that is passed on", "after", {"rag": "RED", "known": {"onward": (KEEP,)}}),
    ("after break-glass", "after", {"law": {**NO, "why_no": "F"}, "rag": "RED", "coverage": "none"}),
    ("after a RED that nobody foresaw", "after", {"law": {**NO, "why_no": "A"}, "rag": "RED", "coverage": "none"}),
    ("nobody once the lead has signed", "", {"law": {**NO, "why_no": "G"}, "rag": "RED", "coverage": "none", "known": {"override": SIGNED}}),
    ("nobody where paper alone is at fault", "", {"law": {"spec": True}, "rag": "RED"}),
    ("nobody where it is stopped", "", {"law": NO, "rag": "RED", "coverage": "none"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "lead", "fields"), LEADS, ids=[row[0] for row in LEADS])
def test_when_the_lead_signs(name: str, lead: str, fields: dict[str, Any]):
    decision = Case(name, 0, GO, **fields).decision()
    assert decision.lead == lead
    assert ("within 24 hours" in decision.next_step) == (lead == "after")


def test_a_review_that_is_due_is_told_whatever_comes_of_the_message():
    late = {"told": "UNSAFE", "told_by": T0 - 1}
    for case in (
        Case("goes", 7, GO, law=late),
        Case("is stopped", 15, STOP, law={**NO, **late}, coverage="none"),
    ):
        decision = case.decision()
        assert decision.notes == ("TOLD_REVIEW",)
        assert KINDS["TOLD_REVIEW"].say in decision.next_step


def test_every_code_that_was_said_is_kept_in_the_order_of_the_rows():
    case = Case("much", 0, STOP, law={**NO, "spec": True, "crim": True, "b6": None}, coverage="none")
    assert case.decision().codes == ("PAPER_SPECIAL", "PAPER_CRIMINAL", "PAPER_BASIS", "REFUSED")
