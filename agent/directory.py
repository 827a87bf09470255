"""The agency directory as this agent believes it: every statement replayed, never fewer (PROTOCOL.md K8-K15, L28, L29).

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
import copy
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, insert, select

from agent import own_chain
from agent.client import Relay
from agent.clock import Clock
from agent.forms import Json
from agent.logs import log
from agent.own_chain import New
from agent.policies import Policies
from agent.ring import HeldKeys
from agent.store import Store, note, read_kv, write_kv
from agent.tables import statements
from agent.trust import LogTrust
from agent.twin import Twin
from schemas.api import DirectoryPage
from schemas.canonical import b64, decode, unb64
from schemas.checkpoint import note_hash, open_checkpoint
from schemas.directory import MAX_AGE, Directory
from schemas.directory_statement import Statement
from schemas.errors import Refusal
from schemas.keys import RUNNING, Use, kid_of
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

AHEAD = 300
HELD = (*RUNNING, Use.RENEW)


class Book:
    """The directory and how fresh it is. Call `load` before anything else."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        trust: LogTrust,
        oversight: str,
        keys: HeldKeys,
        clock: Clock,
    ) -> None:
        self._store = store
        self._relay = relay
        self._trust = trust
        self._key = trust.key
        self._keys = keys
        self.held = _held(keys)
        """Ids of the running keys that this agent holds."""
        self._clock = clock
        self._view = Directory(oversight)
        self._fresh = 0
        self._lock = asyncio.Lock()
        self.policies = Policies(store, relay, lambda: self._view.policies, clock)
        self.strangers: tuple[str, ...] = ()
        """Standing keys of our own agency that this agent does not hold."""
        self._grave = False
        self.twin = Twin(store, clock)
        self._prekeys: dict[str, int] = {}  # each with its place, as far as no quorum is known to cover it

    async def load(self) -> None:
        """Replay what was believed before."""
        rows, fresh = await self._store.run(
            lambda c: (c.execute(select(statements).order_by(statements.c.n)).all(), read_kv(c, "fresh"))
        )
        for row in rows:
            said = self._view.apply(Signed(row.text.encode("ascii"), unb64(row.sig, 64)))
            if row.n >= self._trust.watched.size:
                self._prekeys |= _prekeys(said, row.n)
        self._fresh = int(fresh or 0)
        self._look_for_strangers()
        await self._store.run(self._look_for_doubts)
        await self.twin.load()
        await self.policies.load()

    @property
    def fresh(self) -> int:
        """When the relay last said that this is the whole directory; 0 for never."""
        return self._fresh

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

    async def refresh(self) -> None:
        """Fetch and replay what is new, and fetch the policies that it puts in force.

        Raises:
            Refusal: RELAY_AWAY and the relay's own; ROLLBACK, FORK, CHECKPOINT, DIRECTORY, SIGNATURE after the alarm.
        """
        async with self._lock:
            view, new, floor = self._view, list[New](), self._trust.floor
            page = await self._relay.directory(view.size)
            if page.statements:
                view = copy.deepcopy(view)
            try:
                while True:
                    signed = [Signed.from_json(item.model_dump()) for item in page.statements]
                    new += [New(one, view.apply(one), view.size - 1) for one in signed]
                    if not signed or view.size >= page.size:
                        break
                    page = await self._relay.directory(view.size)
                fresh = self._check(view, page)
            except Refusal as refusal:
                if not refusal.retry and refusal.code not in ("UNAUTHENTICATED", "CLOCK"):
                    await self._trust.report(refusal.code, page.checkpoint)
                raise
            await self._trust.head(page.checkpoint, floor)
            await self._keep(view, new, fresh)
            await self.policies.refresh()  # what it could not get it says, and asks for again next time

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
        if abs(said["ts"] - self._clock()) > AHEAD:
            raise Refusal("CLOCK")
        return max(said["ts"], self._fresh)

    async def _keep(self, view: Directory, new: Sequence[New], fresh: int) -> None:
        before, now = self._view.size, int(self._clock())
        rows = [
            {"n": one.at, "sig": b64(one.signed.signature), "text": one.signed.text.decode("ascii")}
            for one in new
        ]
        ours = [one for one in new if one.is_about(self._keys.agency)]
        mine = view.agencies.get(self._keys.agency)
        watched = self._trust.watched.grown(view.size, now)

        def work(connection: Connection) -> None:
            if rows:
                connection.execute(insert(statements), rows)
                own_chain.take(connection, ours, self.held, mine, first=before == 0, ts=now)
                self._trust.watch(connection, watched)
            self._look_for_doubts(connection)
            write_kv(connection, "fresh", str(fresh))
            self._trust.save(connection)

        await self._store.run(work)
        self._trust.watched = watched
        for one in new:
            self._prekeys |= _prekeys(one.statement, one.at)
        self._view, self._fresh = view, fresh
        if self._look_for_strangers():
            await self._store.run(lambda c: note(c, int(self._clock()), "own-key-unknown", "DIRECTORY"))
            log.error("own-key-unknown", code="DIRECTORY", count=len(self.strangers))

    def _look_for_doubts(self, connection: Connection) -> None:
        self._grave = any(row.grave for row in own_chain.doubts(connection))

    def _look_for_strangers(self) -> bool:
        mine = self._view.agencies.get(self._keys.agency)
        now, before = int(self._clock()), self.strangers
        self.strangers = tuple(
            sorted(
                key.kid
                for key in (mine.keys.values() if mine else ())
                if key.use in HELD and key.revoked is None and now < key.exp and key.kid not in self.held
            )
        )
        return bool(set(self.strangers) - set(before))


def _held(keys: HeldKeys) -> set[str]:
    running = {k.kid for k in (keys.msg, keys.auth, keys.consent, keys.witness, keys.renew)}
    return running | {prekey.key.kid for prekey in keys.prekeys}


def _prekeys(said: Statement, at: int) -> dict[str, int]:
    """The receiving key that a statement publishes, with the statement's place."""
    if said.op != "add-key" or said.body["use"] != Use.PREKEY:
        return {}
    return {kid_of(str(said.body["alg"]), unb64(str(said.body["pub"]))): at}
