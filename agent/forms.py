"""What a case system may ask of the agent, as strict models: the REST face, the drop folder and the CLI share them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from agent.legible import legible
from schemas.envelope import DeskId, Frozen, Id16
from schemas.errors import Refusal
from schemas.lawful import Purpose, Rag

DAY = 24 * 3600
LIFE = 5 * DAY
T = TypeVar("T", bound=Frozen)
Role = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Json = dict[str, Any]
PeopleReject = Literal["wrong-recipient", "over-shared", "cannot-read", "no-authority"]
"""The reasons that people give; gate-fault and not-confirmed are for the agent alone to say."""


class To(Frozen):
    """A desk: the agency by its id or its exact name in the directory."""

    agency: Annotated[str, Field(min_length=1, max_length=120)]
    desk: DeskId


class Profile(Frozen):
    """What the receiving desks do; left unsaid, they get the least. Of several desks, say what holds for all.

    What kind of agency they belong to is not said here: the directory knows (K14).
    """

    sees_children: bool = False
    searches_files: bool = False
    supports_harm_causer: bool = False


class Send(Frozen):
    """A message to send.

    `case` is a full case record, from which only what `kind` carries is taken; `payload` is a finished message.
    `law` names entries of the header's law block where the defaults do not fit. `answers` is the id of the message in
    the inbox that this one answers. `anyway` sends although the rule would refuse it: the relay then decides.
    `override` is the id of an override of a thread, which the message then belongs to. `passes_on` are ids of
    messages of the inbox that it passes on; those of its own thread need not be said.
    """

    kind: Annotated[str, Field(pattern=r"^[a-z]+\.[a-z]+$", max_length=64)]
    case: Json | None = None
    payload: Json | None = None
    to: tuple[To, ...] = Field(default=(), max_length=64)
    recipient: Profile = Profile()
    from_desk: DeskId | None = None
    rag: Rag | None = None
    purpose: Purpose = "SUPPORT"
    gid: Id16 | None = None
    law: Json = Field(default_factory=dict)
    answers: Annotated[str, Field(max_length=80)] | None = None
    passes_on: tuple[Annotated[str, Field(max_length=80)], ...] = Field(default=(), max_length=16)
    author: Role = "worker"
    case_ref: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    life: Annotated[int, Field(ge=3600, le=14 * DAY)] = LIFE
    anyway: bool = False
    override: Id16 | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.case is None) == (self.payload is None):
            raise ValueError("either case or payload")
        return self


class TakeOn(Frozen):
    """Who takes a message on: a role, never a name. `case_ref` is this agency's own reference for the person."""

    role: Role
    case_ref: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class Reject(Frozen):
    """Why a message is given back."""

    reason: PeopleReject


class End(Frozen):
    """The end of a received message, by file: `do` is what happened to it."""

    do: Literal["take-on", "reject"]
    id: Annotated[str, Field(max_length=80)]
    role: Role | None = None
    reason: PeopleReject | None = None
    case_ref: Annotated[str, Field(min_length=1, max_length=200)] | None = None

    @model_validator(mode="after")
    def _says_how(self) -> Self:
        if (self.role is not None, self.reason is not None) != (self.do == "take-on", self.do == "reject"):
            raise ValueError("a role takes on, a reason rejects")
        return self


Act = Send | tuple[str, TakeOn | Reject]


class Give(Frozen):
    """An agreement: with whom, for what, which kinds of information, and how she was asked.

    `evidence` is the `consent.grant` form without type, v and gid; it stays in this agent's store. The agreement ends
    with its `valid_until`, within twelve months. `own_accord`: the person raised it, so nobody pressed.
    """

    to: tuple[Annotated[str, Field(min_length=1, max_length=120)], ...] = Field(min_length=1, max_length=63)
    purposes: tuple[Purpose, ...] = Field(min_length=1)
    categories: tuple[str, ...] = Field(min_length=1, max_length=64)
    evidence: Json
    own_accord: bool = False


class Withdraw(Frozen):
    """The end of an agreement. Nothing has to be said with it."""

    how_heard: Literal["told_us", "told_another_agency", "in_writing", "through_advocate"] | None = None


def read_form(model: type[T], data: bytes) -> T:
    """One form from strict JSON.

    Raises:
        Refusal: TOO_BIG, FORM, naming the fields at fault.
    """
    _said(data)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        rows = error.errors(include_input=False, include_url=False, include_context=False)
        known = set(model.model_fields)
        # A field that nobody here named may be made of somebody's words: it is not repeated.
        fields = {str(row["loc"][0]) for row in rows if row["loc"] and row["loc"][0] in known}
        unknown = {"an unknown field" for row in rows if row["type"] == "extra_forbidden"}
        ours = {row["msg"].removeprefix("Value error, ") for row in rows if row["type"] == "value_error"}
        named = tuple(sorted(fields | unknown or ours))
        there_are = f" The fields are: {', '.join(sorted(known))}." if unknown else ""
        raise Refusal("FORM", f"Correct: {', '.join(named)}.{there_are}", detail=named) from None


def read_act(data: bytes) -> Act:
    """What a dropped file asks: to send a message, or to end a received one. Raises as `read_form` does."""
    if "do" not in _said(data):
        return read_form(Send, data)
    end = read_form(End, data)
    if end.role is not None:
        return end.id, TakeOn(role=end.role, case_ref=end.case_ref)
    if end.reason is not None:
        return end.id, Reject(reason=end.reason)
    raise Refusal("FORM")


def _said(data: bytes) -> Json:
    value = legible(data)
    if not isinstance(value, dict):
        raise Refusal("FORM", "A form is one JSON object: { ... }. Correct it, and try again.")
    return value
