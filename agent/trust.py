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
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from agent.client import Relay
from agent.clock import Clock
from agent.logs import log
from agent.store import Store, note, read_kv, write_kv
from schemas.checkpoint import Checkpoint, LogKey, open_checkpoint
from schemas.errors import Refusal
from schemas.merkle import verify_consistency

KNOWN = 4096
GOSSIP = 2


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why sending has stopped, with both notes as evidence."""

    code: str
    ts: int
    ours: str
    theirs: str


class LogTrust:
    """The checkpoint believed. Call `load` before anything else."""

    def __init__(self, store: Store, relay: Relay, key: LogKey, clock: Clock) -> None:
        self.key = key
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
        found, alarm = await self._store.run(lambda c: (read_kv(c, "log"), read_kv(c, "alarm")))
        if found is not None:
            self._gossip = tuple(json.loads(found))
            self._note = self._gossip[-1]
            self._believed = open_checkpoint(self._note, self.key)
        if alarm is not None:
            self.alarm = Alarm(**json.loads(alarm))

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

    async def report(self, code: str, theirs: str = "") -> None:
        """Stop sending: the relay gave evidence that does not hold. The first alarm stays."""
        now = int(self._clock())
        alarm = self.alarm or Alarm(code, now, self._note, theirs[:16_000])
        self.alarm = alarm
        log.error("alarm", code=code, party="relay")

        def work(connection: Connection) -> None:
            write_kv(connection, "alarm", json.dumps(asdict(alarm)))
            note(connection, now, "alarm", code)

        await self._store.run(work)

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
