"""A running agent: everything is built here, once, and its loops live here.

Rules of this house:
- a loop that is refused waits and tries again, longer each time; a loop never ends by itself;
- stopping lets what is being written finish: the store ends each transaction, and every step can be done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web
from sqlalchemy import Row, delete

from agent.alarms import AlarmDesk
from agent.announced import announced
from agent.arriving import Steps
from agent.client import Relay, RelayRefusal
from agent.clock import Clock
from agent.consent import ConsentDesk
from agent.consent_acts import Agreements
from agent.consent_showing import AgreementView
from agent.desk import build as build_desk
from agent.directory import Book
from agent.folders import Folders, make_folders
from agent.inbox import Inbox
from agent.limits import TOKEN_LIMIT
from agent.logs import log
from agent.nondisclosure import Nondisclosures
from agent.notices import Notices
from agent.office import Office
from agent.outbox import Outbox
from agent.overrides import OverrideDesk
from agent.posting import Posting
from agent.receipts import Receipts
from agent.reconciliation import Reconciliation
from agent.ring import Present, Ring
from agent.rotation import Rotation
from agent.secretfile import read_secret
from agent.settings import Settings
from agent.showing import Showing
from agent.signatures import Signatures
from agent.statement import Statements
from agent.store import Store
from agent.tables import seen
from agent.taking_up import Handed, take_up
from agent.trust import EVIDENCE, KEYS, KEYS_EVIDENCE, LogTrust
from agent.witness import Watch
from schemas.errors import Refusal
from schemas.keyring import AgentKeys
from schemas.keys import Use
from schemas.partnership import Partnership

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
SCAN_EVERY = 0.5
TEND_EVERY = 600.0
RECONCILE_EVERY = 900.0
ROTATE_EVERY = 3600.0


@dataclass(slots=True)
class World:
    """What an agent is given from outside: time and randomness."""

    clock: Clock
    draw: Callable[[int], bytes]
    jitter: Callable[[], float]


class Agent:
    """One agency's running agent."""

    def __init__(
        self,
        settings: Settings,
        keys: Ring,
        partnership: Partnership,
        store: Store,
        relay: Relay,
        world: World,
    ) -> None:
        charter, clock, draw = partnership.charter, world.clock, world.draw
        self.settings = settings
        self.store = store
        self._clock = clock
        self._jitter = world.jitter
        self._draw = draw
        self.relay = relay
        home = settings.home
        self.keys_trust = LogTrust(store, relay, partnership.keys_log_key, clock, home / KEYS_EVIDENCE, KEYS)
        self.trust = LogTrust(
            store, relay, partnership.log_key, clock, home / EVIDENCE, beside=self.keys_trust
        )
        self.book = Book(
            store, relay, self.keys_trust, charter.oversight, keys, clock, partial(announced, home)
        )
        self.trust.doubt = self.book.doubt
        self.keys_watch = Watch(store, relay, self.book, self.keys_trust, keys, partnership, clock)
        self.watch = Watch(store, relay, self.book, self.trust, keys, partnership, clock, self.keys_watch)
        self.consent = ConsentDesk(store, self.relay, lambda: self.book.latest, keys, clock, draw)
        self.posting = Posting(store, self.relay, Signatures(self.book, keys, draw), clock)
        self.receipts = Receipts(store, self.relay, self.trust, keys, clock)
        self.outbox = Outbox(
            store, self.relay, self.book, self.trust, self.consent, keys, clock, draw, world.jitter
        )
        self.reconciliation = Reconciliation(store, self.outbox, self.book, self.trust, keys, clock, draw)
        self.notices = Notices(store, self.book, self.outbox, keys, clock)
        self.inbox = Inbox(
            store, self.relay, self.book, self.trust, self.consent, self.notices, self.receipts, keys, clock,
            self._hand_over, self.reconciliation.take, writes=settings.folders,
        )  # fmt: skip
        self.view = AgreementView(store, self.book, keys.agency, clock)
        self.agreements = Agreements(
            store, self.book, self.consent, self.view, self.posting, keys, clock, draw
        )
        self.overrides = OverrideDesk(store, self.relay, self.book, keys, clock, draw)
        self.office = Office(
            store,
            self.book,
            self.trust,
            self.outbox,
            self.receipts,
            self.consent,
            self.agreements,
            self.overrides,
            self.watch,
            keys,
            clock,
            draw,
        )
        self.rotation = Rotation(store, relay, self.book, keys, clock, draw)
        self.showing = Showing(store, self.book, self.trust, self.watch, keys, clock)
        self.statements = Statements(store, self.book, keys, clock)
        self.nondisclosures = Nondisclosures(store, self.book, self.posting, keys, clock, draw)
        self.alarms = AlarmDesk(
            store, relay, self.book, self.trust, self.watch, self.outbox, partnership.keys_log_key, clock
        )
        self.folders: Folders | None = None
        if settings.folders:
            make_folders(settings.home)
            self.folders = Folders(
                settings.home, store, self.office, self.showing, keys.subject, settings.settle, clock
            )
        self.handed: Handed | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._runner: web.AppRunner | None = None
        self.port = 0

    @classmethod
    async def open(
        cls,
        settings: Settings,
        keys: AgentKeys,
        partnership: Partnership,
        world: World,
        line: type[Relay] = Relay,
    ) -> Agent:
        """An agent with its store open and what it believed before; nothing runs yet.

        Raises:
            Refusal: STORE, STORE_BUSY, DISK_FULL, CHECKPOINT.
        """
        charter = partnership.charter
        held = Ring(keys)
        relay = line(charter.relay, charter.authority, Present(held, Use.AUTH), world.clock, world.draw)
        store = await Store.open(settings.at(settings.store), keys.store)
        try:
            agent = cls(settings, held, partnership, store, relay, world)
            await agent.rotation.load()
            await agent.keys_trust.load()
            await agent.trust.load()
            await agent.book.load(Steps("directory-loaded"))
            held.choose(agent.book.latest, world.clock())
            await agent.keys_watch.load()
            await agent.watch.load()
        except BaseException:
            await store.close()
            raise
        return agent

    async def take_up(
        self, path: Path, passphrase: bytes, keys: AgentKeys, again: Callable[[], bytes] | None = None
    ) -> None:
        """Take what can be erased out of the key file at `path`, and what the administrator laid beside it.

        Args:
            again: reads the passphrase once more, for what is laid there later; None when somebody typed it.

        Raises:
            Refusal: FILE, KEYFILE, DISK_FULL, STORE.
        """
        await take_up(path, passphrase, keys, self.store, int(self._clock()), self._draw)
        self.handed = Handed(path.parent, again, keys.agency, self.store, self._clock)
        await self.rotation.load()

    async def start(self) -> None:
        """Listen, and begin every loop. Raises Refusal FILE, SETTINGS (the port is taken)."""
        token = (
            read_secret(self.settings.at(self.settings.token), TOKEN_LIMIT).decode("ascii", "replace").strip()
        )
        application = build_desk(
            self.office,
            self.showing,
            self.statements,
            self.nondisclosures,
            self.alarms,
            self.rotation,
            token,
            self._hosts,
        )
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=5.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self.settings.host, self.settings.port).start()
        except OSError as error:
            raise Refusal("SETTINGS", "The port in `listen` is taken.", detail=("listen",)) from error
        self.port = self._runner.addresses[0][1]
        write_address(self.settings, self.port)
        loops: dict[str, Callable[[], Awaitable[None]]] = {
            "directory": self._refresh,
            "receive": self._receive,
            "send": self._send,
            "tend": self._tend,
            "reconcile": self._reconcile,
            "witness": self._witness,
            "rotate": self._rotate,
        }
        if self.folders is not None:
            loops["folders"] = self._scan
        self._tasks = [
            asyncio.create_task(self._steadily(name, work), name=name) for name, work in loops.items()
        ]
        log.info("running", port=self.port)

    async def close(self) -> None:
        """Stop listening, end the loops, close the store."""
        if self._runner is not None:
            await self._runner.cleanup()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.relay.close()
        await self.store.close()
        log.info("stopped")

    # --- loops: each does one round and returns; `_steadily` goes round

    async def _receive(self) -> None:
        progressed = await self.inbox.collect(self.settings.wait)
        self._reached()
        if self.folders is not None:
            await self.folders.tell_recalls()
            await self.folders.tell_doubts()
        await self.trust.keep()
        if not progressed:
            await asyncio.sleep(5.0)

    async def _send(self) -> None:
        kicks = (
            self.outbox.kick, self.consent.posted, self.receipts.kick, self.watch.kick, self.overrides.kick,
        )  # fmt: skip
        for event in kicks:
            event.clear()
        await self.posting.flush()
        await self.overrides.flush()
        pause = await self.outbox.flush()
        await self.inbox.resume()
        self._reached()
        await self._first(pause, *kicks)

    async def _refresh(self) -> None:
        self.book.grown.clear()
        if self.handed is not None and await self.handed.look():
            await self.rotation.load()
        await self.book.refresh(Steps("directory-replayed"))
        self.rotation.look()
        self._reached()
        await self._first(self.settings.directory_every, self.book.grown)

    async def _witness(self) -> None:
        every = self.settings.witness_every
        settled = await self.watch.round()
        await asyncio.sleep(every if settled else every / 6)  # others may be about to cosign it

    async def _tend(self) -> None:
        now = self.book.certain
        await self.agreements.tend()
        await self.overrides.forget(now)
        await self.alarms.resume()
        await self.store.run(lambda c: c.execute(delete(seen).where(seen.c.until < now)).close())
        await asyncio.sleep(TEND_EVERY)

    async def _reconcile(self) -> None:
        await self.reconciliation.round(self.inbox.emptied)
        await asyncio.sleep(RECONCILE_EVERY)

    async def _rotate(self) -> None:
        await self.rotation.round()
        await self._first(ROTATE_EVERY, self.rotation.kick)

    async def _scan(self) -> None:
        if self.folders is not None:
            await self.folders.scan()
        await asyncio.sleep(SCAN_EVERY)

    async def _steadily(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await work()
                pause = FIRST_PAUSE
                continue
            except Refusal as refusal:
                after = refusal.after if isinstance(refusal, RelayRefusal) else None
                log.warning("waits", task=name, code=refusal.code, seconds=round(pause, 1))
                if name != "folders":
                    self.showing.contact.code = refusal.code
            except Exception as error:  # noqa: BLE001 - the last resort: reported by type, and tried again later
                after = LONGEST_PAUSE
                log.error("fault", task=name, error=type(error).__name__)
            await asyncio.sleep(max(pause * (0.5 + self._jitter()), after or 0.0))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _first(self, seconds: float, *events: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()

    def _reached(self) -> None:
        self.showing.contact.last, self.showing.contact.code = int(self._clock()), ""

    async def _hand_over(self, row: Row[tuple[object, ...]]) -> None:
        if self.folders is not None:
            await self.folders.hand_over(row)

    def _hosts(self) -> frozenset[str]:
        host = self.settings.host
        bare = f"[{host}]" if ":" in host else host
        return frozenset({f"{bare}:{self.port}", f"localhost:{self.port}"})


def write_address(settings: Settings, port: int) -> None:
    """Tell the commands of this folder where their agent listens."""
    part = settings.home / ".agent.port.part"
    part.write_text(f"{settings.host} {port}\n", encoding="ascii")
    part.rename(settings.home / "agent.port")
