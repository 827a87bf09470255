"""Retention as officers handle it: a plan first, two signatures, holds, and what went (PROTOCOL.md Y1-Y9).

Rules of this house:
- a plan names only what its maker opened herself: what stays closed, is held, or has a fault is counted and kept;
- a mirror gives up what a statement names when its notice is over, and keeps what was named before its time;
- what is deleted here is overwritten, and the index of opened entries goes with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from keys_tooling.audit.lifetimes import NEVER, Life, counted, lives
from keys_tooling.audit.mirror import Mirror, claimed_size
from keys_tooling.audit.opened import Row
from schemas.audit import Event
from schemas.canonical import Json
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.policy import Kept, Policy
from schemas.ranges import Ranges, count_of, each, names, ranges_of, unspelled
from schemas.retention import DAY, Retention, RetentionList, read_list
from schemas.shelf import read_policy

Runs = tuple[tuple[int, int], ...]
RUNS = 4000
"""Runs that one list names; what is beyond them goes with the next list, which may be made at once."""
OPENED = ("opened.db", "opened.db-journal", "opened.key")
"""The index of opened entries (keys_tooling.audit.index): made again from what is left."""


@dataclass(frozen=True, slots=True)
class Held:
    """A hold that stands, as the log says: by which agency, since when, on which entries."""

    hid: str
    agency: str
    ts: int
    runs: Runs


def holds(rows: Iterable[Row]) -> tuple[Held, ...]:
    """The holds that were placed and not lifted, in the order of the log."""
    standing: dict[str, Held] = {}
    for row in rows:
        if row.event == Event.HOLD and not row.faults:
            standing[row.mid] = Held(row.mid, row.sender.agency, row.ts, unspelled(row.what))
        elif row.event == Event.LIFT and not row.faults:
            standing.pop(row.mid, None)
    return tuple(standing.values())


@dataclass(frozen=True, slots=True)
class Plan:
    """What may go now, and what stays. `listed` is None when nothing may."""

    listed: RetentionList | None
    going: dict[str, int]
    young: int
    held: int
    stated: int
    faulty: int
    gone: int
    closed: int
    next_due: int | None

    def to_json(self) -> dict[str, Json]:
        return {
            "closed": self.closed,
            "count": 0 if self.listed is None else self.listed.count,
            "faulty": self.faulty,
            "going": dict(self.going),
            "gone": self.gone,
            "held": self.held,
            "next_due": self.next_due,
            "stated": self.stated,
            "ranges": [] if self.listed is None else [list(run) for run in self.listed.ranges],
            "young": self.young,
        }


def plan(rows: Iterable[Row], missing: Runs, stated: Runs, size: int, policy: Policy, now: int) -> Plan:
    """Which records may go now.

    Args:
        rows: every entry that the officer can open, in order.
        missing: entries whose records are gone from her mirror.
        stated: entries that a statement on record names already.
        size: of the log, as she mirrored it.
    """
    kept = list(rows)
    standing = [run for hold in holds(kept) for run in hold.runs]
    found = {seq: life for seq, life in lives(kept, policy.retention).items() if not names(missing, seq)}
    going = {seq: life for seq, life in found.items() if life.until <= now}
    held = {seq for seq in going if any(first <= seq <= last for first, last in standing)}
    said = {seq for seq in going if names(stated, seq)}
    free = {seq: life for seq, life in going.items() if seq not in held | said}
    runs = ranges_of(free)[:RUNS]
    waiting = [life.until for life in found.values() if now < life.until < NEVER]
    notice = policy.retention.notice_days * DAY
    listed = None
    if runs:
        listed = RetentionList(notice=notice, policy=policy.version, ranges=runs, size=size, v=1)
    faulty = sum(life.until == NEVER for life in found.values())
    gone = count_of(missing)
    return Plan(
        listed, counted(free), len(waiting), len(held), len(said), faulty, gone, size - gone - len(found),
        min(waiting, default=None),
    )  # fmt: skip


# --- lists on record


@dataclass(frozen=True, slots=True)
class OnRecord:
    """A retention statement of the directory with its list, which is None where this mirror has not got it."""

    said: Retention
    listed: RetentionList | None

    @property
    def ends(self) -> int | None:
        """When its notice is over."""
        return None if self.listed is None else self.said.ts + self.listed.notice


def on_record(mirror: Mirror, view: Directory) -> tuple[OnRecord, ...]:
    """Every retention statement, in the directory's order. A list that is not the signed one counts as missing."""
    texts, found = mirror.lists(), []
    for said in view.retentions:
        listed = None
        with suppress(Refusal):
            listed = read_list(said, texts.get(said.digest, b""))
        found.append(OnRecord(said, listed))
    return tuple(found)


def stated(lists: Iterable[OnRecord]) -> Runs:
    """Every entry that a statement names, whether or not its notice is over."""
    return ranges_of(index for one in lists if one.listed is not None for index in each(one.listed.ranges))


def let_go(lists: Iterable[OnRecord], at: int) -> Runs:
    """Every entry that may be missing at this time."""
    over = [one.listed for one in lists if one.listed is not None and (one.ends or 0) <= at]
    return ranges_of(index for listed in over for index in each(listed.ranges))


def shortest_of(mirror: Mirror, view: Directory) -> dict[int, int]:
    """The shortest period of each policy whose text is here, in seconds, by version."""
    texts, found = mirror.policies(), {}
    for entry in view.policies.entries:
        with suppress(Refusal):
            found[entry.version] = read_policy(entry, texts.get(entry.digest, b"")).retention.shortest
    return found


def too_early(mirror: Mirror, lists: Iterable[OnRecord], shortest: dict[int, int]) -> Iterator[int]:
    """The first entry of each list that cannot have been old enough: the log was seen shorter within that time."""
    notes = [(note.seen, claimed_size(note.text)) for note in mirror.notes("log") if note.believed]
    for one in lists:
        if one.listed is None:
            continue
        since = one.said.ts - shortest.get(one.listed.policy, 0)
        lately = [size for seen, size in notes if seen > since]
        young = _first_from(one.listed.ranges, min(lately)) if lately else None
        if young is not None:
            yield young


def _first_from(ranges: Ranges, size: int) -> int | None:
    return next((max(first, size) for first, last in ranges if last >= size), None)


# --- what a mirror gives up


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What a mirror gave up: how many records, and which it keeps because they were named too early."""

    count: int
    early: tuple[int, ...]


def give_up(
    mirror: Mirror, lists: Iterable[OnRecord], found: dict[int, Life], standing: Runs, now: int
) -> GivenUp:
    """Delete from a mirror what statements name and their notice lets go.

    Args:
        found: how long the records that this officer can open are kept, by her own reading.
        standing: entries under a hold that she knows of.
    """
    count, early = 0, list[int]()
    for one in lists:
        if one.listed is None or one.said.ts + one.listed.notice > now or mirror.list_done(one.said.digest):
            continue
        young = [
            index for index in each(one.listed.ranges)
            if (life := found.get(index)) is not None and one.said.ts < life.until
        ]  # fmt: skip
        kept = ranges_of([*young, *(i for i in each(one.listed.ranges) if names(standing, i))])
        free = ranges_of(i for i in each(one.listed.ranges) if not names(kept, i))
        count += mirror.wipe(free)
        early += young
        mirror.note_list(one.said.digest, done=count_of(kept) == 0, early=young)
    return GivenUp(count, tuple(sorted(set(early))))


def forget_opened(folder: Path) -> None:
    """Delete the index of opened entries, which would remember what was given up."""
    for name in OPENED:
        (folder / name).unlink(missing_ok=True)


# --- what went, and by whose word (question 25 of the field's list)


@dataclass(frozen=True, slots=True)
class Deleted:
    """A statement's proof: who signed which list and when, what of it is gone here, and what is still there."""

    digest: str
    ts: int
    signers: tuple[str, ...]
    statement: int
    count: int
    policy: int | None
    from_: int | None
    ranges: Runs
    gone: int
    left: int
    early: tuple[int, ...]

    def to_json(self) -> dict[str, Json]:
        return {
            "count": self.count,
            "digest": self.digest,
            "early": list(self.early),
            "from": self.from_,
            "gone": self.gone,
            "left": self.left,
            "policy": self.policy,
            "ranges": [list(run) for run in self.ranges],
            "signers": list(self.signers),
            "statement": self.statement,
            "ts": self.ts,
        }


def deleted_on_schedule(
    mirror: Mirror, view: Directory, start: int = 0, end: int = 2**53
) -> tuple[Deleted, ...]:
    """The proof of every scheduled deletion whose statement is of [start, end), Unix seconds.

    Each row stands on the directory statement at position `statement`, which two people signed and the directory's log
    holds; `gone` counts the named records that this mirror has no more, `left` those that it has (held, or `early`).
    """
    missing = mirror.missing()
    rows = []
    for one in on_record(mirror, view):
        if not start <= one.said.ts < end:
            continue
        runs: Runs = () if one.listed is None else one.listed.ranges
        gone = sum(names(missing, index) for index in each(runs))
        rows.append(
            Deleted(
                one.said.digest, one.said.ts, one.said.signers, one.said.at, one.said.count,
                None if one.listed is None else one.listed.policy, one.ends, runs, gone,
                count_of(runs) - gone, mirror.named_early(one.said.digest),
            )
        )  # fmt: skip
    return tuple(rows)


def periods_of(policy: Policy | None) -> Kept:
    """Raises Refusal POLICY when this mirror has no text of the policy in force."""
    if policy is None:
        raise Refusal("POLICY", "The mirror has no policy in force. Pull, then try again.")
    return policy.retention
