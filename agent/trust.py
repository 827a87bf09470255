"""What an agent believes of the relay's two logs: one checkpoint of each, which never goes backwards (L13-L16, L28).

Rules of this house:
- every checkpoint that is met, in a receipt, a delivery, a mailbox page, a page of the directory or a colleague's
  message, is held against the one believed of its log; two that cannot both be true are kept, raise the alarm and stop
  sending;
- a relay that does not show how two of its checkpoints fit together counts as one that cannot;
- a relay that is merely away proves nothing either way: whoever asked waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, delete

from agent.client import Relay
from agent.clock import Clock
from agent.logs import log
from agent.secretfile import write_new
from agent.store import Store, note, read_kv, write_kv
from agent.tables import kv
from schemas import api
from schemas.checkpoint import NOTE_LIMIT, Checkpoint, LogKey, open_checkpoint, own_note
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.loss import Accepted, read_word
from schemas.merkle import verify_consistency
from schemas.signing import Signed
from schemas.witness import AHEAD, QUORUM_AGE

T = TypeVar("T")
KNOWN = 4096
GOSSIP = 2
EVIDENCE = "two-logs.json"
KEYS_EVIDENCE = "two-directories.json"


@dataclass(frozen=True, slots=True)
class Place:
    """One of the relay's two logs, as an agent knows it: where it is asked, what its state is called in the store."""

    path: str = api.LOG
    prefix: str = ""

    def name(self, what: str) -> str:
        return self.prefix + what


AUDIT = Place()
KEYS = Place(api.KEYS, "keys-")


@dataclass(frozen=True, slots=True)
class Alarm:
    """Why sending has stopped, with both notes as evidence."""

    code: str
    ts: int
    ours: str
    theirs: str


@dataclass(slots=True)
class Alarms:
    """The one alarm of an agent, whichever log it is about. The first stays."""

    first: Alarm | None = None


class Floor(NamedTuple):
    """How many leaves the believed log had, and how many losses this agency had gone on from."""

    size: int
    losses: int


@dataclass(frozen=True, slots=True)
class Watched:
    """Since when this agent looks for a quorum of witnesses, and the newest that it saw: time and size, 0 for none.

    `members` has each agency's newest cosignature that this agent ever saw. `ahead` has the sizes to which the view
    grew and that no quorum stands behind yet, each with when it did.
    """

    since: int
    last: int = 0
    size: int = 0
    members: Mapping[str, int] = field(default_factory=dict)
    ahead: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Watched:
        found = cls(**json.loads(text))
        return replace(found, ahead=tuple((size, ts) for size, ts in found.ahead))

    def age(self, now: float) -> float:
        """Seconds since the log was last vouched for, or since this agent began; or since it holds what nobody does."""
        return now - min([max(self.since, self.last), *(ts for _, ts in self.ahead[:1])])

    def grown(self, size: int, now: int) -> Watched:
        """The view has this size now. An old quorum that is served again and again does not cover it."""
        if size <= max([self.size, *(known for known, _ in self.ahead)]):
            return self
        return replace(self, ahead=(*self.ahead, (size, now)))

    def vouched(self, last: int, size: int) -> Watched:
        """A quorum stood behind this size at this time."""
        ahead = tuple((known, ts) for known, ts in self.ahead if known > size)
        return replace(self, last=last, size=max(size, self.size), ahead=ahead)


class LogTrust:
    """The checkpoint believed of one log. Call `load` before anything else.

    Args:
        evidence: where two notes that cannot both be true are written, for people to hand on.
        beside: the directory's, for the audit log's: what an agent sends stands on both.
    """

    def __init__(
        self,
        store: Store,
        relay: Relay,
        key: LogKey,
        clock: Clock,
        evidence: Path,
        place: Place = AUDIT,
        beside: LogTrust | None = None,
    ) -> None:
        self.key = key
        self.place = place
        self.watched = Watched(0)
        self.beside = beside
        self.doubt: Callable[[], str | None] = lambda: None
        """The code of what else stops sending, beside the logs."""
        self.alarms: Alarms = Alarms() if beside is None else beside.alarms
        self._evidence = evidence
        self._store = store
        self._relay = relay
        self._clock = clock
        self._note = ""
        self._believed: Checkpoint | None = None
        self._gossip: tuple[str, ...] = ()
        self._known: OrderedDict[tuple[int, bytes], None] = OrderedDict()
        self.losses: tuple[Accepted, ...] = ()
        """Losses that this agency has gone on from."""
        self._lock = asyncio.Lock()
        self._dirty = False

    async def load(self) -> None:
        """Take up what was believed before; raises Refusal CHECKPOINT when the store holds another log's."""
        found, alarm, watched, losses = await self._store.run(self._kept)
        self.watched = Watched.parse(watched)
        if found is not None:
            self._gossip = tuple(json.loads(found))
            self._note = self._gossip[-1]
            self._believed = open_checkpoint(self._note, self.key)
        if alarm is not None:
            self.alarm = Alarm(**json.loads(alarm))
        signed = (Signed.from_json(one) for one in json.loads(losses or "[]"))
        self.losses = tuple(read_word(one, self.key) for one in signed)

    def _kept(self, c: Connection) -> tuple[str | None, str | None, str, str | None]:
        watched = read_kv(c, self.place.name("watched"))
        if watched is None:  # a founding partnership, or a new member, has a day to find its witnesses
            watched = json.dumps(asdict(Watched(int(self._clock()))))
            write_kv(c, self.place.name("watched"), watched)
        losses = read_kv(c, self.place.name("losses"))
        return read_kv(c, self.place.name("log")), read_kv(c, "alarm"), watched, losses

    @property
    def alarm(self) -> Alarm | None:
        """The first alarm about either log."""
        return self.alarms.first

    @alarm.setter
    def alarm(self, alarm: Alarm | None) -> None:
        self.alarms.first = alarm

    @property
    def unwitnessed(self) -> bool:
        """Whether no quorum of witnesses stood behind this log for a day (L21)."""
        return self.watched.age(self._clock()) > QUORUM_AGE

    @property
    def hindrance(self) -> str | None:
        """The code of what stops sending, or None: an alarm, no quorum of witnesses for a day (L21), or a doubt."""
        if self.alarm is not None:
            return self.alarm.code
        if self.unwitnessed or (self.beside is not None and self.beside.unwitnessed):
            return "QUORUM"
        return self.doubt()

    @property
    def size(self) -> int:
        """How many leaves the believed log has."""
        return 0 if self._believed is None else self._believed.size

    @property
    def gossip(self) -> tuple[str, ...]:
        """The newest two checkpoints, and those of the log beside, to travel inside the next message."""
        return self._gossip + (() if self.beside is None else self.beside.gossip)

    async def weigh(self, text: str, sealed: int) -> None:
        """Hold what a colleague gossiped against the log that it names. Raises as `believe`.

        A lost head in a message that was sealed before the loss says nothing new.
        """
        origin = text.partition("\n")[0]
        if self.beside is not None and origin == self.beside.key.name:
            await self.beside.weigh(text, sealed)
        elif not self._was_lost(text, sealed):
            await self.believe(text)

    def _was_lost(self, text: str, sealed: int) -> bool:
        head = open_checkpoint(text, self.key)
        return any(loss.lost(head) and sealed <= loss.ts + AHEAD for loss in self.losses)

    @property
    def floor(self) -> Floor:
        """What the relay's answer to a question that is asked now must not be below."""
        return Floor(self.size, len(self.losses))

    @property
    def believed(self) -> Checkpoint | None:
        """The newest head that this agent believes."""
        return self._believed

    async def head(self, text: str, floor: Floor) -> None:
        """Take the relay's newest checkpoint; `floor` as it was when the question was asked.

        Raises:
            Refusal: CHECKPOINT, ROLLBACK, FORK; RELAY_AWAY when it could not be compared yet.
        """
        checkpoint = open_checkpoint(text, self.key)
        if checkpoint.size < floor.size and floor.losses == len(self.losses):
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
                self._believed = checkpoint
                self._note = own_note(text, self.key)  # a colleague has no use for the others' lines
                self._gossip = (*self._gossip, self._note)[-GOSSIP:]
                self._dirty = True
        return checkpoint

    async def go_on(self, text: str, loss: Accepted, act: Callable[[Connection], T]) -> T:
        """Believe this head from now on, whatever was believed before, and `act` in the same transaction (L27).

        Danger: only for who has checked the loss, the alarm that it explains, and that the head continues the log.
        """
        async with self._lock:
            losses, gossip, head = (
                (*self.losses, loss),
                (own_note(text, self.key),),
                open_checkpoint(text, self.key),
            )

            def work(connection: Connection) -> T:
                write_kv(connection, self.place.name("log"), json.dumps(gossip))
                write_kv(
                    connection, self.place.name("losses"), json.dumps([x.signed.to_json() for x in losses])
                )
                connection.execute(delete(kv).where(kv.c.name == "alarm"))
                note(connection, int(self._clock()), "alarm-lifted", self.alarm.code if self.alarm else "")
                return act(connection)

            done = await self._store.run(work)
            self.alarm, self.losses, self._believed = None, losses, head
            self._gossip, self._note, self._dirty = gossip, gossip[-1], False
            self._known.clear()
            await asyncio.to_thread(self._put_evidence_by)
        return done

    def _put_evidence_by(self) -> None:
        """Leave room for the evidence of another alarm."""
        with contextlib.suppress(FileNotFoundError):
            self._evidence.rename(self._evidence.with_suffix(f".lifted-{int(self._clock())}.json"))

    def save(self, connection: Connection) -> None:
        """Write what is believed, inside the transaction of whatever rests on it, which may still fail: see `keep`."""
        if self._dirty:
            write_kv(connection, self.place.name("log"), json.dumps(self._gossip))
        if self.beside is not None:
            self.beside.save(connection)

    async def keep(self) -> None:
        """Write what is believed, and know that it is written: only a transaction that ended well says so."""
        ours = [one for one in (self, self.beside) if one is not None and one._dirty]  # noqa: SLF001
        written = [one._gossip for one in ours]  # noqa: SLF001
        if ours:
            await self._store.run(self.save)
        for one, gossip in zip(ours, written, strict=True):
            one._dirty = one._gossip is not gossip  # noqa: SLF001 -- something newer was believed meanwhile

    def watch(self, connection: Connection, fresh: Watched) -> None:
        """Remember what was seen of witnesses."""
        write_kv(connection, self.place.name("watched"), json.dumps(asdict(fresh)))

    async def report(self, code: str, theirs: str = "", ours: str | None = None) -> None:
        """Stop sending: the relay gave evidence that does not hold. The first alarm stays.

        `ours` is the note that `theirs` does not fit, when that is another than the one believed.
        """
        now = int(self._clock())
        found = Alarm(code, now, ours or self._note, theirs[:NOTE_LIMIT])
        self.alarm = alarm = self.alarm or found
        log.error("alarm", code=code, party="relay")

        def work(connection: Connection) -> None:
            write_kv(connection, "alarm", json.dumps(asdict(alarm)))
            note(connection, now, "alarm", code)

        await self._store.run(work)
        if code in ("FORK", "ROLLBACK"):
            await asyncio.to_thread(self._write_evidence, found)

    def _write_evidence(self, alarm: Alarm) -> None:
        two = TwoNotes(self.key, alarm.ours, alarm.theirs)
        try:
            two.heads()
            write_new(self._evidence, two.to_bytes())
        except Refusal as refusal:
            log.warning("no-evidence-file", code=refusal.code)  # and what was written first stays

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
            proof = await self.consistency(old.size, new.size) if old.size else ()
            verify_consistency(old.size, old.root, new.size, new.root, proof)
        except Refusal as refusal:
            if refusal.retry:
                raise
            if refusal.code == "UNAUTHENTICATED":
                # Our own key or clock is at fault: that says nothing about the log.
                raise
            await self._raise_alarm("FORK", text)

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """How the relay says that two sizes of this log fit together."""
        return await self._relay.consistency(old, new, self.place.path)

    async def _raise_alarm(self, code: str, text: str) -> None:
        await self.report(code, text)
        raise Refusal(code)
