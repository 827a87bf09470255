"""A request for information and its answer (PROTOCOL.md M18, M19).

Police, Crime, Sentencing and Courts Act 2022 s44A and its code of practice (a request for what others hold about a
victim: necessary, proportionate, last resort, notice to the victim); Children Act 2004 s16H; Care Act 2014 s45.

Rules of this house:
- a request names the kinds of information that it asks for, and why: never "the file";
- an answer says something about each of them: given, not held, or held back and why; holding back needs no excuse;
- what is given stands line by line, apart by who saw, who said and who thought.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from schemas.categories import NOT_ASKED, Holds, When, categories_of
from schemas.envelope import Id16
from schemas.errors import Refusal
from schemas.lawful import Attestation, Onward, Rag
from schemas.messages.asked import Asked, Block, Codes, Day, Ref, Some
from schemas.messages.handling import (
    FreeTextHolds,
    Handling,
    HandlingBanner,
    Reasons,
    ReplyTo,
    StatementKind,
)
from schemas.messages.person import Ident
from schemas.messages.text import Short, Text

Item = Literal[
    "access",
    "child",
    "contact",
    "crim",
    "digital",
    "hc",
    "health",
    "ident",
    "needs",
    "person",
    "risk",
    "staff_safety",
    "wishes",
]
"""Kinds of information that may be asked for, by the names of their categories."""
Knows = Literal["yes", "not_yet", "not_safe_to_say"]
Notice = Literal["given", "will_be_given", "not_given"]
WithheldWhy = Literal[
    "no_agreement", "not_needed_for_this", "could_endanger", "about_others", "confidence", "checking"
]

ANSWERED_WITH = frozenset({"reasons", "response", "statements", "third_party"})
"""Categories that every answer may hold: its lines, who said them, how to handle it, and why."""

_MARKS: Mapping[str, str] = {
    "crim": "C",
    "hc": "TC",
    "health": "S",
    "needs": "S",
    "risk": "SC",
}
_KINDS = tuple(When(frozenset({item}), item, _MARKS.get(item, "P")) for item in get_args(Item))


class Period(Block):
    """The time that a request asks about; without an end it is up to the day of the answer."""

    since: Annotated[Day, Holds("ask", "O")]
    until: Annotated[Asked[Day], Holds("ask", "O")] = NOT_ASKED

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until != NOT_ASKED and self.until < self.since:
            raise PydanticCustomError("order", "ends before it begins", {"fields": ("until",)})
        return self


class InfoRequest(Block):
    """`info.request`, version 1.

    Required: rag (and rag_why when RED), person_ref, about.legal_name, power, items, period.since, needed_by,
    reason_text, person_knows (and why not, unless yes), reply_to.desk; with `vir` also victim_notice, and
    no_notice_why unless it was given.
    """

    type: Annotated[Literal["info.request"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    rag: Annotated[Rag, Holds("ask", "O")]
    rag_why: Annotated[Asked[Text], Holds("ask", "P")] = NOT_ASKED
    handling: HandlingBanner = NOT_ASKED
    person_ref: Annotated[Ref, Holds(None, "O")]
    about: Ident
    power: Annotated[Text, Holds("reasons", "O")]
    items: Annotated[Codes[Item], Holds("ask", "O")]
    period: Period
    needed_by: Annotated[Day, Holds("ask", "O")]
    reason_text: Annotated[Text, Holds("reasons", "P")]
    person_knows: Annotated[Knows, Holds("reasons", "O")]
    person_knows_not_why: Annotated[Asked[Text], Holds("reasons", "P")] = NOT_ASKED
    vir: Annotated[Asked[Codes[Attestation]], Holds("reasons", "O")] = NOT_ASKED
    victim_notice: Annotated[Asked[Notice], Holds("reasons", "O")] = NOT_ASKED
    no_notice_why: Annotated[Asked[Text], Holds("reasons", "P")] = NOT_ASKED
    reply_to: ReplyTo
    also_holds: FreeTextHolds = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """Why RED, why the person does not know, and with attestations what the victim was told."""
        if given.get("rag") == "RED" and "rag_why" not in given:
            yield "rag_why"
        if (
            given.get("person_knows") in ("not_yet", "not_safe_to_say")
            and "person_knows_not_why" not in given
        ):
            yield "person_knows_not_why"
        if "vir" in given and "victim_notice" not in given:
            yield "victim_notice"
        if given.get("victim_notice") in ("will_be_given", "not_given") and "no_notice_why" not in given:
            yield "no_notice_why"


class ItemNamed(Block):
    """One kind of information. What stands under it is held to be of that kind."""

    item: Annotated[Item, Holds(None, "O", _KINDS)]


class ItemLine(Block):
    """One thing that was seen, reported or thought, and by whom, under the kind that was asked for."""

    text: Annotated[Text, Holds("statements", "P")]
    kind: Annotated[StatementKind, Holds("statements", "O")]
    said_by_role: Annotated[Short, Holds("statements", "T")]
    date: Annotated[Asked[Day], Holds("statements", "O")] = NOT_ASKED


class Given(ItemNamed):
    """What is given of one kind."""

    lines: Some[ItemLine]


class Withheld(Block):
    """What is held and not given, and why."""

    item: Annotated[Item, Holds("response", "O")]
    why: Annotated[WithheldWhy, Holds("response", "O")]


class InfoGive(Block):
    """`info.give`, version 1.

    Required: rfi_ref, something in given, not_held or withheld, context_of_contact (how often and when the person was
    seen), onward, reply_to.desk.
    """

    type: Annotated[Literal["info.give"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    rfi_ref: Annotated[Id16, Holds(None, "O")]
    handling: Annotated[Asked[Codes[Handling]], Holds("response", "O")] = NOT_ASKED
    given: Asked[Some[Given]] = NOT_ASKED
    not_held: Annotated[Asked[Codes[Item]], Holds("response", "O")] = NOT_ASKED
    withheld: Asked[Some[Withheld]] = NOT_ASKED
    context_of_contact: Annotated[Text, Holds("statements", "P")]
    onward: Annotated[Onward, Holds(None, "O")]
    reasons: Asked[Reasons] = NOT_ASKED
    reply_to: ReplyTo
    also_holds: FreeTextHolds = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """Something about what was asked."""
        if not given.keys() & {"given", "not_held", "withheld"}:
            yield "given"

    @model_validator(mode="after")
    def _says_each_once(self) -> Self:
        items = list(answered(self))
        if len(set(items)) != len(items):
            raise PydanticCustomError("twice", "answers a kind twice", {"fields": ("given",)})
        return self


def asks_of(items: Iterable[str]) -> tuple[str, ...]:
    """The categories that an answer to these items may hold, sorted: the header's `asks` (H8)."""
    held = {cat for item in items for cat in categories_of(ItemNamed.model_validate({"item": item}))}
    return tuple(sorted(held | ANSWERED_WITH))


def answered(answer: InfoGive) -> Iterator[str]:
    """Each kind that an answer says something about."""
    if isinstance(answer.given, tuple):
        yield from (one.item for one in answer.given)
    if isinstance(answer.not_held, tuple):
        yield from answer.not_held
    if isinstance(answer.withheld, tuple):
        yield from (one.item for one in answer.withheld)


def check_answered(request: InfoRequest, answer: InfoGive) -> None:
    """Hold an answer against the request that it answers: each kind that was asked for is spoken of.

    Raises:
        Refusal: MISSING, naming the kinds.
    """
    silent = sorted(set(request.items) - set(answered(answer)))
    if silent:
        say = f"Nothing is said of: {', '.join(silent)}. Give it, or say that it is not held, or held back and why."
        raise Refusal("MISSING", say, party="sender", detail=tuple(silent))
