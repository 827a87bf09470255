"""The parts of a relay's record, as they are read before anything in them is believed. Pure.

The relay wrote them, so each is strict about what it needs; what a later relay adds is passed over.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from schemas.audit import Event
from schemas.canonical import Json
from schemas.envelope import Seconds


class Said(BaseModel):
    """A part of a relay's record; what a later relay adds is passed over."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)


class Decided(Said):
    """The gate's decision: outcome, refusal code, and the numbers of the rows that decided."""

    outcome: str = Field(max_length=32)
    code: str = Field(max_length=64)
    rows: list[int] = Field(max_length=64)
    known: dict[str, Json] | None = None
    """What the relay knew besides the header (schemas.recorded), for whoever decides again."""


class Stamp(Said):
    """What every record says."""

    event: Event
    ts: Seconds
    rule: str = Field(max_length=32)
    policy: int | None = None


class Message(Said):
    """An accepted or refused envelope, in the sender's own bytes."""

    header: str
    sig: str
    wm: str
    body: str
    decision: Decided


class Step(Said):
    """A step of a delivery at one desk."""

    a: str
    d: str
    eid: str
    mid: str | None = None
    due: int | None = None
    state: str = Field(default="", max_length=32)


class At(Said):
    """A desk of the record."""

    a: str = Field(max_length=64)
    d: str = Field(default="", max_length=64)


class Weighed(Said):
    """The sealed record of a decision not to share."""

    nid: str
    sender: At = Field(alias="from")
    to: list[At] = Field(max_length=64)
    pur: str = Field(max_length=32)
    cat: list[str] = Field(max_length=64)
    why: str = Field(max_length=64)
    ref: str = Field(max_length=64)
    author: str = Field(max_length=64)
    outside: bool = False
    review: Seconds | None = None


class Missing(Said):
    """A lead's signature that was still missing, for the `count`th time; or a held message of which leads were told
    again, and oversight too when it is `loud`."""

    a: str
    d: str
    mid: str
    count: int = 0
    loud: bool = False


class Deed(Said):
    """What the relay says of itself: a deletion that is done, or entries that were lost with its store."""

    count: int | None = None
    digest: str = Field(default="", max_length=64)
    lost: int | None = None


class Twice(Said):
    """Two agents of one agency that were met at once."""

    a: str


class Reader(Said):
    """An officer's reading of entries."""

    a: str
    kid: str
    first: int
    count: int
