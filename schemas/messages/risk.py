"""Risk, the person causing harm, and children (PROTOCOL.md M7: blocks B7, B8, B9).

Rules of this house:
- a level comes from a person's judgement and a tool's count, never from a program reading text;
- answers to a tool's questions stay in the assessor's file: counts and the level travel;
- an allegation is not a conviction: nothing here states an offence as a fact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.categories import NOT_ASKED, Holds, When
from schemas.messages.asked import Asked, Block, Codes, Count, Day, Ref, Some
from schemas.messages.text import Short, Text

RiskTool = Literal["DASH", "DASH-YP", "DASH-older", "DARA", "other", "none"]
RiskLevel = Literal["high", "medium", "standard", "not_assessed"]
Indicator = Literal[
    "strangulation",
    "weapon",
    "threat_to_kill",
    "separation",
    "pregnancy_newborn",
    "stalking",
    "sexual",
    "self_harm",
    "child_contact",
    "HBA_FM",
    "animals",
]
Relation = Literal[
    "partner",
    "ex_partner",
    "parent",
    "adult_child",
    "sibling",
    "other_family",
    "carer",
    "acquaintance",
    "colleague",
    "exploiter",
    "stranger",
    "not_known",
]
AccessTo = Literal["home", "phone", "accounts", "children", "work", "none_known"]
Order = Literal["bail", "DAPN_DAPO", "non_molestation", "restraining", "licence"]
HarmCauserStatus = Literal["alleged", "charged", "convicted", "order"]
YesNoUnknown = Literal["yes", "no", "unknown"]
Whereabouts = Literal["known", "unknown", "custody"]
ChildRelation = Literal["child", "stepchild", "sibling", "grandchild", "other_family", "other"]
LivesWith = Literal["person", "harm_causer", "both", "other_family", "carers", "other"]

_HEALTH = When(frozenset({"pregnancy_newborn", "self_harm"}), "health")


class Risk(Block):
    """B7. A count of answers, a level and a judgement, each with its date of review."""

    tool: Annotated[RiskTool, Holds("risk", "O")]
    level: Annotated[RiskLevel, Holds("risk", "P")]
    prof_judgement: Annotated[bool, Holds("risk", "O")]
    assessed_on: Annotated[Day, Holds("risk", "O")]
    review_on: Annotated[Day, Holds("risk", "O")]
    yes_count: Annotated[Asked[Count], Holds("risk", "SC")] = NOT_ASKED
    unknown_count: Annotated[Asked[Count], Holds("risk", "O")] = NOT_ASKED
    why: Annotated[Asked[Text], Holds("risk", "SC")] = NOT_ASKED
    escalation: Annotated[Asked[bool], Holds("risk", "P")] = NOT_ASKED
    incidents_12m: Annotated[Asked[Count], Holds("risk", "C")] = NOT_ASKED
    indicators: Annotated[Asked[Codes[Indicator]], Holds("risk", "SC", (_HEALTH,))] = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """The reason for a professional judgement."""
        if given.get("prof_judgement") is True and "why" not in given:
            yield "why"


class HarmCauserBrief(Block):
    """B8 at its least: no name, no date of birth, no offences. Feeds the recipient's conflict check."""

    relation: Annotated[Relation, Holds("hc", "T")]
    access_to: Annotated[Codes[AccessTo], Holds("hc", "T")]
    aware: Annotated[bool, Holds("hc", "T")]
    works_for_partner: Annotated[YesNoUnknown, Holds("hc", "T")]


class HarmCauser(HarmCauserBrief):
    """B8 in full, for a recipient who must act about this person."""

    ref: Annotated[Asked[Ref], Holds(None, "O")] = NOT_ASKED
    name: Annotated[Asked[Short], Holds("hc", "TC")] = NOT_ASKED
    aliases: Annotated[Asked[Some[Short]], Holds("hc", "TC")] = NOT_ASKED
    dob: Annotated[Asked[Day], Holds("hc", "TC")] = NOT_ASKED
    whereabouts: Annotated[Asked[Whereabouts], Holds("hc", "T")] = NOT_ASKED
    orders: Annotated[Asked[Codes[Order]], Holds("hc", "C")] = NOT_ASKED
    status: Annotated[Asked[HarmCauserStatus], Holds("hc", "C")] = NOT_ASKED


class ChildsVoice(Block):
    """What a child said, in the child's words, and who was in the room."""

    quote: Annotated[Text, Holds("child", "W")]
    who_was_present: Annotated[Short, Holds("child", "T")]


Years = Annotated[int, Field(ge=0, le=25)]


class Child(Block):
    """B9. A child is a person in the matter, not an attribute of a parent."""

    known_as: Annotated[Short, Holds("child", "P")]
    relation: Annotated[ChildRelation, Holds("child", "P")]
    lives_with: Annotated[LivesWith, Holds("child", "P")]
    age: Annotated[Asked[Years], Holds("child", "P")] = NOT_ASKED
    dob: Annotated[Asked[Day], Holds("child", "P")] = NOT_ASKED
    school_ref: Annotated[Asked[Short], Holds("child", "P")] = NOT_ASKED
    present_or_affected: Annotated[Asked[bool], Holds("child", "SC")] = NOT_ASKED
    childs_voice: Asked[ChildsVoice] = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """An age or a date of birth."""
        if not given.keys() & {"age", "dob"}:
            yield "age"
