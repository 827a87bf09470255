"""What every form rests on: the frozen block, `not_asked_yet`, and the small values (PROTOCOL.md M3).

Rules of this house:
- "not asked yet" is a good answer: trust is not owed on the first day. A field is either required or `Asked[...]`;
- there is no null: absent, and the text `not_asked_yet`, both say that it was not asked, and nothing else does;
- one value has one spelling: days as 2026-11-22, codes from closed lists, sets sorted and each code once.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from schemas.categories import NOT_ASKED

T = TypeVar("T")
NotAskedYet = Literal["not_asked_yet"]


def _which(value: Any) -> str:
    return "~not_asked_yet" if value == NOT_ASKED else "~asked"


Asked = Annotated[
    Annotated[T, Tag("~asked")] | Annotated[NotAskedYet, Tag("~not_asked_yet")],
    Discriminator(_which),
]
"""An answer, or `not_asked_yet`. The tags keep a refusal to one sentence: without them both branches complain.
A tag begins with `~`, so that it is never taken for the name of a field."""


class Block(BaseModel):
    """A frozen part of a message: strict, and it refuses what it does not know."""

    # Built at the first message of its form: most processes never see most forms (schemas.envelope.Frozen).
    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:  # noqa: ARG003 - most blocks owe nothing
        """Names of the fields that the other answers make necessary and that are not in `given`.

        `given` holds the answers of this block that were asked, whether or not they are well formed: so everything
        that is missing can be listed at once.
        """
        yield from ()

    @model_validator(mode="after")
    def _owes_nothing(self) -> Self:
        given = {name: getattr(self, name) for name in type(self).model_fields}
        fields = tuple(self.owed({name: value for name, value in given.items() if value != NOT_ASKED}))
        if fields:
            raise PydanticCustomError("owed", "needs more", {"fields": fields})
        return self


def said(given: Mapping[str, Any] | Block, *path: str) -> Any:
    """The answer at `path`, in raw JSON or in blocks; None when it was not asked or is not there."""
    found: Any = given
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else getattr(found, name, None)
    return None if found == NOT_ASKED else found


def _once_each(codes: tuple[T, ...]) -> tuple[T, ...]:
    if len(set(codes)) != len(codes):
        raise PydanticCustomError("twice", "names a code twice")
    return tuple(sorted(codes, key=str))


def _day(text: str) -> str:
    try:
        datetime.date.fromisoformat(text)
    except ValueError as error:
        raise PydanticCustomError("day", "is not a day of the calendar") from error
    return text


Codes = Annotated[
    tuple[T, ...],
    Field(min_length=1, max_length=24, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_once_each),
]
"""A set of codes: at least one, each once; sorted when read."""
Some = Annotated[tuple[T, ...], Field(min_length=1, max_length=20)]
"""A list that says something: an empty one is left out instead."""
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_day)]
"""A day, 2026-11-22."""
Count = Annotated[int, Field(ge=0, le=999)]
Ref = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{16,64}$")]
"""An opaque handle, made at random or with a secret key: never a case number, nothing worked out from a person."""
