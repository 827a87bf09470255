"""The agency directory as this agent believes it: every statement replayed once, none left out (K8-K15, L28, L29).

Rules of this house:
- a page counts only if replaying it gives the very root that the relay signed, and the relay says so afresh; and only
  if its checkpoint fits every one of the directory's log that was met before, also inside colleagues' messages;
- what no quorum of witnesses stands behind for a day stops sending; until then its receiving keys are sealed to only
  where there is no other;
- a view older than 24 hours seals nothing and accepts nothing;
- a standing key of our own agency that this agent does not hold stops sending, and so does what takes the agency out
  of our hands (agent.own_chain).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from sqlalchemy import Connection

from agent import directory_kept, own_chain
from agent.arriving import Arriving, Progress, reading, unseen
from agent.client import Relay
from agent.clock import Clock
from agent.forms import Json
from agent.logs import log
from agent.policies import Policies
from agent.ring import HeldKeys
from agent.store import Store, note, read_kv, write_kv
from agent.trust import LogTrust
from agent.twin import Twin
from schemas.api import DirectoryPage
from schemas.canonical import decode
from schemas.checkpoint import note_hash, open_checkpoint
from schemas.directory import MAX_AGE, Directory
from schemas.errors import Refusal
from schemas.keys import RUNNING, Use
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

AHEAD = 300
HELD = (*RUNNING, Use.RENEW)


class Book:
    """The directory and how fresh it is. Call `load` before anything else.

    `made` gives the hashes of the statements that commands in this agent's folder announced, and the keys in them.
    """

    def __init__(
        self,
        store: Store,
        relay: Relay,
        trust: LogTrust,
        oversight: str,
        keys: HeldKeys,
        clock: Clock,
        made: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._made = made
        self._store = store
        self._relay = relay
        self._trust = trust
        self._key = trust.key
        self._keys = keys
        self.held = _held(keys)
        """Ids of the running keys that this agent holds."""
        self._clock = clock
        self._view = Directory(oversight)
        self._kept = 0  # the size of the view that the store has for the next start
        self._fresh = 0
        self._lock = asyncio.Lock()
        self.policies = Policies(store, relay, lambda: self._view.policies, clock)
        self.strangers: tuple[str, ...] = ()
        """Standing keys of our own agency that this agent does not hold, and that no command here published."""
        self._grave = False
        self.grown = asyncio.Event()
        """Set when the directory has grown; whoever refreshes clears it."""
        self._told = 0
        self.twin = Twin(store, clock)
        self._prekeys: dict[str, int] = {}  # each with its place, as far as no quorum is known to cover it

    async def load(self, progress: Progress = unseen) -> None:
        """Take up what was believed before: its kept view and what came after it, or all of it replayed."""
        found = await directory_kept.load(self._store, self._view.oversight, self._trust.believed, progress)
        self._view, self._kept = found.view, found.kept
        covered = self._trust.watched.size
        self._prekeys = {kid: at for kid, at in found.prekeys.items() if at >= covered}
        await self._keep_view()
        self._fresh = int(await self._store.run(lambda c: read_kv(c, "fresh")) or 0)
        self._look_for_strangers()
        await self._store.run(self._look_for_doubts)
        await self.twin.load()
        await self.policies.load()

    @property
    def fresh(self) -> int:
        """When the relay last said that this is the whole directory; 0 for never."""
        return self._fresh

    @property
    def certain(self) -> int:
        """Our clock's second, but at most a day past the relay's last word: what ends or is erased for good goes by it.

        A clock that went wrong must undo nothing, and the relay knows what day it is.
        """
        return min(int(self._clock()), self._fresh + MAX_AGE)

    @property
    def latest(self) -> Directory:
        """The view whatever its age: for showing names, never for deciding."""
        return self._view

    def view(self) -> Directory:
        """The view, to decide with. Raises Refusal STALE_DIRECTORY."""
        if self._clock() - self._fresh > MAX_AGE:
            raise Refusal("STALE_DIRECTORY")
        covered = self._trust.watched.size
        self._prekeys = {kid: at for kid, at in self._prekeys.items() if at >= covered}
        self._view.young = frozenset(self._prekeys)
        return self._view

    def told(self, size: int | None) -> None:
        """The relay says that the directory has grown to this size: `grown` is set, once for each size."""
        if size is not None and size > max(self._told, self._view.size):
            self._told = size
            self.grown.set()

    def doubt(self) -> str | None:
        """The code of what in our own chain stops sending, or None."""
        return "OWN_STATEMENT" if self.strangers or self._grave else None

    async def own_statements(self) -> list[Json]:
        """What stands in our own chain and somebody here must say is right."""
        return [own_chain.shown(row) for row in await self._store.run(own_chain.doubts)]

    async def acknowledge(self, seqs: Iterable[int]) -> int:
        """Somebody here knows of these statements. Raises Refusal NOT_FOUND."""

        def work(c: Connection) -> int:
            count = own_chain.acknowledge(c, seqs, int(self._clock()))
            self._look_for_doubts(c)
            return count

        return await self._store.run(work)

    async def refresh(self, progress: Progress = unseen) -> None:
        """Fetch and replay what is new, and fetch the policies that it puts in force.

        Args:
            progress: told after each page; a first replay has many.

        Raises:
            Refusal: RELAY_AWAY and the relay's own; ROLLBACK, FORK, CHECKPOINT, DIRECTORY, SIGNATURE after the alarm.
        """
        async with self._lock:
            view, floor = self._view, self._trust.floor
            page = await self._page(view.size)
            if page.statements:
                view = view.copied()
            try:
                async with reading(self._store, self._keys.agency, page.size - view.size) as new:
                    while page.statements:
                        await new.take(view, [Signed.carried(item.t, item.s) for item in page.statements])
                        progress(view.size, page.size)
                        if view.size >= page.size:
                            break
                        page = await self._page(view.size)
                fresh = self._check(view, page)
            except Refusal as refusal:
                if not refusal.retry and refusal.code not in ("UNAUTHENTICATED", "CLOCK"):
                    await self._trust.report(refusal.code, page.checkpoint)
                raise
            await self._trust.head(page.checkpoint, floor)
            await self._keep(view, new, fresh)
            await self._keep_view()
            await self.policies.refresh()  # what it could not get it says, and asks for again next time

    async def _page(self, after: int) -> DirectoryPage:
        try:
            return await self._relay.directory(after)
        except Refusal as refusal:
            if refusal.code not in ("UNAUTHENTICATED", "CLOCK"):  # which of the two, is only a guess
                raise
            # Our request key may have been ended: that too stands in the directory, and the renew key may read it.
            return await self._relay.directory_as(self._keys.renew, after)

    def _check(self, view: Directory, page: DirectoryPage) -> int:
        checkpoint = open_checkpoint(page.checkpoint, self._key)
        if checkpoint.size < view.size or page.size < view.size:
            raise Refusal("ROLLBACK")
        if checkpoint.size != view.size or checkpoint.root != view.frontier.root():
            raise Refusal("FORK")
        said = decode(
            Signed.from_json(page.fresh.model_dump()).verified(self._key.public, Purpose.FRESH),
            STATEMENT_LIMIT,
        )
        if not isinstance(said, dict) or set(said) != {"note", "ts", "v"} or not isinstance(said["ts"], int):
            raise Refusal("FORM", party="relay", retry=True)
        if said["note"] != note_hash(page.checkpoint):
            raise Refusal("CHECKPOINT")
        now = self._clock()
        if abs(said["ts"] - now) > AHEAD:
            raise Refusal("CLOCK")
        before = (
            self._fresh if self._fresh <= now + AHEAD else 0
        )  # both clocks were ahead once, and are not now
        return max(said["ts"], before)

    async def _keep(self, view: Directory, new: Arriving, fresh: int) -> None:
        before, now = self._view.size, int(self._clock())
        mine = view.agencies.get(self._keys.agency)
        watched = self._trust.watched.grown(view.size, now)

        def work(connection: Connection) -> None:
            if new.count:
                new.believe(connection)
                own_chain.take(
                    connection, new.ours, self.held, mine, first=before == 0, ts=now, made=self._made()
                )
                self._trust.watch(connection, watched)
            self._look_for_doubts(connection)
            write_kv(connection, "fresh", str(fresh))
            self._trust.save(connection)

        await self._store.run(work)
        self._trust.watched = watched
        self._prekeys |= new.prekeys
        self._view, self._fresh = view, fresh
        if self._look_for_strangers():
            await self._store.run(lambda c: note(c, int(self._clock()), "own-key-unknown", "DIRECTORY"))
            log.error("own-key-unknown", code="DIRECTORY", count=len(self.strangers))

    async def _keep_view(self) -> None:
        """Keep the view for the next start, when that would have much to replay."""
        view, prekeys = self._view, dict(self._prekeys)
        if view.size - self._kept < directory_kept.EVERY:
            return
        try:
            await self._store.run(lambda c: directory_kept.keep(c, view, prekeys))
        except Refusal as refusal:  # the statements are kept all the same
            log.warning("view-not-kept", code=refusal.code)
        else:
            self._kept = view.size

    def _look_for_doubts(self, connection: Connection) -> None:
        self._grave = any(row.grave for row in own_chain.doubts(connection))

    def _look_for_strangers(self) -> bool:
        mine = self._view.agencies.get(self._keys.agency)
        now, before, ours = int(self._clock()), self.strangers, frozenset(self.held).union(self._made())
        self.strangers = tuple(
            sorted(
                key.kid
                for key in (mine.keys.values() if mine else ())
                if key.use in HELD and key.kid not in ours and key.stands_from(now)
            )
        )
        return bool(set(self.strangers) - set(before))


def _held(keys: HeldKeys) -> set[str]:
    running = {k.kid for k in (keys.msg, keys.auth, keys.consent, keys.witness, keys.renew)}
    return running | {prekey.key.kid for prekey in keys.prekeys}
