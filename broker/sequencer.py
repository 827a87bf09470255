"""The sequencer: one writer, one transaction for all that arrived while the last one was committed.

Rules of this house:
- nobody is answered before the commit is durable; when it fails, nothing of it happened and everybody is told so;
- the order of a turn is the order of the log; group commit, log and "no delivery without audit" are one mechanism;
- a request's nonce is spent in the transaction of its own work, so a repeated request cannot act;
- one bad piece of work never takes the others of its turn with it, and never leaves half of itself behind: its turn is
  undone, and every piece of it takes a turn of its own.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from broker import logs, queries
from broker.calculating import Calculator
from broker.epochs import Epochs
from broker.instances import Instances
from broker.ledger import Growth, Ledger, sign
from broker.metrics import Metrics
from broker.recording import Sealing
from broker.store import Store, refused
from broker.turn import Turn, Work
from broker.underway import Underway
from broker.view import View
from schemas.directory_statement import statement_leaf
from schemas.errors import Refusal
from schemas.merkle import leaf_hash
from schemas.request import NONCE_KEPT
from schemas.sealing import Draw
from schemas.signing import Signed

TURN_ITEMS = 256
TURN_BYTES = 32 * 1024 * 1024
T = TypeVar("T")
Outcome = tuple[Any, BaseException | None]


class Faulted(Exception):
    """A piece of work that ended in the middle of what it does: nothing of its turn may be stored."""

    def __init__(self, told: Refusal) -> None:
        super().__init__(told.code)
        self.told = told


@dataclass(slots=True)
class Waiting:
    """Work and whoever waits for it."""

    work: Work
    done: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait."""

    items: int
    size: int


class Sequencer:
    """The only writer. `submit` from any task; `run` in one; `rung` hears which agencies have something new."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        view: View,
        clock: Callable[[], float],
        draw: Draw,
        bounds: Bounds,
        metrics: Metrics,
        rung: Callable[[set[str]], None],
        underway: Underway,
        calculator: Calculator,
        instances: Instances,
    ) -> None:
        self._store, self._ledger, self._view = store, ledger, view
        self._clock, self._draw, self._bounds = clock, draw, bounds
        self._metrics, self._rung, self._underway = metrics, rung, underway
        self._calculator, self._instances = calculator, instances
        self._epochs = Epochs(draw)
        self._queue: deque[Waiting] = deque()
        self._queued = 0
        self._shrinking: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._broken = False

    @property
    def healthy(self) -> bool:
        """Whether the last turn could be stored."""
        return not self._broken

    async def submit(self, work: Work) -> Any:
        """Wait for this work's turn and give what it decided, once that is durable.

        Raises:
            Refusal: UNAVAILABLE, DISK_FULL, TOO_LATE, UNAUTHENTICATED (a spent nonce).
        """
        if self._closing:
            raise Refusal("TOO_LATE")
        if len(self._queue) >= self._bounds.items or self._queued + work.size > self._bounds.size:
            raise Refusal(
                "UNAVAILABLE", "The relay has too much to do. Nothing was accepted; it will be tried again."
            )
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.append(Waiting(work, done))
        self._queued += work.size
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Take turns until closed."""
        while not self._closing or self._queue or self._shrinking:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self._take_turn(self._next())
            await self._shrink()

    def close(self) -> None:
        """Take no more; `run` ends when what waits is done."""
        self._closing = True
        self._wake.set()

    def forget(self) -> None:
        self._epochs.forget(int(self._clock()))

    async def shrink(self) -> None:
        """Wait until the write-ahead log was emptied, which is between two turns."""
        if self._closing:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._shrinking.append(done)
        self._wake.set()
        await done

    async def _shrink(self) -> None:
        waiting, self._shrinking = self._shrinking, []
        if waiting:
            try:
                await self._store.shrink()
            except Refusal as refusal:  # it only costs room; the next minute tries again
                logs.get().warning("shrink", code=refusal.code)
        for done in waiting:
            if not done.done():
                done.set_result(None)

    def _next(self) -> list[Waiting]:
        batch, size = list[Waiting](), 0
        while self._queue and len(batch) < TURN_ITEMS and size < TURN_BYTES:
            waiting = self._queue.popleft()
            size += waiting.work.size
            batch.append(waiting)
        self._queued -= size
        return batch

    async def _take_turn(self, batch: list[Waiting]) -> None:
        batch.sort(key=lambda waiting: waiting.work.order)  # stable: within an order, first come first served
        with self._metrics.turn(len(batch)):
            try:
                outcomes = await self._commit(batch)
            except Faulted as fault:
                if len(batch) > 1:
                    await self._take_apart(batch)
                    return
                logs.get().error("work-failed", error=type(fault.__cause__).__name__)
                outcomes = [(None, fault.told)]
            except Refusal as refusal:
                self._fail(batch, refusal)
                return
            except Exception as fault:  # noqa: BLE001 -- the writer's last resort: it must live on, and say so
                logs.get().error("turn-failed", error=type(fault).__name__)
                self._fail(batch, Refusal("UNAVAILABLE"))
                return
        self._broken = False
        for waiting, (result, error) in zip(batch, outcomes, strict=True):
            if waiting.done.done():  # whoever asked has gone
                continue
            if error is None:
                waiting.done.set_result(result)
            else:
                waiting.done.set_exception(error)

    async def _take_apart(self, batch: list[Waiting]) -> None:
        for waiting in batch:
            await self._take_turn([waiting])

    def _fail(self, batch: list[Waiting], refusal: Refusal) -> None:
        logs.get().error("turn-refused", code=refusal.code, count=len(batch))
        self._broken = True
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_exception(refusal)

    async def _commit(self, batch: list[Waiting]) -> list[Outcome]:
        async with self._store.turn() as connection:
            # Only now: taking the lock may have taken seconds, in which an epoch can end.
            now, size = int(self._clock()), self._ledger.size
            if any(waiting.work.logs for waiting in batch) and not self._epochs.stands(
                now, self._view.directory
            ):
                self._epochs.renew(now, self._view.directory, size)
            turn = Turn(now, size, self._view.directory, self._epochs, self._draw, self._view.shelf)
            outcomes, sealing = await connection.run_sync(self._decide_all, turn, batch)
            await sealing.done()
            growth, note = await connection.run_sync(self._write, turn)
        self._epochs.saved()
        if growth is not None:
            self._ledger.adopt(growth)
        if note is not None:
            self._view.adopt(turn.view, note, _leaves(turn))
        self._view.shelf = turn.shelf
        # Before anybody is told of it: what was taken back stops travelling.
        self._underway.stop(turn.taken_back())
        self._rung(turn.rings)
        self._instances.spent(turn.spent, self.submit)
        return outcomes

    def _decide_all(
        self, connection: Connection, turn: Turn, batch: list[Waiting]
    ) -> tuple[list[Outcome], Sealing]:
        queries.load(connection, turn, [waiting.work for waiting in batch])
        outcomes, sealing = list[Outcome](), Sealing(self._calculator)
        for waiting in batch:
            outcomes.append(self._decide(waiting.work, turn))
            sealing.drafted(turn.entries)
        sealing.rest(turn.entries)
        queries.write(connection, turn, self._epochs.unsaved)  # while the last of them are being made
        return outcomes, sealing

    def _write(self, connection: Connection, turn: Turn) -> tuple[Growth | None, str | None]:
        growth: Growth | None = None
        if turn.entries:
            growth = self._ledger.grow([entry.leaf for entry in turn.entries])
            for finish in turn.after:
                finish(growth)
            if not queries.write_grown(connection, turn, growth, self._ledger.size):
                raise Refusal("UNAVAILABLE")
        note = self._write_directory(connection, turn)
        for look in turn.last:
            _looked(look, connection)
        return growth, note

    def _write_directory(self, connection: Connection, turn: Turn) -> str | None:
        if not turn.rows.statements:
            return None
        if not queries.stand_said(connection, self._view.size, _leaves(turn)):
            raise Refusal("UNAVAILABLE")
        note = sign(self._view.origin, self._view.key, turn.view.frontier)
        if not queries.move_head(connection, "keys", self._view.directory.size, turn.view.size, note):
            raise Refusal("UNAVAILABLE")
        return note

    def _decide(self, work: Work, turn: Turn) -> Outcome:
        if work.nonce is not None:
            if work.nonce in turn.seen:
                return None, Refusal("UNAUTHENTICATED")
            turn.keep(work.nonce, turn.now + NONCE_KEPT, None)
            turn.spent.append(work.nonce)
        before = turn.mark()
        try:
            return work.decide(turn), None
        except Refusal as refusal:
            if turn.mark() == before:
                return None, refusal
            raise Faulted(refusal) from refusal
        except (DBAPIError, sqlite3.Error) as error:
            raise _fault(error) from error
        except Exception as error:
            raise Faulted(Refusal("FAULT")) from error


def _looked(look: Callable[[Connection], None], connection: Connection) -> None:
    """Read what a piece of work asked to see at the end of its turn."""
    try:
        look(connection)
    except sqlite3.Error as error:  # a store that fails one reader fails nobody else
        raise _fault(error) from error


def _fault(error: DBAPIError | sqlite3.Error) -> Exception:
    """What a failing store makes of one piece of work; a full disk fails the whole turn, and is told as itself."""
    told = refused(error)
    return told if told.code == "DISK_FULL" else Faulted(told)


def _leaves(turn: Turn) -> list[bytes]:
    """The directory's new leaves, hashed."""
    return [leaf_hash(statement_leaf(Signed(row["text"], row["sig"]))) for row in turn.rows.statements]
