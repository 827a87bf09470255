"""What a question is, what it is asked of, and what an answer says. Pure.

Rules of this house:
- an answer says whether it is the whole answer; if not, why, in words, and where the rest is to be found;
- what nobody records is not guessed at: a question about it gets what can be said, or nothing, and that sentence;
- rows carry codes and ids; who shows them makes them inert (keys_tooling.audit.inert).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal, TypeVar

from keys_tooling.audit.extract import Extract
from keys_tooling.audit.findings import Report
from keys_tooling.audit.inert import Value
from keys_tooling.audit.opened import MESSAGES, Row
from keys_tooling.audit.openings import Kept
from keys_tooling.audit.retaining import Deleted
from keys_tooling.audit.told import Place
from schemas.audit import Event
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.policy import Policy
from schemas.shelf import Shelf

T = TypeVar("T")
Timed = TypeVar("Timed", Row, Deleted)
HOUR = 3600
DAY = 24 * HOUR
Kind = Literal["text", "agency", "desk", "time", "number", "roster", "local", "switch"]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: its name, what to give, of which kind; `needed` when the question is nothing without it."""

    name: str
    says: str
    kind: Kind = "text"
    needed: bool = False


SINCE = Param("since", "From this time on: 2026-11-22, or 2026-11-22T09:30 (UTC).", "time")
UNTIL = Param("until", "Up to this time; a day is meant to its end.", "time")
LOCAL = Param("local", "What your own agent wrote with: fenpost-agent extract", "local")
WINDOW = (SINCE, UNTIL)


@dataclass(frozen=True, slots=True)
class Given:
    """What was given for the parameters; what was not is None."""

    values: Mapping[str, object] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def number(self, name: str, default: int) -> int:
        value = self.values.get(name)
        return value if isinstance(value, int) else default

    def time(self, name: str) -> int | None:
        value = self.values.get(name)
        return value if isinstance(value, int) else None

    @property
    def local(self) -> Extract | None:
        value = self.values.get("local")
        return value if isinstance(value, Extract) else None

    @property
    def roster(self) -> Mapping[str, tuple[str, ...]] | None:
        value = self.values.get("roster")
        return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class Answer:
    """Columns and rows. `complete` says that this is all there is; else `reason` says what is missing, and where."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    complete: bool = True
    reason: str = ""


def whole(columns: str, rows: Iterable[tuple[Value, ...]]) -> Answer:
    """The whole answer; `columns` are names with spaces between them."""
    return Answer(tuple(columns.split()), tuple(rows))


def partly(columns: str, rows: Iterable[tuple[Value, ...]], reason: str) -> Answer:
    """What can be said, and why it is not all."""
    return Answer(tuple(columns.split()), tuple(rows), complete=False, reason=reason)


@dataclass
class Desk:
    """What questions are asked of: the opened entries of one officer, and what they are held against.

    `load` gives the rows of some kinds of event, in order; `verify` checks the mirror; `unlogged` are her own openings
    that the log does not show; `closed` counts entries that stay closed to her.
    """

    load: Callable[[tuple[str, ...]], Iterable[Row]]
    agency: str
    view: Directory
    shelf: Shelf
    now: int
    closed: int
    verify: Callable[[], Report]
    unlogged: Callable[[], list[Kept]]
    scheduled: Callable[[], tuple[Deleted, ...]] = tuple
    """What retention statements let go, with the proof of each."""
    names: Mapping[str, str] = field(default_factory=dict)
    _loaded: dict[tuple[str, ...], tuple[Row, ...]] = field(default_factory=dict)
    _left_out: set[int] = field(default_factory=set)

    def rows(self, *events: str) -> tuple[Row, ...]:
        """Rows of these kinds, without those that cannot be read as what somebody signed; these are counted."""
        if events not in self._loaded:
            found = tuple(self.load(events))
            self._loaded[events] = tuple(row for row in found if UNREADABLE.isdisjoint(row.faults))
            self._left_out |= {row.seq for row in found if not UNREADABLE.isdisjoint(row.faults)}
        return self._loaded[events]

    def said(self, answer: Answer) -> Answer:
        """The answer, which is not whole when entries that it looked at could not be read."""
        lost = self._left_out | {
            row.seq for row in self.load(("",))
        }  # of which not even the kind can be read
        if not lost:
            return answer
        reason = f"{len(lost):,} entries are left out: they do not fit what was signed. See them: fenpost-audit read"
        return replace(answer, complete=False, reason=" ".join(filter(None, (answer.reason, reason))))

    def accepted(self, given: Given | None = None) -> Iterator[Row]:
        """Accepted messages about a person, within the window that was given."""
        for row in within(self.rows(Event.ACCEPT), given):
            if row.pd != "none":
                yield row

    @cached_property
    def messages(self) -> Mapping[str, Row]:
        """Every accepted, held or refused message, by envelope; an accepted one wins."""
        found = {row.eid: row for row in self.rows(*sorted(MESSAGES))}
        return found | {row.eid: row for row in self.rows(Event.ACCEPT)}

    @cached_property
    def steps(self) -> Mapping[tuple[str, Place], Mapping[str, Row]]:
        """By envelope and desk: the steps that the delivery took, by event."""
        found: dict[tuple[str, Place], dict[str, Row]] = defaultdict(dict)
        for row in self.rows(*STEPS):
            found[row.eid, row.sender].setdefault(row.event, row)
        return found

    @cached_property
    def overrides(self) -> tuple[Row, ...]:
        return self.rows(Event.OVERRIDE)

    def override_for(self, message: Row) -> Row | None:
        """The override under which a message went, or that was signed for it afterwards."""
        mine = [row for row in self.overrides if row.sender.agency == message.sender.agency]
        fits = (r for r in mine if r.mid == message.mid or (message.ovr and r.ovr == message.ovr))
        return next(fits, None)

    def policy(self, at: int) -> Policy | None:
        """The policy in force at a time; None when there was none, or its text is not here."""
        return self.shelf.in_force(self.view.policies, at)

    def policy_of(self, row: Row) -> Policy | None:
        """The policy that the relay named when it decided; None when it named none, or its text is not here."""
        found = (one for one in self.view.policies.entries if one.version == row.policy)
        return next((self.shelf.policies.get(one.digest) for one in found), None)

    def sector(self, agency: str) -> str:
        known = self.view.agencies.get(agency)
        return "" if known is None else known.sector

    def name(self, agency: str) -> str:
        """An agency as people call it."""
        known = self.view.agencies.get(agency)
        if known is not None and known.name:
            return known.name
        return "oversight" if agency == self.view.oversight else agency

    def roster(self, desk: str, at: int) -> tuple[str, ...] | None:
        """The roles that worked at a desk of this agency's then, by its own word in the directory; None without one."""
        known = self.view.agencies.get(self.agency)
        return None if known is None else known.roster(desk, at)

    def place(self, place: Place) -> str:
        return f"{self.name(place.agency)} / {place.desk}" if place.desk else self.name(place.agency)

    def places(self, places: Iterable[Place]) -> str:
        return ", ".join(map(self.place, places))

    def person(self, kid: str) -> str:
        """The tag of the person who holds a key, such as lead-2, or the key's id."""
        for agency in self.view.agencies.values():
            key = agency.keys.get(kid)
            if key is not None and key.person:
                return f"{key.person} at {self.name(agency.id)}"
        return kid


UNREADABLE = frozenset({"form", "tag", "quoted", "changed", "epoch"})
"""Faults after which an entry says nothing that could be counted. With others the signed header still holds: what went
with a wrong decision went all the same, and is in every answer."""
STEPS = (
    Event.COLLECTED, Event.EXPIRED, Event.OPENED, Event.REJECTED, Event.TAKEN_ON, Event.WITHDRAWN,
)  # fmt: skip
ENDINGS = (Event.TAKEN_ON, Event.REJECTED, Event.WITHDRAWN, Event.EXPIRED)


def within(rows: Iterable[Timed], given: Given | None) -> Iterator[Timed]:
    """Those in the window."""
    return (row for row in rows if inside(row.ts, given))


def inside(ts: int, given: Given | None) -> bool:
    """Whether a time is in the window that was given."""
    if given is None:
        return True
    since, until = given.time("since"), given.time("until")
    return (since is None or ts >= since) and (until is None or ts < until)


def when(ts: int | None) -> str:
    """A time as people and spreadsheets read it, UTC."""
    return "" if ts is None else datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M:%S")


# Ten digits and no fewer: 20261122 is a day that somebody mistyped, not a second of 1970.
_SECONDS = re.compile(r"[0-9]{10}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?Z?)?")


def words(items: Iterable[str]) -> str:
    return " ".join(items)


def read_time(text: str, *, end: bool = False) -> int:
    """2026-11-22, 2026-11-22T09:30[:15][Z], or Unix seconds. A day given as an end is meant to its last second.

    Raises:
        Refusal: BAD_VALUE.
    """
    if _SECONDS.fullmatch(text):
        return int(text)
    try:
        if not _TIME.fullmatch(text):
            raise ValueError("another spelling")
        found = datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        raise Refusal("BAD_VALUE", "A time is a day, 2026-11-22, or 2026-11-22T09:30 in UTC.") from None
    return int(found.replace(tzinfo=UTC).timestamp()) + (DAY if end and len(text) == 10 else 0)


@dataclass(frozen=True, slots=True)
class Question:
    """A named question: its number in the officers' list, the question in plain words, parameters, and who answers."""

    number: int
    name: str
    asks: str
    params: tuple[Param, ...]
    answer: Callable[[Desk, Given], Answer]

    def ask(self, desk: Desk, given: Given) -> Answer:
        """The answer of this desk. Raises Refusal MISSING, NOT_FOUND."""
        return desk.said(self.answer(desk, given))
