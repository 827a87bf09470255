"""The relay, built in one place and run on a port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from aiohttp import web

from broker import handlers, invites, logs, pages, witnessing
from broker.allowance import Allowance
from broker.anchor import Anchor, Anchoring, Loss
from broker.anchored import Restored, held
from broker.authentication import Doorkeeper
from broker.calculating import Calculator
from broker.checking import Checks
from broker.expiry import Sweeper
from broker.handlers import Relay
from broker.instances import Instances, kept_instances
from broker.keys_log import KeysLog
from broker.ledger import Ledger
from broker.mailbox import Bells, Mailbox
from broker.metrics import Metrics
from broker.outside import Outside
from broker.problems import answer
from broker.rates import Buckets
from broker.reading import Pace
from broker.sequencer import Bounds, Sequencer
from broker.server import Answering, Runner, guard
from broker.settings import Settings, address
from broker.store import Store
from broker.stored import reopened
from broker.tree import Log
from broker.underway import Underway
from broker.view import View
from broker.witnesses import Board, Origin, kept_heads
from schemas import api
from schemas.errors import Refusal
from schemas.sealing import Draw, self_test
from schemas.staffing import shortages

Asked = Callable[[Relay, web.Request], Awaitable[web.StreamResponse]]
PUBLIC_BURST = 4.0
PROCESSORS = os.cpu_count() or 1
"""Seconds' worth of public pages that may be asked for at once."""


@dataclass(slots=True)
class Running:
    """A relay that listens. `port` and `admin_port` are the real ones."""

    settings: Settings
    store: Store
    relay: Relay
    sequencer: Sequencer
    sweeper: Sweeper
    bells: Bells
    checks: Checks
    calculator: Calculator
    anchoring: Anchoring
    outside: tuple[Outside, ...]
    runners: list[Runner] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    alone: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    port: int = 0
    admin_port: int = 0

    async def anchor(self, losses: tuple[Loss, ...]) -> None:
        """Record what was accepted as lost, and only then let the anchor forget it. Raises Refusal SETTINGS."""
        if losses:
            await self.sequencer.submit(Restored(losses))
        if not await self.anchoring.save():
            raise Refusal("SETTINGS", "The anchor cannot be written. Give the relay a folder for it.")
        self.tasks.append(asyncio.create_task(self.anchoring.run()))
        self.tasks.extend(asyncio.create_task(one.run()) for one in self.outside)

    async def listen(self, authority: str) -> None:
        """Answer on the public port and the operator's."""
        guarded = guard(self.relay.metrics, authority)
        public = _public(self.relay, self.store, guarded)
        self.port = await self._serve(public, _direct(self.relay, guarded), self.settings.listen)
        admin = _admin(self.relay, self.relay.metrics)
        self.admin_port = await self._serve(admin, {}, self.settings.admin_listen)

    async def _serve(self, app: web.Application, direct: Mapping[str, Answering], where: str) -> int:
        settings = self.settings
        runner = Runner(app, direct, settings.header_seconds, settings.connections, settings.drain_seconds)
        await runner.setup()
        self.runners.append(runner)
        host, port = address(where)
        await web.TCPSite(runner, host, port).start()
        listening: tuple[str, int] = runner.addresses[0][:2]
        return listening[1]

    async def close(self) -> None:
        """Drain: no new work, what waits is committed and answered, then everything ends."""
        self.sweeper.close()
        self.anchoring.close()
        for one in self.outside:
            one.close()
        self.sequencer.close()
        self.bells.ring_all()
        try:
            for runner in self.runners:
                await runner.cleanup()
            await asyncio.gather(*self.tasks)
            await self.anchoring.save()
            await self.store.shrink()
        finally:
            self.checks.close()
            await self.calculator.close()
            await self.store.close()
            self.alone.close()


async def build(settings: Settings, clock: Callable[[], float], draw: Draw) -> Running:
    """Open the store and listen; the caller closes it.

    Raises:
        Refusal: SETTINGS, KEYFILE, SELF_TEST, FORK (the stored log is not what was signed), ANCHOR (it is older), and
            more of the kind: whatever is wrong at start stops the start.
    """
    self_test(draw)
    partnership, keys = settings.read_partnership(), settings.read_keys()
    charter = partnership.charter
    if (keys.log.public, keys.log_mldsa.public, keys.keys_log.public) != (
        partnership.log_key.public,
        partnership.log_mldsa_key.public,
        partnership.keys_log_key.public,
    ):
        raise Refusal("SETTINGS", "The relay's key file is not the one that the partnership file names.")
    store, alone, anchor = Store(settings.database), contextlib.ExitStack(), Anchor(settings.anchor)
    try:
        alone.enter_context(anchor.alone())
        revision = await store.open()
        async with store.turn() as connection:
            view, ledger = await reopened(connection, charter, keys, settings.read_founding())
            losses = await held(connection, anchor.read(), ledger, view, partnership)
            kept = await kept_heads(connection)
            runs = await kept_instances(connection)
        boards = tuple(
            Board(origin, partnership, keys.log_mldsa, edge, view, clock, settings.head_seconds)
            for origin, edge in ((Origin.of_log(partnership), ledger), (Origin.of_keys(partnership), view))
        )
        for board in boards:
            board.restore(kept)
        running = _assembled(settings, store, view, ledger, boards, charter.authority, clock, draw)
        running.relay.instances.restore(runs)
        running.alone = alone
    except BaseException:
        await store.close()  # its threads would keep a failed start from ending
        alone.close()
        raise
    try:
        await running.anchor(losses)
        await running.listen(charter.authority)
    except BaseException:
        await running.close()
        raise
    logs.get().info("listening", port=running.port, admin_port=running.admin_port, revision=revision)
    return running


def _assembled(
    settings: Settings,
    store: Store,
    view: View,
    ledger: Ledger,
    boards: tuple[Board, ...],
    authority: str,
    clock: Callable[[], float],
    draw: Draw,
) -> Running:
    board, keys_board = boards
    metrics, bells, calculator = Metrics(), Bells(), Calculator(apart=PROCESSORS > 1)
    pace = Pace(settings.body_seconds, settings.body_rate)
    underway = Underway(pace)
    bounds = Bounds(settings.queue_items, settings.queue_bytes)
    checks = Checks(calculator)
    instances = Instances(clock, bells.ring)
    sequencer = Sequencer(
        store, ledger, view, clock, draw, bounds, metrics, bells.ring, underway, calculator, instances
    )
    relay = Relay(
        doorkeeper=Doorkeeper(view, authority, clock),
        checks=checks,
        sequencer=sequencer,
        mailbox=Mailbox(store, bells, underway, clock, instances.twice, lambda: view.size),
        underway=underway,
        log=Log(store, ledger),
        keys_log=KeysLog(store, view),
        view=view,
        board=board,
        keys_board=keys_board,
        buckets=Buckets(settings.agency_rate, settings.agency_burst, time.monotonic),
        public=Buckets(settings.public_rate, settings.public_rate * PUBLIC_BURST, time.monotonic),
        allowance=Allowance(Buckets(settings.statement_rate, settings.statement_burst, time.monotonic)),
        pace=pace,
        metrics=metrics,
        instances=instances,
        clock=clock,
    )
    sweeper = Sweeper(store, sequencer, clock, settings.sweep_seconds)
    anchoring = Anchoring(Anchor(settings.anchor), ledger, view)
    outside = (
        Outside(board, relay.log, sequencer, settings.head_seconds),
        Outside(keys_board, relay.keys_log, sequencer, settings.head_seconds),
    )
    running = Running(
        settings, store, relay, sequencer, sweeper, bells, checks, calculator, anchoring, outside
    )
    running.tasks = [asyncio.create_task(sequencer.run()), asyncio.create_task(sweeper.run())]
    return running


def _direct(relay: Relay, guarded: Any) -> Mapping[str, Answering]:
    """The two requests that a relay under load is made of, without a router."""
    return {
        api.ENVELOPES: partial(guarded, handler=partial(handlers.post_envelopes, relay)),
        api.RECEIPTS: partial(guarded, handler=partial(handlers.post_receipts, relay)),
    }


def _public(relay: Relay, store: Store, guarded: Any) -> web.Application:
    app = web.Application(middlewares=[guarded])

    def bound(handler: Asked) -> Answering:
        return partial(handler, relay)

    async def get_grant(request: web.Request) -> web.StreamResponse:
        return await pages.get_grant(relay, request, store)

    async def get_policy(request: web.Request) -> web.StreamResponse:
        return await pages.get_policy(relay, request, store)

    async def get_retention(request: web.Request) -> web.StreamResponse:
        return await pages.get_retention(relay, request, store)

    async def get_invites(request: web.Request) -> web.StreamResponse:
        return await invites.get_invites(relay, request, store)

    async def get_enrolment(request: web.Request) -> web.StreamResponse:
        return await invites.get_enrolment(relay, request, store)

    app.router.add_post(api.INVITES, bound(invites.post_invite))
    app.router.add_post(api.ENROLMENTS, bound(invites.post_enrolment))
    app.router.add_get(api.INVITES, get_invites, allow_head=False)
    app.router.add_get(api.ENROLMENTS, get_enrolment, allow_head=False)
    app.router.add_post(api.ENVELOPES, bound(handlers.post_envelopes))
    app.router.add_post(api.RECEIPTS, bound(handlers.post_receipts))
    app.router.add_post(api.STATEMENTS, bound(handlers.post_statements))
    for path, handler in (
        (api.MAILBOX, handlers.get_mailbox),
        (api.DIRECTORY, handlers.get_directory),
        (api.CHECKPOINT, pages.get_checkpoint),
        (api.CONSISTENCY, pages.get_consistency),
        (api.TILE, pages.get_tile),
        (api.KEYS_CHECKPOINT, pages.get_checkpoint),
        (api.KEYS_CONSISTENCY, pages.get_consistency),
        (api.KEYS_TILE, pages.get_tile),
        (api.RECORDS, pages.get_records),
        (api.EPOCHS, pages.get_epochs),
    ):
        app.router.add_get(path, bound(handler), allow_head=False)
    for method, act in (("GET", witnessing.get_head), ("POST", witnessing.post_cosignature)):
        for path in (api.HEAD, api.KEYS_HEAD):
            app.router.add_route(method, path, bound(act))
    app.router.add_get(api.GRANT, get_grant, allow_head=False)
    app.router.add_get(api.POLICY, get_policy, allow_head=False)
    app.router.add_get(api.RETENTION, get_retention, allow_head=False)
    app.router.add_get("/healthz", _alive, allow_head=False)
    app.router.add_get("/readyz", _ready(relay, whole=False), allow_head=False)
    return app


def _admin(relay: Relay, metrics: Metrics) -> web.Application:
    app = web.Application(middlewares=[guard(metrics, None)])

    async def figures(_request: web.Request) -> web.StreamResponse:
        metrics.log_size.set(relay.log.size)
        metrics.short.set(_short(relay))
        return answer(metrics.text(), "text/plain; version=0.0.4")

    app.router.add_get("/healthz", _alive, allow_head=False)
    app.router.add_get("/readyz", _ready(relay, whole=True), allow_head=False)
    app.router.add_get("/metrics", figures, allow_head=False)
    return app


async def _alive(_request: web.Request) -> web.StreamResponse:
    return answer(b'{"alive":true}')


def _short(relay: Relay) -> int:
    """How many members have fewer officers than the policy asks for; it stops nothing (Q10)."""
    now = int(relay.clock())
    return len(shortages(relay.view.directory, relay.view.policy(now), now))


def _ready(relay: Relay, *, whole: bool) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """`whole` is for the operator: how many agencies lack officers is for no stranger."""

    async def ready(_request: web.Request) -> web.StreamResponse:
        if not relay.sequencer.healthy:
            raise Refusal("UNAVAILABLE")
        policy = relay.view.policy(relay.clock())  # without one it still carries REDs, so it is ready
        said = {"ready": True, "policy": None if policy is None else policy.version}
        return answer(orjson.dumps(said | ({"short_of_officers": _short(relay)} if whole else {})))

    return ready
