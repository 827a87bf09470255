"""Holding two agencies' lists of one day against each other (PROTOCOL.md N1-N8). Pure: no store, no network, no clock.

Rules of this house:
- a message belongs to the day of its header's `ts`, which both sides hold signed: no clock has a say in it;
- whoever wrote first could not know what came later: a step younger than the other side's list is no difference;
- both sides find the same: `compare` with its two sides exchanged gives the same findings;
- a list is a claim. One that contradicts itself is a finding, and never a fault of the program.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from schemas.canonical import b64
from schemas.hashing import labelled
from schemas.messages.reconciliation import (
    NUMBERS,
    PART_LINES,
    PARTS,
    Got,
    Line,
    Reconcile,
    Sent,
    Step,
    Tally,
)

DAY = 24 * 3600
GRACE = 900
"""Seconds within which two lists may differ: clocks 5 minutes apart, and 10 minutes on the way."""
SETTLE = 1800
"""Seconds after the end of a day before anybody writes about it."""
SPREAD = 3600
"""Over how many seconds after that the pairs are spread."""
ANSWER = 2 * DAY
"""Seconds after the end of a day by which the other side's list is expected."""
WINDOW = 15
"""Days back that are still reconciled: a message lives 14."""

Kind = Literal[
    "not-seen",
    "not-sent",
    "not-told",
    "not-kept",
    "ends",
    "number",
    "gap",
    "report",
    "no-answer",
    "open",
    "late",
]
"""What can be found.

not-seen: sent, and the other side does not list it. not-sent: received, and the sender does not list it. not-told:
the recipient says more than its sender was told. not-kept: the recipient says less than it signed. ends: two ends
that exclude each other. number: one message, two running numbers. gap: a running number of which nobody knows
anything. report: a list that contradicts itself or was written twice. no-answer: no list. open: sent, seen and not
ended. late: came after a younger one.
"""
NOTES: frozenset[Kind] = frozenset({"open", "late"})
"""Named, but no difference: both sides say the same."""
Key = tuple[str, str]
RANK: Mapping[str, int] = {"waiting": 0, "queued": 0, "collected": 1, "opened": 1}
ENDED = 2
STOPPED = frozenset({"withdrawn", "expired"})


@dataclass(frozen=True, slots=True)
class Item:
    """One message at one desk, as one side knows it.

    `state` is a step, or "waiting" for what its sender sealed and cannot yet tell whether the relay took; `at` is when
    it was reached; `known` when this side first could list it.
    """

    eid: str
    d: str
    ts: int
    n: int
    state: Step | Literal["waiting"]
    at: int
    known: int

    @property
    def key(self) -> Key:
        return self.eid, self.d

    @property
    def rank(self) -> int:
        return RANK.get(self.state, ENDED)


@dataclass(frozen=True, slots=True)
class Account:
    """One side's view of a pair, at `made`. `got` is in the order in which it came."""

    made: int
    sent: Mapping[Key, Item] = field(default_factory=dict)
    got: Mapping[Key, Item] = field(default_factory=dict)
    unsent: frozenset[int] = frozenset()
    """Running numbers of what did not leave, so far: refused, stopped, held, waiting."""
    missing: Mapping[int, int] = field(default_factory=dict)
    """Running numbers that did not come, and since when that was known."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that somebody should look at: `sender` is the agency that sent, or should have."""

    kind: Kind
    sender: str
    eid: str = ""
    d: str = ""
    n: int = 0
    sent: str = ""
    got: str = ""

    @property
    def grave(self) -> bool:
        return self.kind not in NOTES


def day_of(ts: int) -> int:
    """Days since 1970-01-01, UTC."""
    return ts // DAY


def day_text(day: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()


def day_number(text: str) -> int:
    """The inverse of `day_text`, for a text that is a day."""
    return (datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days


def due(us: str, them: str, day: int) -> int:
    """When this pair's lists of a day are written: one second for both, and another for other pairs (N2)."""
    pair = "\x00".join(sorted((us, them))).encode("ascii")
    spread = int.from_bytes(labelled("fenpost/v1/day-due", pair)[:8], "big") % SPREAD
    return (day + 1) * DAY + SETTLE + spread


# --- writing


def tally(items: Iterable[Item | Line], least: Literal["queued", "collected", "taken-on"]) -> Tally:
    """Count and hash of what reached a step: `taken-on` is that end, and no other (N3)."""
    reached = sorted({(i.eid, i.d) for i in items if _reached(i.state, least)})
    data = "".join(f"{eid}/{d}\n" for eid, d in reached).encode("ascii")
    return Tally(count=len(reached), root=b64(labelled("fenpost/v1/day", data)))


def _reached(state: str, least: str) -> bool:
    if least == "taken-on":
        return state == least
    return least == "queued" or state in ("collected", "opened", "taken-on", "rejected")


def write(day: int, account: Account, told: int) -> tuple[Reconcile, ...]:
    """What one side says of a day, in as many parts as it takes (N3, N4).

    Args:
        day: the day, which is over.
        account: the pair as this side sees it now.
        told: when this side last wrote a list for this pair; what ended before was listed as ended.
    """
    sent = [item for item in account.sent.values() if item.state != "waiting"]
    ours, before = _of_day(sent, day), _still(sent, day, told)
    theirs, earlier = _of_day(account.got.values(), day), _still(account.got.values(), day, told)
    boxes = _boxes((ours, before, theirs, earlier))
    tallies = {step: tally(ours, step) for step in ("queued", "collected", "taken-on")}
    have = {step: tally(theirs, step) for step in ("collected", "taken-on")}
    return tuple(
        Reconcile(
            type="reconcile",
            v=1,
            day=day_text(day),
            made=account.made,
            part=place,
            parts=len(boxes),
            sent=Sent(
                sent=tallies["queued"],
                collected=tallies["collected"],
                taken_on=tallies["taken-on"],
                lines=box[0],
                earlier=box[1],
                unsent=tuple(sorted(account.unsent)[-NUMBERS:]) if place == 1 else (),
            ),
            got=Got(
                collected=have["collected"],
                taken_on=have["taken-on"],
                lines=box[2],
                earlier=box[3],
                missing=tuple(sorted(account.missing)[-NUMBERS:]) if place == 1 else (),
            ),
        )
        for place, box in enumerate(boxes, 1)
    )


def anything_open(account: Account, day: int, told: int) -> bool:
    """Whether a list of this day has something to say of days before it (N4)."""
    sent = [item for item in account.sent.values() if item.state != "waiting"]
    return bool(_still(sent, day, told) or _still(account.got.values(), day, told))


def _of_day(items: Iterable[Item], day: int) -> list[Item]:
    return [item for item in items if day_of(item.ts) == day]


def _still(items: Iterable[Item], day: int, told: int) -> list[Item]:
    """What is older and was not listed as ended yet."""
    return [item for item in items if day_of(item.ts) < day and (item.rank < ENDED or item.at >= told)]


def _boxes(lists: Sequence[Sequence[Item]]) -> list[list[tuple[Line, ...]]]:
    """The lists cut into parts that fit a message, in their order; at least one part, and no more than there may be."""
    # What is cut off here is missing in the tallies' sum: the reader sees that the list is not whole.
    every = [(place, item) for place, items in enumerate(lists) for item in items][: PARTS * PART_LINES]
    cut = [every[at : at + PART_LINES] for at in range(0, len(every), PART_LINES)] or [[]]
    return [
        [tuple(_line(item) for at, item in part if at == place) for place in range(len(lists))]
        for part in cut
    ]


def _line(item: Item) -> Line:
    # Whoever is told never hears of what waits: `write` leaves that out.
    state: Step = "queued" if item.state == "waiting" else item.state
    return Line(eid=item.eid, d=item.d, ts=item.ts, n=item.n, state=state, at=item.at)


# --- reading


def complete(parts: Sequence[Reconcile]) -> bool:
    """Whether every part of a list is there."""
    return bool(parts) and {part.part for part in parts} == set(range(1, parts[0].parts + 1))


def contradicts_itself(parts: Sequence[Reconcile]) -> bool:
    """Whether a complete list is not of one piece, or does not add up (N6)."""
    first = parts[0]
    if any((p.made, p.parts, p.day) != (first.made, first.parts, first.day) for p in parts):
        return True
    sent = [line for part in parts for line in part.sent.lines]
    got = [line for part in parts for line in part.got.lines]
    day = day_number(first.day)
    stray = first.made < (day + 1) * DAY - GRACE or any(day_of(line.ts) != day for line in (*sent, *got))
    says = (
        first.sent.sent,
        first.sent.collected,
        first.sent.taken_on,
        first.got.collected,
        first.got.taken_on,
    )
    adds = (
        tally(sent, "queued"),
        tally(sent, "collected"),
        tally(sent, "taken-on"),
        tally(got, "collected"),
        tally(got, "taken-on"),
    )
    return stray or says != adds


def heard(reports: Iterable[Reconcile]) -> Account:
    """All that the other side has said, newest word last: what it wrote of earlier days is its newest word on them."""
    sent: dict[Key, Item] = {}
    got: dict[Key, Item] = {}
    unsent: set[int] = set()
    missing: dict[int, int] = {}
    made = 0
    for report in sorted(reports, key=lambda r: (r.day, r.part)):
        if report.made > made:
            made, missing = report.made, {}
        for into, lines in ((sent, report.sent.lines), (got, report.got.lines)):
            into.update(_said(line, line.ts) for line in lines)
        for into, lines in ((sent, report.sent.earlier), (got, report.got.earlier)):
            into.update(_said(line, report.made) for line in lines)
        unsent |= set(report.sent.unsent)
        missing |= dict.fromkeys(report.got.missing, 0)
    return Account(made, sent, got, frozenset(unsent), missing)


def _said(line: Line, known: int) -> tuple[Key, Item]:
    item = Item(line.eid, line.d, line.ts, line.n, line.state, line.at, known)
    return item.key, item


# --- comparing


def compare(us: str, them: str, day: int, ours: Account, theirs: Account) -> tuple[Finding, ...]:
    """Everything that somebody should look at about a day, in both directions (N5, N6)."""
    return tuple(sorted({*_one_way(us, day, ours, theirs), *_one_way(them, day, theirs, ours)}))


def gaps(us: str, them: str, ours: Account, theirs: Account) -> tuple[Finding, ...]:
    """Running numbers that never came and of which their sender says nothing, in both directions (N5)."""
    ways = ((us, ours, theirs), (them, theirs, ours))
    return tuple(sorted(found for way in ways for found in _gaps(*way)))


def _gaps(sender: str, sending: Account, getting: Account) -> Iterator[Finding]:
    accounted = {item.n for item in sending.sent.values()} | sending.unsent
    for number, since in getting.missing.items():
        if since <= sending.made - GRACE and number not in accounted:
            yield Finding("gap", sender, n=number)


def _one_way(sender: str, day: int, sending: Account, getting: Account) -> Iterator[Finding]:
    sent = {item.key: item for item in _of_day(sending.sent.values(), day)}
    got = {item.key: item for item in _of_day(getting.got.values(), day)}
    for key in sorted({*sent, *got}):
        there, here = sent.get(key), got.get(key)
        kind = _both(there, here, sending.made, getting.made)
        if kind is not None:
            number = max(item.n for item in (there, here) if item is not None)
            states = tuple("" if item is None else item.state for item in (there, here))
            yield Finding(kind, sender, *key, number, *states)
    yield from _late(sender, sent, got)


def _both(sent: Item | None, got: Item | None, sent_made: int, got_made: int) -> Kind | None:
    if sent is None:
        return None if got is None or got.known > sent_made - GRACE else "not-sent"
    if sent.state == "waiting":
        return None
    if got is None:
        if sent.state in STOPPED or max(sent.known, sent.at) > got_made - GRACE:
            return None
        return "not-seen" if sent.rank == 0 else "not-kept"
    if sent.n and got.n and sent.n != got.n:
        return "number"
    if sent.rank == got.rank:
        return _level(sent, got)
    if got.rank > sent.rank:
        if got.at <= sent_made - GRACE and got.state not in STOPPED:
            return "not-told"
        return "open" if got.rank < ENDED else None
    if sent.at > got_made - GRACE:
        return None
    return "ends" if sent.state in STOPPED else "not-kept"


def _level(sent: Item, got: Item) -> Kind | None:
    if sent.rank < ENDED:
        return "open"
    excluded = sent.state != got.state and not {sent.state, got.state} <= STOPPED
    return "ends" if excluded else None


def _late(sender: str, sent: Mapping[Key, Item], got: Mapping[Key, Item]) -> Iterator[Finding]:
    highest = 0
    for key, item in got.items():
        number = item.n or (sent[key].n if key in sent else 0)
        if number and number < highest:
            yield Finding("late", sender, *key, number, "", item.state)
        highest = max(highest, number)
