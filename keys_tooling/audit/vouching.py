"""Who vouches for the log that an officer mirrors: the quorum of witnesses, by the agents' rule (PROTOCOL.md L17-L25).

Rules of this house:
- a head counts with both of the log's lines and with cosignatures that verify; a line that names a witness's key and
  does not verify spoils it;
- missing cosignatures prove nothing against anybody; but a log that nobody vouches for may be one that is shown to this
  officer alone, so after a day she is told as loudly as an agent, which stops sending then.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from keys_tooling.audit.mirror import Log
from schemas.canonical import Json
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.partnership import Partnership
from schemas.witness import (
    QUORUM_AGE,
    Published,
    needed,
    open_published,
    quorum_time,
    taking_part,
    witnesses,
)

LATE = 2 * 3600
"""Heads are published at least once an hour: a quorum older than this is missing one."""
State = Literal["agreed", "waiting", "late", "missing"]
SAYS: dict[State, str] = {
    "agreed": "enough of them vouch for this log",
    "waiting": "too few have vouched for this log yet; their agents may be off",
    "late": "TOO FEW vouch for this log by now. It counts as unvouched when that lasts a day",
    "missing": "NOT VOUCHED FOR for more than a day: this log may be shown to you alone. Compare with another "
    "agency's officer, and tell oversight",
}
SECOND = (
    "The relay's checkpoint lacks a good line of the log's second key (ML-DSA-44). It was not believed. Pull again; if "
    "it stays so, tell oversight."
)
SPOILT = (
    "A head names a witness, and that cosignature does not verify. It was not counted. Pull again; if it stays so, "
    "tell oversight."
)


@dataclass(frozen=True, slots=True)
class Vouched:
    """The newest quorum seen: since when it stood behind a head of `size` entries, 0 for none; times in Unix seconds.

    `since` is when this mirror began, `wanted` how many members must cosign, `active` how many take part.
    """

    since: int
    last: int
    size: int
    wanted: int
    active: int
    outside: int

    def state(self, now: int) -> State:
        """How that is at a time (L21)."""
        age = now - max(self.since, self.last)
        if age > QUORUM_AGE:
            return "missing"
        if age > LATE:
            return "late"
        return "agreed" if self.last else "waiting"

    def to_json(self, now: int) -> dict[str, Json]:
        return {
            "last": self.last,
            "needed": self.wanted,
            "outside_needed": self.outside,
            "size": self.size,
            "state": self.state(now),
            "taking_part": self.active,
        }

    def text(self, now: int) -> str:
        """For people, in one sentence or two."""
        outside = f" and {self.outside} from outside" if self.outside else ""
        found = f"{self.wanted} of {self.active} agencies{outside} needed: {SAYS[self.state(now)]}"
        if not self.last:
            return found
        at = datetime.fromtimestamp(self.last, UTC).strftime("%Y-%m-%d %H:%M")
        return f"{found}; last at {at} UTC, for {self.size:,} entries"


@dataclass(frozen=True, slots=True)
class Shown:
    """A head that the relay showed, opened, and when."""

    published: Published
    seen: int


def opened(text: str, partnership: Partnership, log: Log = "log") -> Published:
    """A head with both lines of its log, the audit log or the directory's. Raises Refusal CHECKPOINT."""
    try:
        if log == "keys":
            return open_published(text, partnership.keys_log_key, partnership.keys_log_mldsa_key)
        return open_published(text, partnership.log_key, partnership.log_mldsa_key)
    except Refusal as refusal:
        raise Refusal("CHECKPOINT", SECOND) from refusal


class Tally:
    """Counts who vouches, head by head in the order shown."""

    def __init__(self, partnership: Partnership, view: Directory, since: int) -> None:
        self._floor, self._outside = partnership.charter.witnesses, partnership.outside
        self._view, self._since = view, since
        self._members: dict[str, int] = {}
        self._last, self._size = 0, 0

    def weigh(self, shown: Shown) -> bool:
        """Count a head; whether a quorum stands behind it.

        Raises:
            Refusal: CHECKPOINT when a line names a witness's key and does not verify.
        """
        published, now = shown.published, shown.seen
        try:
            found = witnesses(published, self._view, now)
            outside = self._outside.seen(published, now)
        except Refusal as refusal:
            raise Refusal("CHECKPOINT", SPOILT) from refusal
        for agency, stamp in found.items():
            self._members[agency] = max(stamp, self._members.get(agency, 0))
        active = taking_part(self._members, self._view, now)
        stood = self._outside.stood(quorum_time(found, needed(active, self._floor)), outside)
        if stood is not None and stood > self._last:
            self._last, self._size = min(stood, now), published.checkpoint.size
        return stood is not None

    def so_far(self, now: int) -> Vouched:
        """What was found in the heads counted up to now."""
        active = taking_part(self._members, self._view, now)
        wanted = needed(active, self._floor)
        return Vouched(self._since, self._last, self._size, wanted, active, self._outside.needed)
