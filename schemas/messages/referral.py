"""The universal referral: ask one service for one thing (PROTOCOL.md M10; street strategy charter, commitment 4).

What it never carries: legal names, dates of birth, addresses, answers to a risk tool, a name or an offence of the
person causing harm. A service that accepts asks the person for what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from schemas.categories import NOT_ASKED, Holds
from schemas.lawful import Rag
from schemas.messages.access import Access, Digital
from schemas.messages.asked import Asked, Block, Some
from schemas.messages.contact import SEEN_ON_A_DEVICE, SafeContact
from schemas.messages.handling import (
    FAMILY_STRANDS,
    FreeTextHolds,
    HandlingBanner,
    Needs,
    Reasons,
    ReplyTo,
    StaffSafety,
    Strands,
)
from schemas.messages.person import Person, Wishes
from schemas.messages.risk import Child, HarmCauserBrief, Risk
from schemas.messages.text import Short, Text


class Referral(Block):
    """`referral.universal`, version 1.

    Required: person (person_ref, known_as, area), contact with a safe way back (unless RED), wishes.wants, ask,
    strand, rag, reply_to.desk; rag_why when the colour is RED or AMBER. Everything else may be not asked yet.
    """

    type: Annotated[Literal["referral.universal"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    rag: Annotated[Rag, Holds(None, "O")]
    rag_why: Annotated[Asked[Text], Holds("ask", "P")] = NOT_ASKED
    ask: Annotated[Text, Holds("ask", "P")]
    strand: Strands
    handling: HandlingBanner = NOT_ASKED
    person: Person
    wishes: Wishes
    contact: Asked[SafeContact] = NOT_ASKED
    access: Asked[Access] = NOT_ASKED
    digital: Asked[Digital] = NOT_ASKED
    needs: Needs = NOT_ASKED
    risk: Asked[Risk] = NOT_ASKED
    harm_causers: Asked[Some[HarmCauserBrief]] = NOT_ASKED
    children: Asked[Some[Child]] = NOT_ASKED
    already_working_with: Annotated[Asked[Some[Short]], Holds("ask", "P")] = NOT_ASKED
    tried_already: Annotated[Asked[Some[Text]], Holds("ask", "P")] = NOT_ASKED
    staff_safety: Asked[StaffSafety] = NOT_ASKED
    reasons: Asked[Reasons] = NOT_ASKED
    reply_to: ReplyTo
    also_holds: FreeTextHolds = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """Why this colour, and a safe way back. A missing item of paper never stops a RED: the recipient rings."""
        if given.get("rag") in ("RED", "AMBER") and "rag_why" not in given:
            yield "rag_why"
        if given.get("rag") != "RED" and "contact" not in given:
            yield "contact"
        if _family_may_be_the_danger(given) and "no_family_contact" not in _codes(given, "handling"):
            yield "handling"

    @model_validator(mode="after")
    def _colour_fits_the_strand(self) -> Self:
        if self.rag == "GREEN" and FAMILY_STRANDS & set(self.strand):
            raise PydanticCustomError("COLOUR_TOO_LOW", "amber at least", {"fields": ("rag",)})
        return self

    @model_validator(mode="after")
    def _nothing_is_sent_to_a_watched_device(self) -> Self:
        if not isinstance(self.contact, SafeContact) or not isinstance(self.digital, Digital):
            return self
        ways = self.contact.channels if isinstance(self.contact.channels, tuple) else ()
        if self.digital.watched() and any(way.safe == "yes" and way.kind in SEEN_ON_A_DEVICE for way in ways):
            raise PydanticCustomError("DIGITAL_UNSAFE", "is not safe", {"fields": ("contact.channels",)})
        return self


def _family_may_be_the_danger(given: Mapping[str, Any]) -> bool:
    return bool(FAMILY_STRANDS & _codes(given, "strand"))


def _codes(given: Mapping[str, Any], name: str) -> set[str]:
    found = given.get(name, ())
    return {code for code in found if isinstance(code, str)} if isinstance(found, list | tuple) else set()
