"""How agreement was given or withdrawn, in words: the part that only the recipients read (PROTOCOL.md M14, M15).

The part that the relay acts on is a signed statement of codes (schemas.grants); this is what it rests on.

Rules of this house:
- agreement counts only when the person was asked away from whoever is causing harm, and silence is never agreement;
- withdrawing is as easy as giving: a day and a handle are enough, and nobody asks why;
- a limit is a choice, not an obstacle: it is repeated in the person's own words.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from schemas.categories import CATEGORIES, NOT_ASKED, Holds
from schemas.envelope import Id16
from schemas.messages.access import Interpreter
from schemas.messages.asked import Asked, Block, Codes, Day, Some
from schemas.messages.text import Short, Text

HowAsked = Literal["face_to_face", "phone", "video", "in_writing"]
ToldAbout = Literal[
    "who_will_see_it",
    "what_is_shared",
    "why",
    "until_when",
    "how_to_withdraw",
    "when_it_is_shared_without_agreement",
    "how_to_complain",
]
NotFor = Literal[
    "SUPPORT",
    "RISK_MGMT",
    "CHILD_PROT",
    "ADULT_PROT",
    "CRIME",
    "HOUSING",
    "HEALTH",
    "FORUM",
    "RIGHTS",
    "STATS",
]
"""The purposes that this version of the form offers; a policy may know more."""
GivenBy = Literal["SELF", "CHILD_COMPETENT", "PR_NOT_HARM", "ATTORNEY", "BEST_INTERESTS"]
HowHeard = Literal["told_us", "told_another_agency", "in_writing", "through_advocate"]
AskRecipients = Literal["stop_using", "delete", "stop_contact"]

LONGEST = 366
"""Days. Agreement is asked afresh at least once a year."""


class AgreedLimits(Block):
    """What the person wants left out. Codes for the programs; `in_own_words` for the people."""

    not_recipients: Annotated[Asked[Some[Short]], Holds("consent", "W")] = NOT_ASKED
    not_purposes: Annotated[Asked[Codes[NotFor]], Holds("consent", "W")] = NOT_ASKED
    not_categories: Annotated[Asked[Codes[str]], Holds("consent", "W")] = NOT_ASKED
    not_about: Annotated[Asked[Some[Short]], Holds("consent", "W")] = NOT_ASKED
    until: Annotated[Asked[Day], Holds("consent", "W")] = NOT_ASKED
    channel: Annotated[Asked[Short], Holds("consent", "W")] = NOT_ASKED
    in_own_words: Annotated[Asked[Text], Holds("consent", "W")] = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """At least one limit: without one it is not limited."""
        if not given.keys() - {"in_own_words"}:
            yield "not_categories"

    @model_validator(mode="after")
    def _categories_exist(self) -> Self:
        if self.not_categories != NOT_ASKED and not CATEGORIES.issuperset(self.not_categories):
            raise PydanticCustomError("category", "is no category", {"fields": ("not_categories",)})
        return self


class ConsentGrant(Block):
    """`consent.grant`, version 1: the sealed part of an agreement.

    Required: gid, state, agree_by, how_asked, asked_on, alone_when_asked, told, words_used, valid_until; limits when
    the state is LIMITED.
    """

    type: Annotated[Literal["consent.grant"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    gid: Annotated[Id16, Holds(None, "O")]
    state: Annotated[Literal["GIVEN", "LIMITED"], Holds("consent", "W")]
    agree_by: Annotated[GivenBy, Holds("consent", "O")]
    how_asked: Annotated[HowAsked, Holds("consent", "O")]
    asked_on: Annotated[Day, Holds("consent", "O")]
    alone_when_asked: Annotated[bool, Holds("consent", "O")]
    interpreter: Annotated[Asked[Interpreter], Holds("consent", "O")] = NOT_ASKED
    told: Annotated[Codes[ToldAbout], Holds("consent", "O")]
    words_used: Annotated[Text, Holds("consent", "W")]
    own_words: Annotated[Asked[Text], Holds("consent", "W")] = NOT_ASKED
    limits: Asked[AgreedLimits] = NOT_ASKED
    valid_until: Annotated[Day, Holds("consent", "O")]

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """The limits of a limited agreement."""
        if given.get("state") == "LIMITED" and "limits" not in given:
            yield "limits"

    @model_validator(mode="after")
    def _asked_freely(self) -> Self:
        if not self.alone_when_asked:
            raise PydanticCustomError("NOT_ALONE", "was not asked alone", {"fields": ("alone_when_asked",)})
        if self.state == "GIVEN" and self.limits != NOT_ASKED:
            raise PydanticCustomError("limits", "a limited agreement is LIMITED", {"fields": ("state",)})
        asked, until = map(datetime.date.fromisoformat, (self.asked_on, self.valid_until))
        if not 0 <= (until - asked).days <= LONGEST:
            raise PydanticCustomError("period", "is not within a year", {"fields": ("valid_until",)})
        return self


class ConsentWithdraw(Block):
    """`consent.withdraw`, version 1: the sealed part of a withdrawal. Required: gid, withdrawn_on."""

    type: Annotated[Literal["consent.withdraw"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    gid: Annotated[Id16, Holds(None, "O")]
    withdrawn_on: Annotated[Day, Holds("consent", "O")]
    how_heard: Annotated[Asked[HowHeard], Holds("consent", "O")] = NOT_ASKED
    heard_by_role: Annotated[Asked[Short], Holds("consent", "O")] = NOT_ASKED
    alone_when_heard: Annotated[Asked[bool], Holds("consent", "O")] = NOT_ASKED
    interpreter: Annotated[Asked[Interpreter], Holds("consent", "O")] = NOT_ASKED
    words_used: Annotated[Asked[Text], Holds("consent", "W")] = NOT_ASKED
    recipients_please: Annotated[Asked[Codes[AskRecipients]], Holds("consent", "W")] = NOT_ASKED
    wants_now: Annotated[Asked[Text], Holds("consent", "W")] = NOT_ASKED
