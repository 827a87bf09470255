"""The rule's table against the text, on combinations that hypothesis makes up.

The oracle (tests/schemas/oracle.py) was written from the text and shares no code with the table. What must be among the
combinations is asserted: every row as one that decides, and both exceptions at work.
"""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.consent import NEVER_BROKEN, SWITCHED_OFF_BY_DUTY, decide
from schemas.decision import Decision, Outcome
from schemas.directory import Party
from schemas.directory_statement import Flags
from schemas.envelope import HarmCauser, Recipient
from schemas.facts import Facts, OnwardFacts, OverrideFacts, RequestFacts
from tests.schemas.consent_cases import NO_GLASS, POLICY, T0, UNSHARED, header
from tests.schemas.oracle import answer
from tests.tools.forge import b
from tests.tools.vector_world import CEDAR, seed

BLANK = header({})
REQUEST, OVERRIDE = b(seed("r")[:16]), b(seed("o"))
WORDS = {
    Outcome.BLOCK: "block", Outcome.HOLD: "hold", Outcome.DELIVER_ALERT: "alert", Outcome.DELIVER: "deliver",
}  # fmt: skip


PLAIN = Flags(public_authority=False, s16la_member=False, cda_relevant=False)
PUBLIC = Flags(public_authority=True, s16la_member=True, cda_relevant=True)
SECTORS = ("da_support", "police", "health", "education", "childrens_services", "adult_care")
PARTIES = [Party(flags, sector) for flags in (PLAIN, PUBLIC) for sector in SECTORS]
PARAGRAPHS = ("s1:6", "s1:8", "s1:10", "s1:18", "s1:19", "s1:29", "s1:30", "s1:36", "s1:99")
GATEWAYS = (
    "CA04-16LA", "CA89-17", "CA89-47", "CARE-42", "CARE-45", "CDA-115", "DAA21", "HA-213B", "MSA-52", "FGM-5B", "CJA-325", "PCSC-44A",
    "MCA", "CLDC", "COURT", "HA-1",
)  # fmt: skip
ATTESTED = ("VIR-LINE", "VIR-NECESSARY", "VIR-PROPORTIONATE", "VIR-LAST-RESORT")
CORE = {
    "agree": [
        "GIVEN",
        "LIMITED",
        "GIVEN",
        "LIMITED",
        "NOT_SOUGHT",
        "REFUSED",
        "WITHDRAWN",
        "EXPIRED",
        "CANNOT_GIVE",
        "NOT_APPLICABLE",
    ],
    "b6": ["6a", "6c", "6e", "6f", "6f", "6f", "6ea:crime", "LE", None],
    "why_no": [None, None, None, *"ABCDEEEFFFGGG"],
}
"""What is drawn for every header."""
LAW: list[tuple[str, Any]] = [
    ("child", True), ("crim", True), ("agree", "PERHAPS"), ("agree_by", None), ("agree_by", "NEIGHBOUR"), ("b6", "6z"), ("b6", "6ea:safeguarding"), ("b9", "9a"),
    ("b9", "9c"), ("b9", "9g"), ("b9", "9z"), ("conf", "rumour"), ("why_no", "Z"), ("consent_only", True), ("spec", True), ("spec", True),
    ("crim", True), ("crim", True), ("child", True), ("child", True), ("child", True), ("adult_at_risk", True), ("onward", "FREELY"),
    ("rfi", REQUEST), ("rfi", REQUEST), ("vir", ("VIR-LINE",)), ("vir", ATTESTED), ("vir", (*ATTESTED, "VIR-COUNSELLING")),
    ("vir", (*ATTESTED, "VIR-COUNSELLING", "VIR-SENIOR")), ("vir", ("VIR-MAYBE",)), ("told", "NA"), ("told", "PARTLY"),
    *[("s1", (code,)) for code in PARAGRAPHS], *[("gw", (code,)) for code in GATEWAYS], ("gw", ("CA89-47", "FGM-5B")),
    *[("gw", ("CA89-47",)), ("gw", ("COURT",))] * 3,
    *[("hc", HarmCauser(b6=basis, s1=s1)) for basis in ("6f", "6e", "6z", "6ea:crime") for s1 in ((), ("s1:10",), ("s1:18",), ("s1:8",))],
]  # fmt: skip
TOGETHER: list[dict[str, Any]] = [
    *[{}] * 12,
    *[{"told": "UNSAFE", "told_by": T0 + by} for by in (-5, 0, 8_000_000)],
    *[{"why_no": "E", "gw": ("COURT",), "b6": "6c"}] * 2,
    {"why_no": "E", "gw": ("MCA", "COURT"), "b6": "6c", "agree": "REFUSED"},
    {"why_no": "E", "gw": ("CA04-10/11", "COURT"), "b6": "6a"},
    {"why_no": "E", "gw": ("CA89-47",), "child": True, "b6": "6e"},
]
HEAD: list[dict[str, Any]] = [
    {"cls": "RESPOND"}, {"cls": "INFOREQ"}, {"cls": "INFOGIVE"}, {"cls": "INFOGIVE", "cat": ("ask",)}, {"cls": "ADMIN"},
    {"cls": "ADMIN", "cat": ()}, {"pur": "RISK_MGMT"}, {"pur": "IMMIGRATION"}, {"cat": ("ask",)}, {"ovr": OVERRIDE},
]  # fmt: skip
SIGNED_BY = [
    OverrideFacts(role, "author-1", authoriser, scope, valid=valid, covers=covers, reason="G")
    for role, authoriser, scope, valid, covers in (
        *[("lead", "lead-1", "msg", True, True)] * 4, ("lead", "lead-1", "thread", True, True), ("lead", "author-1", "msg", True, True),
        ("author", "lead-1", "msg", True, True), ("lead", "lead-1", "msg", False, False), ("lead", "lead-1", "msg", True, False),
        ("", "", "msg", False, False),
    )
]  # fmt: skip
KNOWN: list[dict[str, Any]] = [
    {"switched": True}, {"policy": None}, {"policy": None}, {"policy": NO_GLASS}, {"policy": UNSHARED}, {"now": 1_770_249_599}, {"now": 1_790_726_399},
    {"now": 1_768_000_000}, {"switched": True}, {"switched": True}, {"switched": True}, {"leads": False},
    *[{"override": one} for one in SIGNED_BY],
    *[{"request": RequestFacts(open=is_open, asked=asked)} for is_open in (True, False) for asked in (frozenset({"ask"}), frozenset({"ask", "person"}))],
    {"onward": (OnwardFacts("WITHIN_PURPOSE", "SUPPORT", granted=False), OnwardFacts("ASK", "SUPPORT", granted=False))},
    *[{"onward": (OnwardFacts(s, p, granted=g),)} for s in ("NONE", "ASK", "WITHIN_PURPOSE", "FREELY") for p in ("SUPPORT", "CRIME") for g in (True, False)],
]  # fmt: skip
COVERAGES = ["none", "covers", "covers", "covers", "outside", "withdrawn", "stale", "unknown"]
NOBODY = {"pd": "none", "agree": "NOT_APPLICABLE", "why_no": None}


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """An ordinary message with a few unusual things about it: with many of them at once every answer would be no."""

    def pick(of: Any) -> Any:
        return draw(st.sampled_from(of))

    law = {name: pick(values) for name, values in CORE.items()} | {"child": False}
    law |= dict(pick_some(draw, LAW, 2))
    law |= pick(TOGETHER)
    fields: dict[str, Any] = {"rag": pick(["RED", "AMBER", "GREEN"])}
    fields |= {name: value for one in pick_some(draw, HEAD, 1) for name, value in one.items()}
    if fields.get("cls") == "ADMIN" and pick([True, False]):
        law |= NOBODY
    known = {name: value for one in pick_some(draw, KNOWN, 1) for name, value in one.items()}
    parties = (pick(PARTIES), pick(PARTIES)) if pick([False, True]) else (pick(PARTIES),)
    to = tuple(Recipient(a=CEDAR.id, d=f"d{n}", k=CEDAR.prekey.kid) for n in range(len(parties)))
    head = BLANK.model_copy(update={**fields, "to": to, "law": BLANK.law.model_copy(update=law)})
    return Facts(head, pick(COVERAGES), pick(PARTIES), parties, **{"policy": POLICY, "now": T0, **known})


def pick_some(draw: st.DrawFn, of: list[Any], most: int) -> list[Any]:
    places = draw(st.lists(st.integers(0, len(of) - 1), max_size=most))
    return [of[place] for place in places]


def test_the_table_says_what_the_text_says():
    seen: Counter[str] = Counter()

    @settings(max_examples=1500, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(found=facts())
    def compare(found: Facts) -> None:
        decision, said = decide(found), answer(found)
        told = (WORDS[decision.outcome], decision.code, decision.rows, decision.lead, decision.notes)
        assert told == (said.outcome, said.code, said.rows, said.lead, said.notes)
        _count(seen, found, decision)

    compare()
    assert {f"row {number}" for number in range(1, 24)} <= set(seen)
    assert {"deliver", "alert", "hold", "block"} <= set(seen)
    assert seen["a duty carried what a no would have stopped"] >= 5
    assert seen["break-glass carried what a no would have stopped"] >= 5
    assert seen["break-glass did not carry it"] >= 5


def _count(seen: Counter[str], found: Facts, decision: Decision) -> None:
    seen.update(f"row {number}" for number in decision.rows)
    seen[WORDS[decision.outcome]] += 1
    law = found.header.law
    without = decide(_with(found, law.model_copy(update={"why_no": None})))
    if without.passes:
        return
    if law.why_no == "E" and decision.passes and set(without.rows) & SWITCHED_OFF_BY_DUTY:
        seen["a duty carried what a no would have stopped"] += 1
    if law.why_no == "F" and found.header.rag == "RED":
        broken = "carried what a no would have stopped" if decision.passes else "did not carry it"
        assert decision.passes or set(decision.rows) & NEVER_BROKEN or found.policy is NO_GLASS
        seen[f"break-glass {broken}"] += 1


def _with(found: Facts, law: Any) -> Facts:
    head = found.header.model_copy(update={"law": law})
    return Facts(
        head, found.coverage, found.sender, found.parties, found.policy, found.now, found.override, found.request, found.onward,
        found.switched, found.leads,
    )  # fmt: skip
