"""Safe contact: how to reach the person without harm (PROTOCOL.md M6: block B3).

Rules of this house:
- unknown means no: a number or an address is here only where the person said that the channel is safe;
- a desk that does not know what is unsafe rings the house, so this block goes with every message about a person;
- a code word does not travel in this version: it would need a part sealed to one named role.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from schemas.categories import NOT_ASKED, Holds
from schemas.messages.asked import Asked, Block, Day, Some, said
from schemas.messages.person import AddressStatus
from schemas.messages.text import Short

ChannelKind = Literal["call", "text", "voicemail", "email", "letter", "app", "visit", "via_worker"]
Safe = Literal["yes", "no", "unknown"]
LeaveMessage = Literal["none", "neutral", "agreed_words"]
SomeoneElse = Literal["hang_up", "cover", "ask"]

PHONES = frozenset({"call", "text", "voicemail"})
AT_AN_ADDRESS = frozenset({"letter", "visit"})
SEEN_ON_A_DEVICE = frozenset({"text", "voicemail", "email", "app"})

_PHONE = re.compile(r"\+?[0-9][0-9 ()-]{5,18}[0-9]")
_EMAIL = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,120}\.[a-zA-Z]{2,24}")


class Channel(Block):
    """One way to reach the person. `value` is the number or address; letters and visits need `address_status`."""

    kind: Annotated[ChannelKind, Holds("contact", "O")]
    safe: Annotated[Safe, Holds("contact", "P")]
    value: Annotated[Asked[Short], Holds("contact", "P")] = NOT_ASKED
    address_status: Annotated[Asked[AddressStatus], Holds("contact", "O")] = NOT_ASKED
    number_withheld: Annotated[Asked[bool], Holds("contact", "P")] = NOT_ASKED
    when: Annotated[Asked[Short], Holds("contact", "P")] = NOT_ASKED
    who_may_answer: Annotated[Asked[Short], Holds("contact", "T")] = NOT_ASKED
    say_we_are: Annotated[Asked[Short], Holds("contact", "P")] = NOT_ASKED
    leave_message: Annotated[Asked[LeaveMessage], Holds("contact", "P")] = NOT_ASKED
    if_someone_else_answers: Annotated[Asked[SomeoneElse], Holds("contact", "P")] = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """The number of a safe channel, and the cover story where one is to be used."""
        if given.get("safe") == "yes" and given.get("kind") in PHONES | {"email"} and "value" not in given:
            yield "value"
        if given.get("if_someone_else_answers") == "cover" and "say_we_are" not in given:
            yield "say_we_are"

    @model_validator(mode="after")
    def _value_is_safe_to_use(self) -> Self:
        if self.value == NOT_ASKED:
            return self
        if self.safe != "yes":
            raise PydanticCustomError("UNSAFE_CONTACT", "is not a safe channel", {"fields": ("value",)})
        if self.kind in AT_AN_ADDRESS and self.address_status != "shareable":
            raise PydanticCustomError("ADDRESS_WITHHELD", "is not shareable", {"fields": ("value",)})
        pattern = _PHONE if self.kind in PHONES else _EMAIL if self.kind == "email" else None
        if pattern and not pattern.fullmatch(self.value):
            raise PydanticCustomError("contact_value", "does not fit the channel", {"fields": ("value",)})
        return self


class SafeContact(Block):
    """B3. `checked_on` is the day the person last said so: stale after 28 days, after 7 where the colour is red."""

    checked_on: Annotated[Day, Holds("contact", "O")]
    asked_alone: Annotated[bool, Holds("contact", "O")]
    channels: Asked[Some[Channel]] = NOT_ASKED
    code_word_hint: Annotated[Asked[Short], Holds("contact", "P")] = NOT_ASKED
    person_will_contact_us: Annotated[Asked[bool], Holds("contact", "W")] = NOT_ASKED
    no_contact_until: Annotated[Asked[Day], Holds("contact", "W")] = NOT_ASKED
    next_safe_slot: Annotated[Asked[Short], Holds("contact", "P")] = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """A safe way back: one channel marked safe, or that the person will get in touch."""
        ways = given.get("channels")
        safe = isinstance(ways, list | tuple) and any(said(way, "safe") == "yes" for way in ways)
        if not safe and given.get("person_will_contact_us") is not True:
            yield "channels"
