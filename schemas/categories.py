"""Categories: what kinds of information a message holds (PROTOCOL.md M2).

The header names them in a closed list, the relay compares them with what was agreed, and the recipient's
agent compares them with what the message really holds. Nobody types them: they follow from what is filled.

Rules of this house:
- every field of every message says, in its annotation, which category it belongs to and with which marks;
- a field that is absent, empty or `not_asked_yet` holds nothing;
- the marks are P personal, S special category (UK GDPR article 9), C criminal offence (article 10), T about a
  third party, W the person's wishes, O operational. C adds the category `crim`; T adds `third_party`, except
  within `hc` and `child`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from schemas.errors import Refusal

NOT_ASKED: Literal["not_asked_yet"] = "not_asked_yet"
"""The one way to say that something was not asked yet. Absent means the same."""

CATEGORIES: frozenset[str] = frozenset(
    {
        "access",  # language, interpreter, what makes contact possible
        "ask",  # what is asked of the service, and why in this colour
        "child",  # about a child
        "concern",  # what a safeguarding concern needs beyond the statements
        "consent",  # how agreement was asked, and with which words
        "contact",  # safe ways to reach the person
        "crim",  # about an offence, alleged or proven
        "digital",  # devices and accounts, and who may be watching them
        "hc",  # about the person who is causing harm
        "health",  # health, disability, pregnancy, substance use
        "ident",  # what finds a person in another agency's files
        "needs",  # what help is wanted with
        "person",  # known-as, age band, area
        "reasons",  # why this is shared, and how to handle it
        "response",  # a service's answer
        "risk",  # risk level, counts and indicators
        "staff_safety",  # visits
        "statements",  # what was seen, reported or thought
        "third_party",  # about anybody else
        "wishes",  # what the person wants, and does not want
    }
)


@dataclass(frozen=True, slots=True)
class When:
    """What some values of a field add: need `health` is about health, need `housing` is not."""

    values: frozenset[str]
    cat: str | None = None
    marks: str = ""


@dataclass(frozen=True, slots=True)
class Holds:
    """The annotation of a field: its category (None: routing only), its marks, and what some values add."""

    cat: str | None
    marks: str
    when: tuple[When, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """One filled value of a message: `path` like `risk.indicators[2]`, its categories and its marks."""

    path: str
    value: str | int | bool
    cats: frozenset[str]
    marks: frozenset[str]


@dataclass(frozen=True, slots=True)
class Flags:
    """The three header flags that follow from the fields: article 9 data, offence data, a child's data."""

    spec: bool
    crim: bool
    child: bool


def leaves(message: BaseModel) -> Iterator[Leaf]:
    """Every filled value of a message, in the order of its fields."""
    return _of_model(message, "")


def categories_of(message: BaseModel) -> tuple[str, ...]:
    """The categories that a message holds: sorted, each once. This is the header's `cat`."""
    return tuple(sorted({cat for leaf in leaves(message) for cat in leaf.cats}))


def flags_of(message: BaseModel) -> Flags:
    """The header flags `spec`, `crim` and `child` that a message's filled fields call for."""
    found = list(leaves(message))
    cats = {cat for leaf in found for cat in leaf.cats}
    return Flags(spec=any("S" in leaf.marks for leaf in found), crim="crim" in cats, child="child" in cats)


def check_categories(message: BaseModel, declared: Iterable[str]) -> None:
    """Hold the header's categories against what the message holds.

    Raises:
        Refusal: CATEGORIES_DIFFER, with the categories that differ; nothing of the message.
    """
    named = sorted(declared)
    held = categories_of(message)
    if named == list(held):
        return
    # Codes outside the list are a stranger's words: they are counted, never repeated.
    known = sorted((set(named) & CATEGORIES) ^ set(held))
    raise Refusal(
        "CATEGORIES_DIFFER",
        "The header does not name exactly the kinds of information that the message holds. "
        "Send it again through the agent, which works them out by itself.",
        party="sender",
        detail=tuple(known),
    )


def check_flags(message: BaseModel, *, spec: bool, crim: bool, child: bool) -> None:
    """Hold the header's three flags against what the message holds.

    Raises:
        Refusal: FLAGS_DIFFER, with the names of the flags that differ.
    """
    held = flags_of(message)
    pairs = {"spec": (held.spec, spec), "crim": (held.crim, crim), "child": (held.child, child)}
    wrong = tuple(name for name, (found, named) in pairs.items() if found != named)
    if wrong:
        raise Refusal(
            "FLAGS_DIFFER",
            "The header's marks for special-category, offence or child data do not fit the message. "
            "Send it again through the agent, which works them out by itself.",
            party="sender",
            detail=wrong,
        )


def _of_model(model: BaseModel, path: str) -> Iterator[Leaf]:
    for name, holds in _marks(type(model)):
        yield from _of_value(getattr(model, name), f"{path}.{name}" if path else name, holds)


@cache
def _marks(form: type[BaseModel]) -> tuple[tuple[str, Holds | None], ...]:
    return tuple(
        (name, next((mark for mark in field.metadata if isinstance(mark, Holds)), None))
        for name, field in form.model_fields.items()
    )


def _of_value(value: Any, path: str, holds: Holds | None) -> Iterator[Leaf]:
    if value is None or value == NOT_ASKED:
        return
    if isinstance(value, BaseModel):
        yield from _of_model(value, path)
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            yield from _of_value(item, f"{path}[{place}]", holds)
    elif holds is None:
        # A field without a mark would travel under no category, so past every limit.
        raise TypeError(f"{path} says nowhere what it holds")
    else:
        yield _leaf(path, value, holds)


def _leaf(path: str, value: str | int | bool, holds: Holds) -> Leaf:
    added = [when for when in holds.when if value in when.values]
    marks = frozenset(holds.marks).union(*(when.marks for when in added))
    cats = {cat for cat in (holds.cat, *(when.cat for when in added)) if cat}
    if "C" in marks:
        cats.add("crim")
    if "T" in marks and not cats & {"hc", "child"}:
        cats.add("third_party")
    return Leaf(path, value, frozenset(cats), marks)
