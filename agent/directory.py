"""The agency directory as this agent believes it: every statement replayed, never fewer (PROTOCOL.md K8-K15).

Rules of this house:
- a page counts only if replaying it gives the very root that the relay signed, and the relay says so afresh;
- a view older than 24 hours seals nothing and accepts nothing;
- a standing key of our own agency that this agent does not hold raises the alarm.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable

from sqlalchemy import Connection, insert, select

from agent.client import Relay
from agent.clock import Clock
from agent.logs import log
from agent.policies import Policies
from agent.store import Store, note, read_kv, write_kv
from agent.tables import statements
from agent.trust import LogTrust
from schemas.api import DirectoryPage
from schemas.canonical import b64, decode, unb64
from schemas.checkpoint import LogKey, note_hash, open_checkpoint
from schemas.directory import MAX_AGE, Directory
from schemas.errors import Refusal
from schemas.keyring import AgentKeys
from schemas.keys import RUNNING, Use
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
        key: LogKey,
        oversight: str,
        keys: AgentKeys,
        clock: Clock,
    ) -> None:
        self._store = store
        self._relay = relay
        self._trust = trust
        self._key = key
        self._keys = keys
        self._clock = clock
        self._view = Directory(oversight)
        self._fresh = 0
        self._lock = asyncio.Lock()
        self.policies = Policies(store, relay, lambda: self._view.policies, clock)
        self.strangers: tuple[str, ...] = ()
        """Standing keys of our own agency that this agent does not hold."""

    async def load(self) -> None:
        """Replay what was believed before."""
        rows, fresh = await self._store.run(
            lambda c: (c.execute(select(statements).order_by(statements.c.n)).all(), read_kv(c, "fresh"))
        )
        for row in rows:
            self._view.apply(Signed(row.text.encode("ascii"), unb64(row.sig, 64)))
        self._fresh = int(fresh or 0)
        self._look_for_strangers()
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
        return self._view

    async def refresh(self) -> None:
        """Fetch and replay what is new, and fetch the policies that it puts in force.

        Raises:
            Refusal: RELAY_AWAY and the relay's own; ROLLBACK, FORK, CHECKPOINT, DIRECTORY, SIGNATURE after the alarm.
        """
        async with self._lock:
            view, new = self._view, list[Signed]()
            page = await self._relay.directory(view.size)
            if page.statements:
                view = copy.deepcopy(view)
            try:
                while True:
                    signed = [Signed.from_json(item.model_dump()) for item in page.statements]
                    for statement in signed:
                        view.apply(statement)
                    new += signed
                    if not signed or view.size >= page.size:
                        break
                    page = await self._relay.directory(view.size)
                fresh = self._check(view, page)
            except Refusal as refusal:
                if not refusal.retry and refusal.code not in ("UNAUTHENTICATED", "CLOCK"):
                    await self._trust.report(refusal.code, page.checkpoint)
                raise
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

    async def _keep(self, view: Directory, new: Iterable[Signed], fresh: int) -> None:
        rows = [
            {"n": at, "sig": b64(signed.signature), "text": signed.text.decode("ascii")}
            for at, signed in enumerate(new, start=self._view.size)
        ]

        def work(connection: Connection) -> None:
            if rows:
                connection.execute(insert(statements), rows)
            write_kv(connection, "fresh", str(fresh))

        await self._store.run(work)
        self._view, self._fresh = view, fresh
        if self._look_for_strangers():
            await self._store.run(lambda c: note(c, int(self._clock()), "own-key-unknown", "DIRECTORY"))
            log.error("own-key-unknown", code="DIRECTORY", count=len(self.strangers))

    def _look_for_strangers(self) -> bool:
        mine = self._view.agencies.get(self._keys.agency)
        keys = self._keys
        held = {k.kid for k in (keys.msg, keys.auth, keys.consent, keys.witness, keys.renew)}
        held |= {prekey.key.kid for prekey in keys.prekeys}
        now, before = int(self._clock()), self.strangers
        self.strangers = tuple(
            sorted(
                key.kid
                for key in (mine.keys.values() if mine else ())
                if key.use in HELD and key.revoked is None and now < key.exp and key.kid not in held
            )
        )
        return bool(set(self.strangers) - set(before))
