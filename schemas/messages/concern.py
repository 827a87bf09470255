"""Safeguarding concerns about a child and about an adult (PROTOCOL.md M12, M13).

Children Act 2004 s16LA and Children Act 1989 ss17, 47; Care Act 2014 s42. Asking parents is not the test where a
child is at risk, and the harm-causing parent is never asked. A missing date of birth never stops a RED.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from schemas.categories import NOT_ASKED, Holds, When
from schemas.lawful import Rag
from schemas.messages.access import Access
from schemas.messages.asked import Asked, Block, Codes, Ref, Some, said
from schemas.messages.contact import SafeContact
from schemas.messages.handling import HandlingBanner, Reasons, ReplyTo, StaffSafety, Statement
from schemas.messages.person import ChildIdent, CouldNotAsk, Ident
from schemas.messages.risk import Child, ChildsVoice, HarmCauser, HarmCauserBrief
from schemas.messages.text import Short, Text

AbuseType = Literal[
    "physical",
    "domestic",
    "sexual",
    "psychological",
    "financial",
    "modern_slavery",
    "discriminatory",
    "organisational",
    "neglect",
    "self_neglect",
]
"""The kinds named in the Care Act statutory guidance, chapter 14."""
Capacity = Literal["yes", "no", "doubt"]

_SEXUAL = When(frozenset({"sexual", "discriminatory"}), marks="S")


class Parent(Block):
    """An adult with parental responsibility. `may_be_source_of_harm` decides who must not be contacted."""

    name: Annotated[Short, Holds("third_party", "T")]
    relation: Annotated[Literal["parent", "guardian", "local_authority", "other"], Holds("third_party", "T")]
    may_be_source_of_harm: Annotated[Literal["yes", "no", "unknown"], Holds("third_party", "T")]


class ChildConcern(Block):
    """`child.concern`, version 1.

    Required: rag, person_ref, child.legal_name, child.dob or child.age (unless RED), concern, impact_on_child,
    parents_told (and why not, unless RED), what_should_change, reply_to.desk; rag_why when RED or AMBER.
    """

    type: Annotated[Literal["child.concern"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    rag: Annotated[Rag, Holds(None, "O")]
    rag_why: Annotated[Asked[Text], Holds("concern", "P")] = NOT_ASKED
    handling: HandlingBanner = NOT_ASKED
    person_ref: Annotated[Ref, Holds(None, "O")]
    child: ChildIdent
    other_children: Asked[Some[Child]] = NOT_ASKED
    adults_with_pr: Asked[Some[Parent]] = NOT_ASKED
    concern: Some[Statement]
    impact_on_child: Annotated[Text, Holds("child", "SC")]
    strengths: Annotated[Asked[Text], Holds("concern", "P")] = NOT_ASKED
    child_view: Asked[ChildsVoice] = NOT_ASKED
    family_view: Annotated[Asked[Text], Holds("concern", "T")] = NOT_ASKED
    parents_told: Annotated[bool, Holds("concern", "O")]
    parents_not_told_why: Annotated[Asked[Text], Holds("concern", "P")] = NOT_ASKED
    what_should_change: Annotated[Text, Holds("concern", "P")]
    immediate_action: Annotated[Asked[Text], Holds("concern", "P")] = NOT_ASKED
    harm_causers: Asked[Some[HarmCauser]] = NOT_ASKED
    contact: Asked[SafeContact] = NOT_ASKED
    staff_safety: Asked[StaffSafety] = NOT_ASKED
    reasons: Asked[Reasons] = NOT_ASKED
    reply_to: ReplyTo

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """Why this colour, the child's age, and why the parents were not told: the last two never stop a RED."""
        if given.get("rag") in ("RED", "AMBER") and "rag_why" not in given:
            yield "rag_why"
        if given.get("rag") == "RED":
            return
        if "child" in given and said(given, "child", "dob") is None and said(given, "child", "age") is None:
            yield "child.dob"
        if given.get("parents_told") is False and "parents_not_told_why" not in given:
            yield "parents_not_told_why"


class CapacityView(Block):
    """Whether the adult can decide about this now, and what that view rests on (Mental Capacity Act 2005)."""

    answer: Annotated[Capacity, Holds("health", "S")]
    basis: Annotated[Text, Holds("health", "S")]


class Agreed(Block):
    """Whether the adult agreed to this concern being raised; if not, why it is raised all the same."""

    given: Annotated[bool, Holds("concern", "W")]
    why_not: Annotated[Asked[Text], Holds("concern", "P")] = NOT_ASKED


def _asked_or_not(value: Any) -> str:
    return "~could_not_ask" if isinstance(value, dict | CouldNotAsk) else "~text"


OutcomeWanted = Annotated[
    Annotated[Text, Tag("~text")] | Annotated[CouldNotAsk, Tag("~could_not_ask")],
    Discriminator(_asked_or_not),
]


class AdultConcern(Block):
    """`adult.concern`, version 1.

    Required: rag, person_ref, ident.legal_name, ident.dob (unless RED), care_support_needs, abuse_type, concern,
    outcome_wanted (or why the person could not be asked), capacity, consent (and why not, unless RED), actions_taken,
    reply_to.desk; rag_why when RED or AMBER.
    """

    type: Annotated[Literal["adult.concern"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    rag: Annotated[Rag, Holds(None, "O")]
    rag_why: Annotated[Asked[Text], Holds("concern", "P")] = NOT_ASKED
    handling: HandlingBanner = NOT_ASKED
    person_ref: Annotated[Ref, Holds(None, "O")]
    ident: Ident
    care_support_needs: Annotated[bool, Holds("health", "S")]
    abuse_type: Annotated[Codes[AbuseType], Holds("concern", "C", (_SEXUAL,))]
    concern: Some[Statement]
    outcome_wanted: Annotated[OutcomeWanted, Holds("wishes", "W")]
    capacity: CapacityView
    consent: Agreed
    others_at_risk: Annotated[Asked[Text], Holds("concern", "T")] = NOT_ASKED
    person_in_trust: Annotated[Asked[bool], Holds("concern", "T")] = NOT_ASKED
    actions_taken: Annotated[Text, Holds("concern", "P")]
    harm_causers: Asked[Some[HarmCauserBrief]] = NOT_ASKED
    contact: Asked[SafeContact] = NOT_ASKED
    access: Asked[Access] = NOT_ASKED
    staff_safety: Asked[StaffSafety] = NOT_ASKED
    reasons: Asked[Reasons] = NOT_ASKED
    reply_to: ReplyTo

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """Why this colour; and, unless RED, the date of birth and why there is no agreement."""
        if given.get("rag") in ("RED", "AMBER") and "rag_why" not in given:
            yield "rag_why"
        if given.get("rag") == "RED":
            return
        if "ident" in given and said(given, "ident", "dob") is None:
            yield "ident.dob"
        if said(given, "consent", "given") is False and said(given, "consent", "why_not") is None:
            yield "consent.why_not"
