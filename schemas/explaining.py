"""Lawful next steps: what an author may do when the rule says no, for these very agencies (PROTOCOL.md G11).

Rules of this house:
- a step that changes codes is offered only if the rule itself, asked again, gives a milder answer;
- nothing is offered that would be a lie: the colour, whom it is about, what it holds and what the person said stay;
- whatever the codes allow, a step says for which situation it is meant: the author knows whether that is the case;
- first comes what a person does. Asking the person, or ringing somebody, is always lawful.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from schemas.consent import decide
from schemas.decision import Decision, Outcome
from schemas.envelope import HarmCauser, Law
from schemas.explaining_words import BY_HAND, HUMAN, LEADS_TO, PARAGRAPH, ROUTE, WHY_NOT
from schemas.facts import Facts
from schemas.gateways import TESTS
from schemas.lawful import WhyNo
from schemas.reading import Reading

Change = dict[str, Any]
"""Entries of the header's law block, as the author would set them."""
MOST = 6
"""The longest list of code changes: more is not help."""
DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Step:
    """One way on.

    `law` holds the entries of the law block to set, and is empty for what people do; `leads_to` is then "": with
    `law` it says what the rule answers to the changed message.
    """

    code: str
    say: str
    law: Mapping[str, Any]
    leads_to: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision in plain words: its code, why, and the ways on."""

    code: str
    say: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """A consistent way to rest a message on the law: what its words name, and parts that are set where needed."""

    code: str
    say: str
    named: Change
    parts: tuple[Change, ...] = ()


def explain(facts: Facts, decision: Decision) -> Explanation:
    """What to do about a decision. Nothing when the message simply goes.

    Args:
        facts: what the rule knew.
        decision: what it said of them.
    """
    steps = (*by_hand(decision), *_by_codes(facts, decision)) if decision.code else ()
    return Explanation(decision.code, decision.next_step, steps)


def by_hand(decision: Decision) -> tuple[Step, ...]:
    """What people do about the codes of a decision."""
    codes = (*decision.codes, *(("LEAD_AFTER",) if decision.lead == "after" else ()))
    named = dict.fromkeys(name for code in codes for name in BY_HAND.get(code, ()))
    return tuple(Step(name, HUMAN[name], {}) for name in named)


def steps_for(code: str) -> tuple[Step, ...]:
    """What people do about one code, whatever the message: for a refusal that came from elsewhere."""
    return tuple(Step(name, HUMAN[name], {}) for name in BY_HAND.get(code, ()))


def changed(facts: Facts, change: Mapping[str, Any]) -> Facts:
    """The same facts about a message whose law block has these entries instead."""
    law = facts.header.law.model_copy(update=_typed(change))
    return replace(facts, header=facts.header.model_copy(update={"law": law}))


def _by_codes(facts: Facts, decision: Decision) -> tuple[Step, ...]:
    """Code changes that help, mildest answer first. Two at once only where no single one does."""
    basis, reasons, told = _routes(facts)
    found = _better(facts, decision, [[(route,)] for route in (*basis, *reasons, *told)])
    if not found:
        # Of all that goes with a reason, or with a day, the likeliest that helps is enough.
        firsts = ((*reasons, *told), basis, reasons)
        pairs = [[(one, other) for other in others] for one, others in _paired(*firsts)]
        found = _better(facts, decision, pairs)
    return tuple(sorted(found, key=lambda step: Outcome[step.leads_to]))[:MOST]


def _paired(
    firsts: Iterable[Route], basis: list[Route], reasons: list[Route]
) -> Iterator[tuple[Route, list[Route]]]:
    for one in firsts:
        yield one, basis if one in reasons else [*basis, *reasons]


def _better(facts: Facts, decision: Decision, groups: Iterable[Iterable[tuple[Route, ...]]]) -> list[Step]:
    """The first way of each group that makes the answer milder, each change once."""
    found: dict[str, Step] = {}
    for group in groups:
        for way in group:
            better = _smallest(facts, decision, way)
            if better is not None:
                change, outcome = better
                say = " ".join((*(route.say for route in way), LEADS_TO[outcome]))
                step = Step("+".join(route.code for route in way), say, change, outcome.name)
                found.setdefault(repr(sorted(change.items())), step)
                break
    return list(found.values())


def _smallest(facts: Facts, decision: Decision, way: tuple[Route, ...]) -> tuple[Change, Outcome] | None:
    """What the words of these routes name, and the fewest of their other parts that help as much as all of them."""
    law = facts.header.law
    named = _merged(route.named for route in way)
    parts = [part for route in way for part in route.parts if _differs(law, part)]
    whole = _outcome(facts, (named, *parts))
    if whole >= decision.outcome or not any(_differs(law, part) for part in (named, *parts)):
        return None
    for size in range(len(parts) + 1):
        for chosen in combinations(parts, size):
            change = _merged((named, *chosen))
            if _outcome(facts, (change,)) == whole and _differs(law, change):
                return _needed(law, change), whole
    return _needed(law, _merged((named, *parts))), whole


def _needed(law: Law, change: Change) -> Change:
    """Only the entries that are not so already."""
    typed = _typed(change)
    return {name: value for name, value in change.items() if getattr(law, name) != typed[name]}


def _outcome(facts: Facts, parts: Iterable[Change]) -> Outcome:
    return decide(changed(facts, _merged(parts))).outcome


def _merged(parts: Iterable[Change]) -> Change:
    return {name: value for part in parts for name, value in part.items()}


def _differs(law: Law, part: Change) -> bool:
    return any(getattr(law, name) != value for name, value in _typed(part).items())


def _typed(change: Mapping[str, Any]) -> Change:
    """The entries as the models hold them: tuples for lists."""
    typed = {name: tuple(value) if isinstance(value, list) else value for name, value in change.items()}
    if isinstance(hc := typed.get("hc"), dict):
        typed["hc"] = HarmCauser(b6=hc["b6"], s1=tuple(hc["s1"]))
    return typed


def _routes(facts: Facts) -> tuple[list[Route], list[Route], list[Route]]:
    """Every basis, reason and date that could fit this sender and these recipients, likeliest first."""
    of = Reading(facts)
    basis = [*_agreement(of), *(_public(of) if of.sender.flags.public_authority else _private(of))]
    if of.state == "cannot" and of.law.spec:
        basis.append(Route("vital-interests", ROUTE["vital-interests"], _special(of, "9c", [])))
    return basis, list(_reasons(of)), list(_told(of))


def _agreement(of: Reading) -> Iterator[Route]:
    if of.inside:
        paragraphs = ["s1:29"] if of.law.crim else []
        parts = (_special(of, "9a", paragraphs), _harm(of), _open(of), {"why_no": None})
        yield Route("agreement", ROUTE["agreement"], {"b6": "6a"}, parts)
    if of.agreed and of.law.agree_by is None:
        yield Route("who-agreed", ROUTE["who-agreed"], {"agree_by": "SELF"})


def _private(of: Reading) -> Iterator[Route]:
    if of.law.child or of.law.adult_at_risk:
        yield _private_route(of, "safeguarding", "6ea:safeguarding", "s1:18")
    if of.red:
        yield _private_route(of, "emergency", "6ea:emergency", "s1:10")
    yield _private_route(of, "balancing", "6f", "s1:10")
    if of.law.spec or of.law.crim:
        yield _private_route(of, "support", "6f", "s1:17")


def _private_route(of: Reading, code: str, basis: str, paragraph: str) -> Route:
    special = of.law.spec or of.law.crim
    say = f"{ROUTE[code]} {PARAGRAPH[paragraph]}" if special else ROUTE[code]
    return Route(code, say, {"b6": basis}, (_special(of, "9g", [paragraph]), _harm(of), _open(of)))


def _public(of: Reading) -> Iterator[Route]:
    """The public task, with each gateway that is open to these agencies."""
    parties = of.facts.parties
    if of.policy.flags:
        parties = tuple(of.policy.party(to.a, party) for to, party in zip(of.header.to, parties, strict=True))
    parts = (_special(of, "9g", ["s1:6"]), _harm(of))
    for entry in of.policy.vocabulary.gateways:
        tested = entry.test is not None and entry.stands(of.facts.now)
        if not tested or not TESTS[entry.test or ""](of.law, of.sender, parties):
            continue
        if entry.duty == "any" or (entry.duty == "child" and of.law.child):
            say = ROUTE["duty"].format(code=entry.code, says=entry.says)
            required = {"b6": "6c", "gw": [entry.code], "why_no": "E"}
            yield Route("duty", say, required, (*parts, *(route.named for route in _told(of))))
        say = ROUTE["gateway"].format(code=entry.code, says=entry.says)
        yield Route("gateway", say, {"b6": "6e", "gw": [entry.code]}, parts)
    yield Route("public-task", ROUTE["public-task"], {"b6": "6e"}, (_open(of), *parts))


def _reasons(of: Reading) -> Iterator[Route]:
    """Why the person was not asked, or is not followed: true only if the author says so."""
    codes: tuple[WhyNo, ...] = ()
    if of.state == "unasked":
        codes = ("B", "C", "D")
    elif of.state == "cannot":
        codes = ("A",)
    for code in codes:
        yield Route(f"why-{code}", WHY_NOT[code], {"why_no": code})
    if of.red and not of.why:
        yield Route("why-F", WHY_NOT["F"], {"why_no": "F"})


def _told(of: Reading) -> Iterator[Route]:
    latest = of.header.ts + min(28, of.policy.thresholds.unsafe_days) * DAY
    if of.policy.told.get(of.law.told) == "none":
        yield Route("told", ROUTE["told"], {"told": "BY", "told_by": latest})
    if of.policy.told.get(of.law.told) == "unsafe":
        yield Route("review", ROUTE["review"], {"told_by": latest})


def _special(of: Reading, condition: str, paragraphs: list[str]) -> Change:
    """The condition for special-category data, where there is any, and the paragraphs that go with it."""
    crime = of.law.crim and not any("crime" in _marks(of, code) for code in paragraphs)
    listed = [*paragraphs, *(["s1:36"] if crime else [])]
    needed = of.law.spec or of.law.crim
    return {"b9": condition if of.law.spec else None, "s1": listed if needed else []}


def _marks(of: Reading, code: str) -> frozenset[str]:
    found = of.policy.paragraphs.get(code)
    return frozenset() if found is None else found.marks


def _harm(of: Reading) -> Change:
    """Bases of its own for what is said about the person causing harm, where something is."""
    if of.law.hc is None:
        return {}
    basis = "6e" if of.sender.flags.public_authority else "6f"
    return {"hc": {"b6": basis, "s1": ["s1:10", "s1:36"]}}


def _open(of: Reading) -> Change:
    """Only gateways that are open stay named."""
    return {"gw": []} if of.gates_shut else {}
