"""The sweeper: what nobody asks for but time brings. Expiry tells the sender; what is over is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from broker import breakglass, holding, logs, queries
from broker.recalls import AGAIN, SELECT_UNANSWERED, Reminding
from broker.retention import SELECT_PENDING, Deletion
from broker.sequencer import Sequencer
from broker.slices import due, minute_of
from broker.store import Store
from broker.sweeping import Expiry, Pruning
from schemas.errors import Refusal

TOGETHER = 64
PRUNE_EVERY = 60
"""Seconds between two prunings; then the write-ahead log is emptied too."""


class Sweeper:
    """Looks for what has expired every `seconds`."""

    def __init__(
        self, store: Store, sequencer: Sequencer, clock: Callable[[], float], seconds: float
    ) -> None:
        self._store, self._sequencer = store, sequencer
        self._clock, self._seconds = clock, seconds
        self._closing = asyncio.Event()
        self._pruned = clock()
        # What ended a minute ago left the slices of its last minutes to this one.
        self._forgotten = minute_of(clock()) - 2

    def close(self) -> None:
        self._closing.set()

    async def run(self) -> None:
        """Sweep until closed."""
        while not self._closing.is_set():
            try:
                await self.sweep()
            except Refusal as refusal:  # the store is away: look again
                logs.get().warning("sweep", code=refusal.code)
            except Exception as fault:  # noqa: BLE001 -- the sweeper's last resort: expiry must not stop for good
                logs.get().error("sweep-failed", error=type(fault).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._closing.wait()

    async def sweep(self) -> None:
        """End what has expired, and once a minute forget what is over.

        Raises:
            Refusal: as Sequencer.submit.
        """
        self._sequencer.forget()
        bound = {"now": int(self._clock()), "most": TOGETHER}
        while True:
            async with self._store.reading() as connection:
                found = (await connection.execute(queries.SELECT_EXPIRED, bound)).scalars().all()
            if not found:
                break
            await self._sequencer.submit(Expiry(tuple(dict.fromkeys(found))))
        await self._leads(bound)
        await self._delete(bound)
        now = self._clock()  # as it was when this began: what ends meanwhile is for the next time
        if abs(now - self._pruned) >= PRUNE_EVERY:
            await self._remind()
            await self._sequencer.submit(Pruning())
            await self._forget(now)
            await self._sequencer.shrink()
            self._pruned = now

    async def _forget(self, now: float) -> None:
        """Hashes that are over, in the slices of the minutes since the last time."""
        for slices in due(self._forgotten, now):
            await self._sequencer.submit(slices)
        self._forgotten = minute_of(now)

    async def _leads(self, bound: dict[str, int]) -> None:
        """What waits for a lead, and what went without one (O12, O16)."""
        async with self._store.reading() as connection:
            held = (await connection.execute(holding.SELECT_DUE, bound)).scalars().all()
            overdue = (await connection.execute(breakglass.SELECT_OVERDUE, bound)).scalars().all()
        if held:
            await self._sequencer.submit(holding.Lapses(held))
        if overdue:
            await self._sequencer.submit(breakglass.Overdue(overdue))

    async def _delete(self, bound: dict[str, int]) -> None:
        """The next records of a list whose notice is over, until there are no more (Y5)."""
        more = True
        while more and not self._closing.is_set():
            async with self._store.reading() as connection:
                digest = (await connection.execute(SELECT_PENDING, {"now": bound["now"]})).scalar()
            if digest is None:
                return
            more = await self._sequencer.submit(Deletion(digest))

    async def _remind(self) -> None:
        """Ask again for what became of withdrawn messages."""
        bound = {"before": int(self._clock()) - AGAIN, "most": TOGETHER}
        async with self._store.reading() as connection:
            found = (await connection.execute(SELECT_UNANSWERED, bound)).all()
        if found:
            await self._sequencer.submit(Reminding(found))
