"""How long each record is kept, worked out from what it says (PROTOCOL.md Y3). Pure.

Rules of this house:
- the entries of one message go together, when the last of them may;
- what a message rests on, its agreement and its override, stays as long as the message does;
- a record with a fault, and the message that it belongs to, never goes by itself: it is evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from keys_tooling.audit.opened import Row
from schemas.audit import Event
from schemas.policy import Kept

DAY = 24 * 3600
NEVER = 2**60
AGREEMENTS = frozenset({Event.GRANT, Event.WITHDRAW, Event.RECALLED})
Kind = Literal["log", "child", "directory"]


@dataclass(frozen=True, slots=True)
class Life:
    """One record: what it counts as, and the second from which it may go; NEVER for one with a fault."""

    seq: int
    kind: Kind
    until: int


@dataclass(slots=True)
class _Latest:
    """The latest second for each name: of a message, a handle, a thread."""

    found: dict[str, int] = field(default_factory=dict)

    def note(self, name: str, until: int) -> None:
        if name:
            self.found[name] = max(until, self.found.get(name, 0))

    def of(self, name: str) -> int:
        return self.found.get(name, 0)


def lives(rows: Iterable[Row], kept: Kept) -> dict[int, Life]:
    """For each opened record, how long it is kept under these periods."""
    seen = [_light(row) for row in rows]
    children = {one.mid for one in seen if one.child and one.mid}
    messages, handles, threads = _Latest(), _Latest(), _Latest()
    for one in seen:
        messages.note(one.mid, _own(one, children, kept))
    for one in seen:  # a handle and a thread last as long as the last message that names them
        handles.note(one.gid, messages.of(one.mid))
        threads.note("" if one.event == Event.OVERRIDE else one.thr, messages.of(one.mid))
    return {one.seq: _life(one, children, kept, messages, handles, threads) for one in seen}


@dataclass(frozen=True, slots=True)
class _Light:
    """What of a row decides: a million of them must fit."""

    seq: int
    ts: int
    event: str
    mid: str
    gid: str
    thr: str
    child: bool
    faulty: bool


def _light(row: Row) -> _Light:
    child = row.child or "child" in row.cat
    return _Light(row.seq, row.ts, row.event, row.mid, row.gid, row.thr, child, bool(row.faults))


def _kind(one: _Light, children: set[str]) -> Kind:
    if one.event == Event.DIRECTORY:
        return "directory"
    return "child" if one.child or one.mid in children else "log"


def _own(one: _Light, children: set[str], kept: Kept) -> int:
    return NEVER if one.faulty else one.ts + period(_kind(one, children), kept)


def period(kind: Kind, kept: Kept) -> int:
    """Seconds."""
    days = {"log": kept.log_days, "child": kept.child_days, "directory": kept.directory_days}
    return days[kind] * DAY


def _life(
    one: _Light,
    children: set[str],
    kept: Kept,
    messages: _Latest,
    handles: _Latest,
    threads: _Latest,
) -> Life:
    until = max(_own(one, children, kept), messages.of(one.mid))
    if one.event in AGREEMENTS:
        until = max(until, handles.of(one.gid))
    if one.event == Event.OVERRIDE:
        until = max(until, threads.of(one.thr))
    return Life(one.seq, _kind(one, children), until)


def counted(found: Mapping[int, Life]) -> dict[str, int]:
    """How many records there are of each kind."""
    counts = {"child": 0, "directory": 0, "log": 0}
    for life in found.values():
        counts[life.kind] += 1
    return counts
