"""The person: who this is, in a recipient's files too, and what is wanted (PROTOCOL.md M5: blocks B1, B2, B6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from schemas.categories import NOT_ASKED, Holds, When
from schemas.messages.asked import Asked, Block, Day, Ref, Some
from schemas.messages.text import Short, Text

AgeBand = Literal["under_13", "13_15", "16_17", "18_25", "26_39", "40_59", "60_plus"]
AddressStatus = Literal["shareable", "withheld"]
CouldNotAskWhy = Literal["not_safe_to_ask", "not_reached", "not_able_now", "emergency", "too_young"]

CHILD_BANDS = frozenset({"under_13", "13_15", "16_17"})


def is_nhs_number(digits: str) -> bool:
    """Whether ten digits carry the NHS number's check digit (NHS Data Dictionary: modulus 11)."""
    if len(digits) != 10 or not (digits.isascii() and digits.isdigit()):
        return False
    total = sum(int(digit) * (10 - place) for place, digit in enumerate(digits[:9]))
    return (11 - total % 11) % 11 == int(digits[9])


def _nhs_number(digits: str) -> str:
    if not is_nhs_number(digits):
        raise PydanticCustomError("number", "is not a number of this kind")
    return digits


NhsNumber = Annotated[str, Field(pattern=r"^[0-9]{10}$"), AfterValidator(_nhs_number)]
ChildAge = Annotated[int, Field(ge=0, le=17)]
Upn = Annotated[str, Field(pattern=r"^[A-Z][0-9]{11}[0-9A-Z]$")]


class Person(Block):
    """B1. Enough to speak with the person; not enough to search for them."""

    person_ref: Annotated[Ref, Holds(None, "O")]
    known_as: Annotated[Short, Holds("person", "P")]
    area: Annotated[Short, Holds("person", "P")]
    age_band: Annotated[Asked[AgeBand], Holds("person", "P", (When(CHILD_BANDS, "child"),))] = NOT_ASKED
    pronouns: Annotated[Asked[Short], Holds("person", "P")] = NOT_ASKED
    preferred_term: Annotated[Asked[Short], Holds("person", "W")] = NOT_ASKED


class Address(Block):
    """A postal address that may travel. A refuge or safe house never stands here (PROTOCOL.md M8)."""

    lines: Annotated[tuple[Short, ...], Field(min_length=1, max_length=5), Holds("ident", "P")]
    postcode: Annotated[Asked[Short], Holds("ident", "P")] = NOT_ASKED


class Ident(Block):
    """B2. Only for a recipient who must search its files."""

    legal_name: Annotated[Short, Holds("ident", "P")]
    aliases: Annotated[Asked[Some[Short]], Holds("ident", "P")] = NOT_ASKED
    dob: Annotated[Asked[Day], Holds("ident", "P")] = NOT_ASKED
    address_status: Annotated[Asked[AddressStatus], Holds("ident", "O")] = NOT_ASKED
    address: Asked[Address] = NOT_ASKED
    nhs_no: Annotated[Asked[NhsNumber], Holds("ident", "P")] = NOT_ASKED
    police_ref: Annotated[Asked[Short], Holds("ident", "P")] = NOT_ASKED
    upn: Annotated[Asked[Upn], Holds("ident", "P")] = NOT_ASKED

    @model_validator(mode="after")
    def _address_may_travel(self) -> Self:
        if self.address != NOT_ASKED and self.address_status != "shareable":
            raise PydanticCustomError("ADDRESS_WITHHELD", "is not shareable", {"fields": ("address",)})
        return self


class CouldNotAsk(Block):
    """Said instead of the person's wishes when nobody could ask: which reason, and what happened."""

    could_not_ask: Annotated[CouldNotAskWhy, Holds("wishes", "O")]
    why: Annotated[Text, Holds("wishes", "O")]


def _asked_or_not(value: Any) -> str:
    return "~could_not_ask" if isinstance(value, dict | CouldNotAsk) else "~wants"


_Wants = Annotated[tuple[Text, ...], Field(min_length=1, max_length=10)]
Wants = Annotated[
    Annotated[_Wants, Tag("~wants")] | Annotated[CouldNotAsk, Tag("~could_not_ask")],
    Discriminator(_asked_or_not),
]
"""What the person wants, wish by wish, so that an answer can speak to each; or why nobody could ask."""


class Wishes(Block):
    """B6. Every message about a person carries what the person wants, or says why nobody could ask."""

    wants: Annotated[Wants, Holds("wishes", "W")]
    does_not_want: Annotated[Asked[Some[Text]], Holds("wishes", "W")] = NOT_ASKED
    own_words: Annotated[Asked[Text], Holds("wishes", "W")] = NOT_ASKED
    outcome_hoped: Annotated[Asked[Text], Holds("wishes", "W")] = NOT_ASKED
    who_not_to_tell: Annotated[Asked[Some[Short]], Holds("wishes", "WT")] = NOT_ASKED
    fears: Annotated[Asked[Text], Holds("wishes", "W")] = NOT_ASKED


class ChildIdent(Ident):
    """B2 for a child, with what the child is called; the age when the date of birth is not known."""

    known_as: Annotated[Asked[Short], Holds("child", "P")] = NOT_ASKED
    age: Annotated[Asked[ChildAge], Holds("child", "P")] = NOT_ASKED
