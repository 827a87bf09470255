"""The codes of a policy: what a header may say, in words for people and in marks for the rule (PROTOCOL.md C14-C16).

Rules of this house:
- a policy may add codes, date them and mark them with meanings that the software knows; it invents no meaning;
- what the person's own words hang on (her states, the reasons for not asking, what counts as consent) keeps its
  meaning for ever: no policy can turn a no into a yes;
- some purposes can never be added, whatever they are called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from schemas.envelope import Frozen, Seconds
from schemas.gateways import TESTS
from schemas.sectors import Sector

CodeText = Annotated[str, Field(min_length=1, max_length=32), Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9:/_-]*$")]


def shown(text: str) -> str:
    """Plain words: nothing that does not show."""
    if not text.isprintable() or text != text.strip():
        raise ValueError("a character that does not show")
    return text


Words = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(shown)]
State = Literal["given", "limited", "unasked", "cannot", "refused", "withdrawn", "none"]
Reason = Literal["reason", "duty", "emergency", "overriding"]
Knows = Literal["knows", "will", "unsafe", "none"]
Passing = Literal["never", "ask", "within"]


class Entry(Frozen):
    """A code and what it says to people."""

    code: CodeText
    says: Words


class Term(Frozen):
    """A time for which something holds: `from` included, `to` not; null is open."""

    since: Seconds | None = Field(alias="from")
    until: Seconds | None = Field(alias="to")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise ValueError("it ends before it begins")
        return self

    def stands(self, at: int) -> bool:
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


class Dated(Entry, Term):
    """A code that the law gives for a time."""


class BasisEntry(Dated):
    """An Article 6 basis. `private`: not for a public authority's own tasks; `authority`: official authority."""

    marks: tuple[Literal["consent", "authority", "private", "obligation"], ...]


class ConditionEntry(Dated):
    """An Article 9 condition. `incapable`: only for somebody who cannot decide."""

    marks: tuple[Literal["consent", "incapable"], ...]


class ParagraphEntry(Dated):
    """A Schedule 1 paragraph.

    `crime`: fits offence data; `at_risk`: only for a child or an adult at risk; `presumes`: presumes that nobody
    agreed; `incapable`: only for somebody who cannot decide.
    """

    marks: tuple[Literal["consent", "crime", "at_risk", "presumes", "incapable"], ...]


class GatewayEntry(Dated):
    """A gateway, its party test by name (null: none), and whether it makes the sharing a duty.

    A duty is owed where a `child` is in the message, or in `any` message.
    """

    test: str | None
    duty: Literal["child", "any"] | None

    @model_validator(mode="after")
    def _known_test(self) -> Self:
        if self.test is not None and self.test not in TESTS:
            raise ValueError("no test of this name")
        return self


class StateEntry(Entry):
    """A state of the agreement."""

    means: State


class PurposeEntry(Entry):
    """A purpose, the sectors it may go to (null: all), and whether an override may cover a whole thread for it."""

    sectors: tuple[Sector, ...] | None
    thread: bool


class ReasonEntry(Entry):
    """Why the person was not asked, or is not followed."""

    means: Reason


class ToldEntry(Entry):
    """Whether the person knows."""

    means: Knows


class OnwardEntry(Entry):
    """Whether it may be passed on."""

    means: Passing


class AttestationEntry(Entry):
    """What a request for information attests. `always`: asked of every request by the police about a person.

    A request that names one with `counselling` needs one with `senior` too.
    """

    need: Literal["always", "may", "counselling", "senior"]


class Vocabulary(Frozen):
    """Every code that a header may carry under a policy."""

    bases: tuple[BasisEntry, ...] = Field(min_length=1, max_length=64)
    conditions: tuple[ConditionEntry, ...] = Field(min_length=1, max_length=64)
    schedule1: tuple[ParagraphEntry, ...] = Field(min_length=1, max_length=64)
    gateways: tuple[GatewayEntry, ...] = Field(max_length=128)
    states: tuple[StateEntry, ...] = Field(min_length=1, max_length=32)
    decided_by: tuple[Entry, ...] = Field(min_length=1, max_length=32)
    confidence: tuple[Entry, ...] = Field(min_length=1, max_length=32)
    purposes: tuple[PurposeEntry, ...] = Field(min_length=1, max_length=64)
    why_no: tuple[ReasonEntry, ...] = Field(min_length=1, max_length=32)
    told: tuple[ToldEntry, ...] = Field(min_length=1, max_length=32)
    onward: tuple[OnwardEntry, ...] = Field(min_length=1, max_length=32)
    vir: tuple[AttestationEntry, ...] = Field(max_length=32)

    def lists(self) -> Iterator[tuple[str, tuple[Entry, ...]]]:
        for name in type(self).model_fields:
            yield name, getattr(self, name)

    def faults(self) -> list[str]:
        """Where it does not hold together: a code that stands twice, or what no policy may change."""
        found = [f"vocabulary.{name}" for name, entries in self.lists() if _twice(e.code for e in entries)]
        for name, kept in KEPT.items():
            entries = {entry.code: entry for entry in getattr(self, name)}
            found += [
                f"vocabulary.{name}.{code}"
                for code, meaning in kept.items()
                if code not in entries or not _means(entries[code], meaning)
            ]
        return found


def _twice(codes: Iterable[str]) -> bool:
    listed = list(codes)
    return len(set(listed)) != len(listed)


def _means(entry: Entry, meaning: str) -> bool:
    return getattr(entry, "means", None) == meaning or meaning in getattr(entry, "marks", ())


KEPT: Mapping[str, Mapping[str, str]] = {
    "bases": {"6a": "consent"},
    "conditions": {"9a": "consent"},
    "schedule1": {"s1:29": "consent"},
    "states": {
        "GIVEN": "given",
        "LIMITED": "limited",
        "NOT_SOUGHT": "unasked",
        "EXPIRED": "unasked",
        "REFUSED": "refused",
        "WITHDRAWN": "withdrawn",
        "CANNOT_GIVE": "cannot",
        "NOT_APPLICABLE": "none",
    },
    "why_no": {
        "A": "reason",
        "B": "reason",
        "C": "reason",
        "D": "reason",
        "E": "duty",
        "F": "emergency",
        "G": "overriding",
    },
    "told": {"YES": "knows", "BY": "will", "UNSAFE": "unsafe", "NA": "none"},
    "onward": {"NONE": "never", "ASK": "ask", "WITHIN_PURPOSE": "within"},
}
"""What every policy must hold, with this meaning."""

NEVER = re.compile(
    r"(?<![A-Z])(IMMIGR|BORDER|DEPORT|VISAS?(?![A-Z])|NATIONALITY|CITIZENSHIP"
    r"|DEBT[ _:/-]?COLL|BAILIFF|PRESS(?![A-Z])|JOURNALIS|MARKETING)"
)
"""Words that name no purpose of a partnership like this, in a code or in what it says."""


def forbidden(purpose: PurposeEntry) -> bool:
    """Whether this purpose can never be added (C16)."""
    return any(NEVER.search(text.upper()) for text in (purpose.code, purpose.says))
