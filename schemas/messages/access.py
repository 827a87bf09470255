"""What makes contact possible, and who may be watching (PROTOCOL.md M6: blocks B4 access, B5 digital)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from schemas.categories import NOT_ASKED, Holds, When
from schemas.messages.asked import Asked, Block, Codes, Some
from schemas.messages.text import Short, Text

Interpreter = Literal["none", "spoken", "BSL", "deafblind", "other"]
InterpreterGender = Literal["woman", "man", "either"]
ContactMode = Literal["text", "video_BSL", "relay", "in_person"]
Account = Literal[
    "email", "social", "messages", "phone", "banking", "cloud", "benefits", "school", "smart_home"
]

_DEAF = When(frozenset({"BSL", "deafblind", "video_BSL", "relay"}), "health", "S")


class Access(Block):
    """B4. Shared so that nobody is asked twice. A BSL user who gets a voice call was not contacted.

    `exclude_interpreters` names regions or communities, never a person: somebody from the same small community may
    know both families.
    """

    language: Annotated[Short, Holds("access", "P")]
    interpreter: Annotated[Interpreter, Holds("access", "P", (_DEAF,))]
    interpreter_gender: Annotated[Asked[InterpreterGender], Holds("access", "W")] = NOT_ASKED
    exclude_interpreters: Annotated[Asked[Some[Short]], Holds("access", "S")] = NOT_ASKED
    contact_mode: Annotated[Asked[Codes[ContactMode]], Holds("access", "P", (_DEAF,))] = NOT_ASKED
    easy_read: Annotated[Asked[bool], Holds("access", "P")] = NOT_ASKED
    large_print: Annotated[Asked[bool], Holds("access", "P")] = NOT_ASKED
    hearing: Annotated[Asked[Short], Holds("health", "S")] = NOT_ASKED
    sight: Annotated[Asked[Short], Holds("health", "S")] = NOT_ASKED
    mobility: Annotated[Asked[Short], Holds("health", "S")] = NOT_ASKED
    learning: Annotated[Asked[Short], Holds("health", "S")] = NOT_ASKED
    autism: Annotated[Asked[Short], Holds("health", "S")] = NOT_ASKED
    trauma_triggers: Annotated[Asked[Short], Holds("health", "S")] = NOT_ASKED
    faith: Annotated[Asked[Short], Holds("access", "S")] = NOT_ASKED
    diet: Annotated[Asked[Short], Holds("access", "S")] = NOT_ASKED
    childcare: Annotated[Asked[Short], Holds("access", "P")] = NOT_ASKED
    pet: Annotated[Asked[Short], Holds("access", "P")] = NOT_ASKED
    safe_place_to_meet: Annotated[Asked[Short], Holds("access", "P")] = NOT_ASKED


class Digital(Block):
    """B5. Which devices and accounts may be watched; the rules for links and messages follow from it.

    Nobody advises deleting an app before there is a safety plan: it can make things worse, and evidence goes.
    """

    device_shared: Annotated[Asked[bool], Holds("digital", "P")] = NOT_ASKED
    device_suspected_watched: Annotated[Asked[bool], Holds("digital", "P")] = NOT_ASKED
    accounts_known_to_harm_causer: Annotated[Asked[Codes[Account]], Holds("digital", "T")] = NOT_ASKED
    location_sharing_suspected: Annotated[Asked[bool], Holds("digital", "P")] = NOT_ASKED
    child_devices: Annotated[Asked[bool], Holds("digital", "P")] = NOT_ASKED
    smart_home: Annotated[Asked[bool], Holds("digital", "P")] = NOT_ASKED
    car: Annotated[Asked[bool], Holds("digital", "P")] = NOT_ASKED
    link_ok: Annotated[Asked[bool], Holds("digital", "W")] = NOT_ASKED
    online_form_ok: Annotated[Asked[bool], Holds("digital", "W")] = NOT_ASKED
    safe_device: Annotated[Asked[Short], Holds("digital", "P")] = NOT_ASKED
    images_threat: Annotated[Asked[bool], Holds("digital", "C")] = NOT_ASKED
    next_step_agreed: Annotated[Asked[Text], Holds("digital", "W")] = NOT_ASKED

    def watched(self) -> bool:
        """Whether somebody else may read what arrives, and no other device was named as safe."""
        return (
            self.device_shared is True or self.device_suspected_watched is True
        ) and self.safe_device == NOT_ASKED

    @model_validator(mode="after")
    def _no_links_to_a_watched_device(self) -> Self:
        if self.watched() and (self.link_ok is True or self.online_form_ok is True):
            raise PydanticCustomError(
                "DIGITAL_UNSAFE", "is not safe", {"fields": ("link_ok", "online_form_ok")}
            )
        return self
