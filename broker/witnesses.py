"""The head that members are asked to cosign, and the cosignatures that came (PROTOCOL.md L17-L19, L28).

A turn signs its checkpoint by Ed25519 alone. Now and then, when a member asks, the newest one is published: it gets the
log's ML-DSA-44 line, and for a while every member is asked to cosign that same one, or no quorum would ever meet.

Rules of this house:
- publishing happens in a thread and never inside a turn: that signature takes longer than most turns;
- a cosignature is taken for the head that is asked about and for no other, from the member that made it;
- losing these lines costs nothing but another round: they are kept for those who ask after a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.tables import heads
from broker.turn import Quiet, Turn
from broker.view import View
from schemas.checkpoint import LogKey, open_checkpoint, signature_line
from schemas.errors import Refusal
from schemas.mldsa import MldsaKey
from schemas.outside import stamp_of
from schemas.partnership import Partnership
from schemas.witness import (
    MldsaLogKey,
    Published,
    check_cosignature,
    needed,
    open_published,
    publish,
    taking_part,
    witness_key,
    witnesses,
)

RENEWED = 3600
"""Seconds after which a head is published again although nothing was added: witnesses say the time."""
MOST = 64
NEAR = 300
"""Seconds that a witness's clock may differ from the relay's."""
GAP = 0.05
"""Seconds between two heads that are published because somebody asks for the newest: strangers may ask often."""
NAMES = ("asked", "held")
KEYS_NAMES = ("keys-asked", "keys-held")
"""Under which names a board's heads are kept: the audit log's, and the directory log's."""


class Edge(Protocol):
    """A committed log: Ledger is one, View the other."""

    @property
    def note(self) -> str: ...

    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """One of the relay's two logs: its verifier keys, and the names under which its heads are kept."""

    log: LogKey
    mldsa: MldsaLogKey
    names: tuple[str, str] = NAMES

    @classmethod
    def of_log(cls, partnership: Partnership) -> Origin:
        return cls(partnership.log_key, partnership.log_mldsa_key)

    @classmethod
    def of_keys(cls, partnership: Partnership) -> Origin:
        return cls(partnership.keys_log_key, partnership.keys_log_mldsa_key, KEYS_NAMES)


@dataclass(slots=True)
class Head:
    """A published head and since when; `lines` are its cosignatures by agency, `outside` those by witnesses outside the
    partnership, each with its time."""

    published: Published
    since: int
    lines: dict[str, tuple[int, str]] = field(default_factory=dict)
    outside: dict[str, tuple[int, str]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return self.published.checkpoint.size

    def text(self) -> str:
        return self.public() + "".join(line for _, line in self.lines.values())

    def public(self) -> str:
        """The head without members' lines: who is a member is nobody else's business."""
        return self.published.note + "".join(line for _, line in self.outside.values())


class Board:
    """What members are asked to cosign, and the newest head that enough of them did."""

    def __init__(
        self,
        origin: Origin,
        partnership: Partnership,
        key: MldsaKey,
        edge: Edge,
        view: View,
        clock: Callable[[], float],
        seconds: float,
    ) -> None:
        self._log, self._mldsa, self.names = origin.log, origin.mldsa, origin.names
        self._floor, self.outside = partnership.charter.witnesses, partnership.outside
        self._key, self._edge, self._view = key, edge, view
        self._clock, self._seconds = clock, seconds
        self._publishing = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._newest, self._text, self._taken = "", "", 0.0
        self._seen: dict[str, int] = {}
        self.asked: Head | None = None
        self.held: Head | None = None

    def restore(self, kept: Mapping[str, str]) -> None:
        """Take up what was stored; the first who asks has a newer head published.

        Raises:
            Refusal: CHECKPOINT, when the store holds another log's.
        """
        self.asked, self.held = (self._read(kept[n]) if n in kept else None for n in self.names)

    def _read(self, text: str) -> Head:
        body, _, tail = text.partition("\n\n")
        lines = {line.split(" ")[1]: line for line in tail.splitlines(keepends=True) if line.count(" ") == 2}
        published, now = self._opened(text), int(self._clock())
        stamps, outside = witnesses(published, self._view.directory, now), self.outside.seen(published, now)
        theirs = stamps.keys() | outside.keys()
        ours = [line for line in tail.splitlines(keepends=True) if line.split(" ")[1] not in theirs]
        head = Head(self._opened(f"{body}\n\n{''.join(ours)}"), 0)
        self._seen |= stamps
        head.lines = {agency: (stamp, lines[agency]) for agency, stamp in stamps.items()}
        head.outside = {name: (stamp, lines[name]) for name, stamp in outside.items()}
        return head

    def _opened(self, note: str) -> Published:
        return open_published(note, self._log, self._mldsa)

    def keep(self, turn: Turn) -> None:
        """Have the rows written that `restore` takes up."""
        found = zip(self.names, (self.asked, self.held), strict=True)
        rows = [{"name": n, "size": head.size, "note": head.text()} for n, head in found if head is not None]
        turn.rows.heads = [row for row in turn.rows.heads if row["name"] not in self.names] + rows

    def to_json(self) -> dict[str, Any]:
        """What members are shown (api.WitnessPage)."""
        asked, held = self.asked, self.held
        return {
            "asked": "" if asked is None else asked.text(),
            "held": None if held is None or held is asked else held.text(),
        }

    async def current(self) -> None:
        """Publish the newest checkpoint, if it is time."""
        async with self._publishing:
            if self._due():
                note, now = self._edge.note, int(self._clock())
                checkpoint = open_checkpoint(note, self._log)
                text = await asyncio.to_thread(publish, note, checkpoint, self._key)
                self.asked = Head(self._opened(text), now)

    async def newest(self) -> str:
        """The newest checkpoint with both of the log's lines, no older than the question.

        Many who ask at once share one signature, and there are no more than twenty signatures a second.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with self._asking:
            if self._newest != self._edge.note and self._taken < began:
                await asyncio.sleep(max(0.0, self._taken + GAP - loop.time()))
                note, self._taken = self._edge.note, loop.time()
                self._text = await asyncio.to_thread(
                    publish, note, open_checkpoint(note, self._log), self._key
                )
                self._newest = note
        asked = self.asked
        if asked is not None and asked.published.checkpoint == open_checkpoint(self._text, self._log):
            return asked.public()
        return self._text

    def _due(self) -> bool:
        asked = self.asked
        if asked is None:
            return True
        age = self._clock() - asked.since
        return age >= RENEWED or (age >= self._seconds and asked.size != self._edge.size)

    def take(self, agency: str, size: int, line: str) -> None:
        """Take a member's cosignature of the head that is asked about; the same one again changes nothing.

        Raises:
            Refusal: CONFLICT (another head is asked about), NOT_ALLOWED (another's), REPLAY (older than the one here),
                CLOCK, LIMITED (there are as many as a note carries), CHECKPOINT, and as check_cosignature.
        """
        head, now = self.asked, int(self._clock())
        if head is None or head.size != size:
            raise Refusal("CONFLICT")
        name, data = signature_line(line.removesuffix("\n"))
        if name != agency:
            raise Refusal("NOT_ALLOWED")
        _, stamp = check_cosignature(name, data, head.published.checkpoint, self._view.directory, now)
        if not witness_key(self._view.directory, agency, data[:4]).stands(now):
            raise Refusal("STALE_KEY")
        before = head.lines.get(agency)
        if before is not None and before[0] >= stamp and before[1] != line:
            raise Refusal("REPLAY")
        if abs(now - stamp) > NEAR:
            raise Refusal("CLOCK")
        if before is None and len(head.lines) >= MOST:
            raise Refusal("LIMITED")
        head.lines[agency] = (stamp, line)
        self._seen[agency] = stamp
        self._settle(head, now)

    def take_outside(self, size: int, line: str) -> None:
        """Take an outside witness's cosignature of the head that is asked about; lines of unknown keys are passed over.

        Raises:
            Refusal: CONFLICT (another head is asked about), CHECKPOINT (it does not verify), CLOCK.
        """
        head, now = self.asked, int(self._clock())
        if head is None or head.size != size:
            raise Refusal("CONFLICT")
        name, data = signature_line(line.removesuffix("\n"))
        key = self.outside.key(name)
        if key is None or data[:4] != key.key_id:
            return
        stamp = stamp_of(key, data[4:], head.published.checkpoint)
        if abs(now - stamp) > NEAR:
            raise Refusal("CLOCK")
        head.outside[name] = (stamp, line)
        self._settle(head, now)

    def _settle(self, head: Head, now: int) -> None:
        active = taking_part(self._seen, self._view.directory, now)
        enough = len(head.lines) >= needed(active, self._floor)
        if enough and len(head.outside) >= self.outside.needed:
            self.held = head


async def kept_heads(connection: AsyncConnection) -> dict[str, str]:
    """What `Board.keep` had written, of both logs."""
    found = select(heads.c.name, heads.c.note).where(heads.c.name.in_(NAMES + KEYS_NAMES))
    return {row.name: row.note for row in await connection.execute(found)}


@dataclass
class Cosigning(Quiet):
    """A member's cosignature, at its turn."""

    nonce: bytes | None
    board: Board
    agency: str
    head: int
    line: str
    size = 1

    def decide(self, turn: Turn) -> None:
        self.board.take(self.agency, self.head, self.line)
        self.board.keep(turn)


@dataclass
class HeadAsked(Quiet):
    """A member asks which head to cosign; one that was just published is kept with it."""

    nonce: bytes | None
    board: Board
    size = 1

    def decide(self, turn: Turn) -> None:
        self.board.keep(turn)
