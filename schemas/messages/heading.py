"""What of a header's law block follows from the message itself (PROTOCOL.md M2, M18-M21).

The sender's agent sets it and the recipient's works it out again, as with categories and marks.
"""

from __future__ import annotations

from collections.abc import Mapping

from schemas.canonical import Json
from schemas.envelope import Law
from schemas.errors import Refusal
from schemas.messages.catalogue import Message
from schemas.messages.information import InfoGive, InfoRequest, asks_of
from schemas.messages.passing import OnwardAnswer, OnwardAsk


def heading(message: Message) -> Mapping[str, Json]:
    """Entries of the law block, by name, as JSON; none for most forms."""
    if isinstance(message, InfoRequest):
        vir = list(message.vir) if isinstance(message.vir, tuple) else []
        return {"asks": list(asks_of(message.items)), "vir": vir}
    if isinstance(message, InfoGive):
        return {"onward": message.onward, "rfi": message.rfi_ref}
    if isinstance(message, OnwardAsk | OnwardAnswer):
        return {"pd": "none"}
    return {}


def check_heading(message: Message, law: Law) -> None:
    """Raises Refusal CLASS_DIFFERS, naming entries of the law block that are not those of the message."""
    held = law.model_dump(mode="json")
    wrong = tuple(f"law.{name}" for name, value in heading(message).items() if held.get(name) != value)
    if wrong:
        raise Refusal("CLASS_DIFFERS", party="sender", detail=wrong)
