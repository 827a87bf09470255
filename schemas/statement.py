"""The sharing statement: what a person is told of how her information was shared (PROTOCOL.md G9, G10).

It is built from an agency's own notes of what it sent and received: codes, dates and names of agencies, never the
words of a message. So no address, no account of anybody's, and nothing that somebody else said can get into it.

Rules of this house:
- what could endanger somebody is left out until a worker has looked at that very message and said that it is safe;
- a message about another person is left out for good: that person has a statement of their own;
- what is left out never shows: every statement says, in the same words, that something may be missing;
- honest about what is not known: nobody is told that a message was read because it was sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from schemas import statement_words as words
from schemas.patterns import kinds_in

About = Literal["adult", "child", "unknown"]
Omission = Literal["another_person", "unsure", "unsafe", "harm_causer", "not_told_yet"]
ChoiceState = Literal["given", "withdrawn", "expired", "refused", "cannot_give", "not_sought"]
Day = Callable[[int], str]
"""A time in seconds as a day that people read: 22 November 2026."""

ABOUT_HARM = frozenset({"crim", "hc"})
WATCHES_HARM = frozenset({"police", "probation", "behaviour_change"})
"""Sectors that act towards the person causing harm: what they are told about that person may warn him."""
FORUMS = frozenset({"CRIME", "FORUM"})


@dataclass(frozen=True, slots=True)
class Other:
    """The other agency of a message: its name and sector in the directory, and how far the message came there."""

    name: str
    sector: str
    states: frozenset[str] = frozenset()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """One message as an agency's store remembers it, under the id that its workers know.

    `sent` says which way it went; `safe` that a worker has looked at it and said that the person may be told;
    `state` how it stands here: of a sent one its sealing's state, of a received one its place on the ladder.
    """

    id: str
    sent: bool
    ts: int
    about: About
    others: tuple[Other, ...]
    purpose: str
    categories: tuple[str, ...]
    agree: str
    why_no: str | None
    told: str
    overridden: bool
    state: str
    safe: bool = False
    look_again: int | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """An agreement: with whom, what, what for, since when, and how it stands; `when` is the day of that.

    `names` is empty when nothing was ever agreed. `not_for`, `not_what` and `not_to` are what she ruled out, as codes
    and names; `more` says that she also did so in words of her own; `stopped` names services that she told to stop.
    """

    since: int
    names: tuple[str, ...]
    categories: tuple[str, ...]
    purposes: tuple[str, ...]
    state: ChoiceState
    when: int
    not_for: tuple[str, ...] = ()
    not_what: tuple[str, ...] = ()
    not_to: tuple[str, ...] = ()
    more: bool = False
    stopped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A message that the statement does not show, why, and by when to look again: for the worker, never the page."""

    id: str
    why: Omission
    look_again: int | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One message, or one agreement, as it is told: a day and sentences."""

    day: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: sentences, then entries."""

    heading: str
    lines: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """A page for the person, and what it does not show."""

    title: str
    sections: tuple[Section, ...]
    left_out: tuple[LeftOut, ...]


def state_sharing(
    agency: str,
    made: int,
    about: Literal["adult", "child"],
    messages: Iterable[Shared],
    choices: Iterable[Choice],
    day: Day,
) -> Statement:
    """The statement for one person, oldest first.

    Args:
        agency: the name of the agency that makes it.
        made: when, in seconds.
        about: whether the person is an adult or a child; messages about the other are left out.
        messages: all that the store holds under the person's reference.
        choices: the agreements that those messages name.
        day: how a time is shown as a day.
    """
    ordered = sorted(messages, key=lambda message: message.ts)
    told = [message for message in ordered if omission(message, about) is None]
    left_out = tuple(
        LeftOut(message.id, why, message.look_again)
        for message in ordered
        if (why := omission(message, about)) is not None
    )
    agreed = tuple(_choice(choice, day) for choice in sorted(choices, key=lambda choice: choice.since))
    opening = tuple(line.format(agency=spoken_name(agency), day=day(made)) for line in words.ABOUT)
    return Statement(
        words.TITLE,
        (
            Section(words.HEADING["about"], opening),
            _listed("sent", [_sent(message, day) for message in told if message.sent]),
            _listed("received", [_received(message, day) for message in told if not message.sent]),
            _listed("choices", agreed),
            Section(words.HEADING["rights"], tuple(line.format(**words.REGULATOR) for line in words.RIGHTS)),
            Section(words.HEADING["missing"], words.MISSING),
        ),
        left_out,
    )


def omission(message: Shared, about: Literal["adult", "child"]) -> Omission | None:
    """Why this message is left out of a statement for an adult or a child; None when it is told."""
    if message.about not in (about, "unknown"):
        return "another_person"
    if message.safe:
        return None
    if message.about != about == "child":
        return "unsure"  # the form is for anybody: a worker says whether this one is about the child
    if message.told == "UNSAFE":
        return "unsafe"
    if ABOUT_HARM.intersection(message.categories) and _may_warn(message):
        return "harm_causer"
    if not message.sent and message.told != "YES":
        return "not_told_yet"  # the other agency has not told her yet, and may know why not
    return None


def _may_warn(message: Shared) -> bool:
    return message.purpose in FORUMS or any(other.sector in WATCHES_HARM for other in message.others)


def outcome(state: str, reached: frozenset[str]) -> str:
    """What came of a message at one desk, as a key of the words: no more than is known.

    Args:
        state: how the message stands at the sender's.
        reached: the steps that were reported for that desk.
    """
    if "taken-on" in reached:
        return "taken_on"
    if "rejected" in reached:
        return "given_back"
    had = bool({"collected", "opened"} & reached)
    if "withdrawn" in reached:
        return "stopped"
    if "expired" in reached:
        return "not_taken_on" if had else "not_picked_up"
    if had:
        return "arrived"
    if "queued" in reached:
        return "on_its_way"
    return {"refused": "not_sent", "stopped": "stopped", "waiting": "waiting"}.get(state, "unknown")


def spoken_name(name: str) -> str:
    """The name of an agency as it may be printed: one that holds an address is not."""
    return words.A_SERVICE if not name or any(True for _ in kinds_in(name)) else name


def _listed(name: str, entries: Iterable[Entry]) -> Section:
    found = tuple(entries)
    return Section(words.HEADING[name], () if found else (words.NOTHING,), found)


def _sent(message: Shared, day: Day) -> Entry:
    return Entry(
        day(message.ts),
        (
            words.TO.format(who=_names(other.name for other in message.others)),
            *_content(message),
            words.YOUR_SAY.format(say=_say(message)),
            words.WHAT_CAME_OF_IT.format(what=_outcomes(message)),
        ),
    )


def _received(message: Shared, day: Day) -> Entry:
    stands = {"taken-on": words.WE_TOOK_ON, "rejected": words.WE_GAVE_BACK}
    return Entry(
        day(message.ts),
        (
            words.FROM.format(who=_names(other.name for other in message.others)),
            *_content(message),
            words.WHAT_CAME_OF_IT.format(what=stands.get(message.state, words.WE_HAVE)),
        ),
    )


def _content(message: Shared) -> tuple[str, str]:
    return (
        words.WHAT.format(what=_kinds(message.categories)),
        words.WHY.format(why=_purposes((message.purpose,))),
    )


def _say(message: Shared) -> str:
    agreed = message.agree in ("GIVEN", "LIMITED")
    if agreed and not message.overridden:
        return words.AGREE[message.agree]
    said = [words.NOT_TO_THIS if agreed else words.AGREE.get(message.agree, words.NOTHING_KNOWN)]
    if agreed or message.agree in ("REFUSED", "WITHDRAWN"):
        said.append(words.ALL_THE_SAME)
    reason = words.WHY_NOT_ASKED.get(message.why_no or "")
    if reason is not None and reason not in said:
        said.append(reason)
    if message.overridden:
        said.append(words.LOOKED_AFTER if message.why_no == "F" else words.TWO_PEOPLE)
    if len(said) > 1:
        said.append(words.ASK_US_WHY)
    return " ".join(said)


def _outcomes(message: Shared) -> str:
    found: dict[str, list[str]] = {}
    for other in message.others:
        found.setdefault(_outcome(message.state, other), []).append(spoken_name(other.name))
    if len(found) == 1:
        return next(iter(found))
    return " ".join(f"{_names(names)}: {sentence}" for sentence, names in found.items())


def _outcome(state: str, other: Other) -> str:
    code = outcome(state, other.states)
    said = [words.OUTCOME[code]]
    if code == "given_back" and (reason := words.GIVEN_BACK.get(other.reason or "")):
        said.append(reason)
    if "recalled" in other.states:
        said.append(words.RECALLED)
    return " ".join(said)


def _choice(choice: Choice, day: Day) -> Entry:
    lines = []
    if choice.names:
        lines += [
            words.AGREED.format(day=day(choice.since), who=_names(choice.names)),
            words.AGREED_WHAT.format(what=_kinds(choice.categories)),
            words.AGREED_WHY.format(why=_purposes(choice.purposes)),
        ]
    if choice.not_to:
        lines.append(words.NOT_TO.format(who=_names(choice.not_to)))
    if choice.not_for:
        lines.append(words.NOT_FOR.format(why=_purposes(choice.not_for)))
    if ruled_out := [words.CATEGORY[code] for code in choice.not_what if code in words.CATEGORY]:
        lines.append(words.NOT_WHAT.format(what=_joined(ruled_out)))
    if choice.more:
        lines.append(words.OTHER_LIMITS)
    if choice.stopped:
        lines.append(words.STOPPED.format(who=_names(choice.stopped)))
    lines.append(words.AGREEMENT[choice.state].format(day=day(choice.when)))
    return Entry(day(choice.since), tuple(lines))


def _kinds(categories: Iterable[str]) -> str:
    named = [words.CATEGORY[code] for code in categories if code in words.CATEGORY]
    return _joined(named) if named else words.NOTHING_NAMED


def _purposes(codes: Iterable[str]) -> str:
    # A partnership's policy may name purposes that this page has no words for.
    return _joined(dict.fromkeys(words.PURPOSE.get(code, words.OTHER_PURPOSE) for code in codes))


def _names(names: Iterable[str]) -> str:
    return _joined(dict.fromkeys(map(spoken_name, names)))


def _joined(parts: Iterable[str]) -> str:
    return "; ".join(parts)
