"""This agency as a witness of both logs, and whether enough others are (PROTOCOL.md L18-L22, L28).

Rules of this house:
- a head is cosigned only after it was shown to extend the last one that this key cosigned, and after that is on the
  disk: a crash in between costs a cosignature, never the order;
- what is remembered never goes back, also when the store does: our own lines at the relay are taken up again;
- after an alarm nothing is cosigned any more;
- missing cosignatures are no evidence against anybody; they stop sending after a day, because by then a log that only
  this agency is shown would pass for the true one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from agent.client import Relay
from agent.clock import Clock
from agent.directory import Book
from agent.logs import log
from agent.ring import HeldKeys
from agent.store import Store, note, read_kv, write_kv
from agent.trust import KEYS, LogTrust, Watched
from schemas.api import WitnessPage
from schemas.checkpoint import Checkpoint, open_checkpoint
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.loss import Accepted
from schemas.merkle import verify_consistency
from schemas.partnership import Partnership
from schemas.witness import (
    Published,
    WitnessKey,
    cosign,
    cosigned_at,
    needed,
    open_published,
    quorum_time,
    taking_part,
    witnesses,
)

LATE = 2 * 3600
"""Heads are published at least once an hour: a quorum older than this is missing one."""


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The newest head that this key cosigned, or was about to: its note and the time that was signed."""

    note: str
    ts: int
    checkpoint: Checkpoint


class Watch:
    """Cosigns what the relay publishes of one log, and counts who else does. Call `load` before anything else.

    `beside` is the directory's log's, for the audit log's: `round` goes through both.
    """

    def __init__(
        self,
        store: Store,
        relay: Relay,
        book: Book,
        trust: LogTrust,
        keys: HeldKeys,
        partnership: Partnership,
        clock: Clock,
        beside: Watch | None = None,
    ) -> None:
        self.beside = beside
        self._place = trust.place
        self._what = "the directory of agencies" if trust.place is KEYS else "the relay's log"
        self._store = store
        self._relay = relay
        self._book = book
        self._trust = trust
        self._keys = keys
        of_keys = trust.place is KEYS
        self._log = trust.key
        self._mldsa = partnership.keys_log_mldsa_key if of_keys else partnership.log_mldsa_key
        self._floor, self._outside = partnership.charter.witnesses, partnership.outside
        self._clock = clock
        self._mine: Cosigned | None = None
        self._lock = asyncio.Lock()
        self.kick = asyncio.Event()
        """Set when sending may go on."""

    async def load(self) -> None:
        """Take up what was cosigned before. Raises Refusal CHECKPOINT when the store holds another log's."""
        found = await self._store.run(lambda c: read_kv(c, self._place.name("cosigned")))
        if found is not None:
            kept = json.loads(found)
            self._mine = Cosigned(kept["note"], kept["ts"], open_checkpoint(kept["note"], self._log))

    @property
    def size(self) -> int:
        """How many leaves the last head had that this key cosigned; 0 for none."""
        return 0 if self._mine is None else self._mine.checkpoint.size

    @property
    def cosigned(self) -> Checkpoint | None:
        """The last head that this key cosigned."""
        return None if self._mine is None else self._mine.checkpoint

    def go_back(self, connection: Connection, loss: Accepted) -> None:
        """What is cosigned next continues the head that the relay went back to: the last one was lost (L27)."""
        mine = self._mine
        if mine is not None:
            self._mine = Cosigned(loss.loss.now, mine.ts, loss.now)
            kept = json.dumps({"note": loss.loss.now, "ts": mine.ts})
            write_kv(connection, self._place.name("cosigned"), kept)

    def wanted(self) -> int:
        """How many members must cosign, as things are now."""
        active = taking_part(self._trust.watched.members, self._book.latest, int(self._clock()))
        return needed(active, self._floor)

    def shown(self) -> dict[str, object]:
        """For people: how many members must vouch for this log, when they last did, and in a sentence how that is."""
        watched, now = self._trust.watched, self._clock()
        if self._trust.unwitnessed:
            state, say = "stopped", Refusal("QUORUM").say
        elif watched.age(now) > LATE:
            state, say = (
                "late",
                f"Too few agencies vouch for {self._what}. Sending stops when that lasts a day.",
            )
        elif not watched.last:
            state, say = (
                "waiting",
                f"Too few agencies have vouched for {self._what} yet. Their agents may be off.",
            )
        else:
            state, say = "agreed", f"Enough agencies vouch for {self._what}."
        view = self._book.latest
        return {
            "state": state,
            "say": say,
            "needed": self.wanted(),
            "taking_part": taking_part(watched.members, view, int(now)),
            "outside_needed": self._outside.needed,
            "members": sum(agency.member for agency in view.agencies.values()),
            "last": watched.last,
            "size": watched.size,
            "cosigned": self.size,
        }

    async def round(self) -> bool:
        """Ask for the head, cosign it, count, of both logs; whether those that are asked about have their quorum.

        Raises:
            Refusal: RELAY_AWAY and the relay's own; STALE_DIRECTORY; CHECKPOINT; ROLLBACK, FORK after the alarm.
        """
        settled = await self._own_round()
        if self.beside is not None:
            settled = await self.beside.round() and settled
            if self.beside.kick.is_set():
                self.beside.kick.clear()
                self.kick.set()
        return settled

    async def _own_round(self) -> bool:
        async with self._lock:
            if self._trust.alarm is not None:
                return True
            page = await self._relay.head(self._place.path)
            asked = self._opened(page.asked)
            await self._take_up(page, asked)
            if self._is_witness() and not self._cosigned(asked):
                page = await self._cosign(asked)
            return await self._count(page)

    def _opened(self, text: str) -> Published:
        return open_published(text, self._log, self._mldsa)

    # --- cosigning

    def _is_witness(self) -> bool:
        me = self._book.view().agencies.get(self._keys.agency)
        key = None if me is None else me.keys.get(self._keys.witness.kid)
        return (
            me is not None
            and me.member
            and key is not None
            and key.use == Use.WITNESS
            and key.stands(int(self._clock()))
        )

    def _stamps(self, published: Published, publics: Iterable[bytes]) -> list[int]:
        """The times of our own true cosignatures on a head, by any of these keys."""
        found = list[int]()
        for own in (WitnessKey(self._keys.agency, public) for public in publics):
            for signature in own.own(published.lines):
                try:
                    found.append(cosigned_at(signature, published.checkpoint, own.public))
                except Refusal:
                    log.warning("own-line-false", code="SIGNATURE")
        return found

    def _ours(self) -> set[bytes]:
        """Every witness key that this agency ever published: whichever it was, what it cosigned binds the next."""
        me = self._book.latest.agencies.get(self._keys.agency)
        known = () if me is None else (key.public for key in me.keys.values() if key.use == Use.WITNESS)
        return {self._keys.witness.public, *known}

    def _cosigned(self, asked: Published) -> bool:
        mine = self._mine
        if mine is not None and int(self._clock()) <= mine.ts:
            return True  # a clock that went back must not sign the same second twice
        return bool(self._stamps(asked, [self._keys.witness.public]))

    async def _take_up(self, page: WitnessPage, asked: Published) -> None:
        """Remember what this key cosigned and this store has forgotten, because it is an old copy."""
        for text in (page.held, page.asked):
            published = asked if text == page.asked or text is None else self._opened(text)
            stamps = self._stamps(published, self._ours())
            if stamps and self._is_news(published.checkpoint):
                await self._extend(published, max(stamps))

    def _is_news(self, checkpoint: Checkpoint) -> bool:
        mine = self._mine
        return mine is None or (checkpoint.size >= mine.checkpoint.size and checkpoint != mine.checkpoint)

    async def _cosign(self, asked: Published) -> WitnessPage:
        await self._trust.believe(asked.note)
        stamp = int(self._clock())
        await self._extend(asked, stamp)
        line = cosign(asked.checkpoint, self._keys.agency, self._keys.witness, stamp)
        return await self._relay.post_cosignature(asked.checkpoint.size, line, self._place.path)

    async def _extend(self, published: Published, stamp: int) -> None:
        """Move what is remembered, durably, once the head is shown to extend it."""
        new, mine = published.checkpoint, self._mine
        if mine is not None:
            await self._follows(mine, new, published.note)
        fresh = Cosigned(published.note, stamp, new)

        def work(connection: Connection) -> None:
            write_kv(
                connection, self._place.name("cosigned"), json.dumps({"note": fresh.note, "ts": fresh.ts})
            )
            self._trust.save(connection)

        await self._store.run(work)
        self._mine = fresh

    async def _follows(self, mine: Cosigned, new: Checkpoint, text: str) -> None:
        old = mine.checkpoint
        if new.size < old.size:
            await self._alarm("ROLLBACK", text, mine)
        if new.size == old.size:
            if new.root != old.root:
                await self._alarm("FORK", text, mine)
            return
        try:
            proof = await self._trust.consistency(old.size, new.size) if old.size else ()
            verify_consistency(old.size, old.root, new.size, new.root, proof)
        except Refusal as refusal:
            if refusal.retry or refusal.code == "UNAUTHENTICATED":
                raise
            await self._alarm("FORK", text, mine)

    async def _alarm(self, code: str, text: str, mine: Cosigned) -> None:
        await self._trust.report(code, text, mine.note)
        raise Refusal(code)

    # --- counting

    async def _count(self, page: WitnessPage) -> bool:
        view, settled = self._book.view(), False
        for text in (page.held, page.asked):
            if text is not None:
                settled = await self._weigh(self._opened(text), view)
        return settled

    async def _weigh(self, published: Published, view: Directory) -> bool:
        now, watched = int(self._clock()), self._trust.watched
        found = witnesses(published, view, now)
        members = {**watched.members, **{a: max(t, watched.members.get(a, 0)) for a, t in found.items()}}
        outside = self._outside.seen(published, now)
        stood = quorum_time(found, needed(taking_part(members, view, now), self._floor))
        stood = self._outside.stood(stood, outside)
        if found or outside:
            await self._trust.believe(published.note)
        fresh = replace(watched, members=members)
        size = published.checkpoint.size
        if stood is not None and (stood > watched.last or size > watched.size):
            fresh = fresh.vouched(max(min(stood, now), watched.last), size)
        if fresh != watched:
            await self._keep(fresh, now)
        return stood is not None

    async def _keep(self, fresh: Watched, now: int) -> None:
        hindered = self._trust.unwitnessed
        self._trust.watched = fresh

        def work(connection: Connection) -> None:
            self._trust.watch(connection, fresh)
            self._trust.save(connection)
            if hindered and not self._trust.unwitnessed:
                note(connection, now, "witnessed-again", "")

        await self._store.run(work)
        if hindered:
            self.kick.set()
