"""What an agent believes of the relay's log: one checkpoint, which never goes backwards (PROTOCOL.md L13-L16).

Rules of this house:
- every checkpoint that is met, in a receipt, a delivery, a mailbox page or a colleague's message, is held against the
  one believed; two that cannot both be true are kept, raise the alarm and stop sending;
- a relay that does not show how two of its checkpoints fit together counts as one that cannot;
- a relay that is merely away proves nothing either way: whoever asked waits.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import Connection

from agent.client import Relay
from agent.clock import Clock
from agent.logs import log
from agent.secretfile import write_new
from agent.store import Store, note, read_kv, write_kv
from schemas.checkpoint import NOTE_LIMIT, Checkpoint, LogKey, open_checkpoint
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.merkle import verify_consistency
from schemas.witness import QUORUM_AGE

KNOWN = 4096
GOSSIP = 2
EVIDENCE = "two-logs.json"


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why sending has stopped, with both notes as evidence."""

    code: str
    ts: int
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Watched:
    """Since when this agent looks for a quorum of witnesses, and the newest that it saw: time and size, 0 for none.

    `members` has each agency's newest cosignature that this agent ever saw.
    """

    since: int
    last: int = 0
    size: int = 0
    members: Mapping[str, int] = field(default_factory=dict)

    def age(self, now: float) -> float:
        """Seconds since the log was last vouched for, or since this agent began."""
        return now - max(self.since, self.last)


class LogTrust:
    """The checkpoint believed. Call `load` before anything else.

    `evidence` is where two notes that cannot both be true are written, for people to hand on.
    """

    def __init__(self, store: Store, relay: Relay, key: LogKey, clock: Clock, evidence: Path) -> None:
        self.key = key
        self.watched = Watched(0)
        self._evidence = evidence
        self.alarm: Alarm | None = None
        self._store = store
        self._relay = relay
        self._clock = clock
        self._note = ""
        self._believed: Checkpoint | None = None
        self._gossip: tuple[str, ...] = ()
        self._known: OrderedDict[tuple[int, bytes], None] = OrderedDict()
        self._lock = asyncio.Lock()
        self._dirty = False

    async def load(self) -> None:
        """Take up what was believed before; raises Refusal CHECKPOINT when the store holds another log's."""
        found, alarm, watched = await self._store.run(self._kept)
        self.watched = Watched(**json.loads(watched))
        if found is not None:
            self._gossip = tuple(json.loads(found))
            self._note = self._gossip[-1]
            self._believed = open_checkpoint(self._note, self.key)
        if alarm is not None:
            self.alarm = Alarm(**json.loads(alarm))

    def _kept(self, c: Connection) -> tuple[str | None, str | None, str]:
        watched = read_kv(c, "watched")
        if watched is None:  # a founding partnership, or a new member, has a day to find its witnesses
            watched = json.dumps(asdict(Watched(int(self._clock()))))
            write_kv(c, "watched", watched)
        return read_kv(c, "log"), read_kv(c, "alarm"), watched

    @property
    def hindrance(self) -> str | None:
        """The code of what stops sending, or None: an alarm, or no quorum of witnesses for a day (L21)."""
        if self.alarm is not None:
            return self.alarm.code
        return "QUORUM" if self.watched.age(self._clock()) > QUORUM_AGE else None

    @property
    def size(self) -> int:
        """How many leaves the believed log has."""
        return 0 if self._believed is None else self._believed.size

    @property
    def gossip(self) -> tuple[str, ...]:
        """The newest two checkpoints, to travel inside the next message."""
        return self._gossip

    async def head(self, text: str, floor: int) -> None:
        """Take the relay's newest checkpoint; `floor` is `size` as it was when the question was asked.

        Raises:
            Refusal: CHECKPOINT, ROLLBACK, FORK; RELAY_AWAY when it could not be compared yet.
        """
        checkpoint = open_checkpoint(text, self.key)
        if checkpoint.size < floor:
            await self._raise_alarm("ROLLBACK", text)
        await self.believe(text)

    async def believe(self, text: str) -> Checkpoint:
        """Hold a signed checkpoint of any age against the one believed, and believe the newer.

        Raises:
            Refusal: CHECKPOINT, FORK; RELAY_AWAY when it could not be compared yet.
        """
        checkpoint = open_checkpoint(text, self.key)
        async with self._lock:
            if (checkpoint.size, checkpoint.root) not in self._known:
                await self._compare(checkpoint, text)
                self._known[checkpoint.size, checkpoint.root] = None
                while len(self._known) > KNOWN:
                    self._known.popitem(last=False)
            if self._believed is None or checkpoint.size > self._believed.size:
                self._believed, self._note = checkpoint, text
                self._gossip = (*self._gossip, text)[-GOSSIP:]
                self._dirty = True
        return checkpoint

    def save(self, connection: Connection) -> None:
        """Write what is believed, inside the transaction of whatever rests on it."""
        if self._dirty:
            write_kv(connection, "log", json.dumps(self._gossip))
            self._dirty = False

    async def keep(self) -> None:
        """Write what is believed, when nothing else is being written."""
        if self._dirty:
            await self._store.run(self.save)

    async def report(self, code: str, theirs: str = "", ours: str | None = None) -> None:
        """Stop sending: the relay gave evidence that does not hold. The first alarm stays.

        `ours` is the note that `theirs` does not fit, when that is another than the one believed.
        """
        now = int(self._clock())
        alarm = self.alarm or Alarm(code, now, ours or self._note, theirs[:NOTE_LIMIT])
        self.alarm = alarm
        log.error("alarm", code=code, party="relay")

        def work(connection: Connection) -> None:
            write_kv(connection, "alarm", json.dumps(asdict(alarm)))
            note(connection, now, "alarm", code)

        await self._store.run(work)
        if alarm.code in ("FORK", "ROLLBACK"):
            await asyncio.to_thread(self._write_evidence, alarm)

    def _write_evidence(self, alarm: Alarm) -> None:
        two = TwoNotes(self.key, alarm.ours, alarm.theirs)
        try:
            two.heads()
            write_new(self._evidence, two.to_bytes())
        except Refusal as refusal:
            # A head of the directory's log is judged by replaying it; and what was written first stays.
            log.warning("no-evidence-file", code=refusal.code)

    async def _compare(self, checkpoint: Checkpoint, text: str) -> None:
        mine = self._believed
        if mine is None:
            return
        if checkpoint.size == mine.size:
            if checkpoint.root != mine.root:
                await self._raise_alarm("FORK", text)
            return
        old, new = sorted((mine, checkpoint), key=lambda c: c.size)
        try:
            proof = await self._relay.consistency(old.size, new.size) if old.size else ()
            verify_consistency(old.size, old.root, new.size, new.root, proof)
        except Refusal as refusal:
            if refusal.retry:
                raise
            if refusal.code == "UNAUTHENTICATED":
                # Our own key or clock is at fault: that says nothing about the log.
                raise
            await self._raise_alarm("FORK", text)

    async def _raise_alarm(self, code: str, text: str) -> None:
        await self.report(code, text)
        raise Refusal(code)
