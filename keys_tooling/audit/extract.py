"""What an agency's own agent knows and the log does not: what `fenpost-agent extract` writes (PROTOCOL.md U9).

It links messages to one case of the agency, and has what its people did at their desks. It never leaves the agency.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from schemas.canonical import strict_json
from schemas.envelope import AgencyId, Frozen, Id16, Seconds
from schemas.errors import Refusal

LIMIT = 64 * 1024 * 1024


class Looked(Frozen):
    """Somebody looked again at whether the person may be told of a message."""

    mid: Id16
    ts: Seconds
    safe: bool


class Telling(Frozen):
    """A sharing statement was made for the person whom the extract is about."""

    ts: Seconds
    role: Annotated[str, Field(max_length=64)]
    shown: Annotated[int, Field(ge=0)]


class Extract(Frozen):
    """`subject` is the keyed reference of the case; null when none was asked for, and then no message is named."""

    v: Annotated[int, Field(ge=1, le=1)]
    agency: AgencyId
    made: Seconds
    subject: Annotated[str, Field(max_length=64)] | None
    sent: tuple[Id16, ...]
    received: tuple[Id16, ...]
    looked: tuple[Looked, ...]
    tellings: tuple[Telling, ...]
    conflict_denials: Annotated[int, Field(ge=0)] | None
    """How often somebody was kept from a case that she has a part in; null while the agent does not note it."""


def read_extract(data: bytes, agency: str) -> Extract:
    """Raises Refusal FORM for what is no extract, NOT_ALLOWED for another agency's."""
    try:
        strict_json(data, LIMIT)
        found = Extract.model_validate_json(data)
    except (Refusal, ValidationError) as error:
        raise Refusal(
            "FORM", "This is not a file of fenpost-agent extract, or of another version. Make it again."
        ) from error
    if found.agency != agency:
        raise Refusal("NOT_ALLOWED", "This extract is of another agency than the officer's.")
    return found
