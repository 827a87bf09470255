"""Mailboxes: what waits for an agency, read from what is committed at that moment (PROTOCOL.md W3).

Rules of this house:
- nothing about a message is remembered between two requests: a page is what the store holds when it is read, so
  what a withdrawal took back is in no page that begins after the withdrawal was acknowledged;
- a page is read at the end of the turn that spends its request's nonce, and sent when that turn is durable; only what
  is read once more, after waiting, has a connection of its own;
- most urgent first; a page has at most 64 deliveries and 8 MiB.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from broker import queries
from broker.store import Store
from broker.turn import Quiet, Turn
from broker.underway import Page, Underway
from schemas import api
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import framed

NOTICES = api.BATCH_RECEIPTS
WAITERS = 16
"""Long polls that one agency may hold; more are answered at once."""


class Bells:
    """Wakes the long polls of an agency when something new is committed for it."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)

    def ring(self, agencies: set[str]) -> None:
        for agency in agencies:
            for event in self._waiting.get(agency, ()):
                event.set()

    def ring_all(self) -> None:
        """Let everybody go, for the end."""
        self.ring(set(self._waiting))

    @contextlib.contextmanager
    def listening(self, agency: str) -> Any:
        """An event that is set by any ring from now on, or None when the agency listens too often already."""
        event, waiting = asyncio.Event(), self._waiting[agency]
        if len(waiting) >= WAITERS:
            yield None
            return
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(agency, None)


@dataclass(frozen=True, slots=True)
class Ask:
    """What an agent asks of its mailbox. `again` is the id of a delivery that it wants once more."""

    agency: str
    wait: int
    limit: int
    again: bytes | None


@dataclass(frozen=True, slots=True)
class Found:
    """What one page is made of; the checkpoint is read with it, so that it is never older than the proofs."""

    rows: list[Any]
    notices: list[str]
    more: bool
    note: str
    read: int
    """The count of withdrawals when it was read (broker.underway)."""


@dataclass(slots=True)
class Look(Quiet):
    """A request for a page at its turn: its nonce is spent, and what waits then is read in the same transaction."""

    nonce: bytes | None
    ask: Ask
    withdrawals: int
    found: Found | None = None
    size = 1

    def decide(self, turn: Turn) -> None:
        self.found = None  # what an undone turn has shown does not count
        # No closure over the turn: the cycle would keep all its rows in memory until cycles are collected.
        turn.last.append(partial(self._look, turn.now))

    def _look(self, now: int, connection: Connection) -> None:
        with contextlib.suppress(Refusal):  # it is told when it is looked for again
            self.found = _find(connection, self.ask, now, self.withdrawals)


class Mailbox:
    """Pages of what waits."""

    def __init__(
        self,
        store: Store,
        bells: Bells,
        underway: Underway,
        clock: Callable[[], float],
        twice: Callable[[str], int | None],
        directory: Callable[[], int],
    ) -> None:
        self._store = store
        self._bells = bells
        self._underway = underway
        self._clock = clock
        self._twice = twice
        self._directory = directory

    async def page(self, ask: Ask, nonce: bytes, submit: Callable[[Look], Awaitable[object]]) -> Page:
        """The frames of one page (E5, api.MailboxHead); waits up to `ask.wait` seconds when there is nothing.

        Raises:
            Refusal: NOT_FOUND when `again` names nothing of this agency's that goes on; and what `submit` does.
        """
        with self._bells.listening(ask.agency) as bell:
            # Listen first and look then: what is committed in between rings.
            look = Look(nonce, ask, self._underway.withdrawals)
            await submit(look)
            page, empty = await self._read(ask, look.found)
            if empty and bell is not None and ask.wait and ask.again is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ask.wait):
                        await bell.wait()
                page, _ = await self._read(ask)
            while not self._underway.stands(page):
                page, _ = await self._read(ask)
        return page

    async def _read(self, ask: Ask, found: Found | None = None) -> tuple[Page, bool]:
        if found is None:
            now, withdrawals = int(self._clock()), self._underway.withdrawals
            async with self._store.reading() as connection:
                found = await connection.run_sync(_find, ask, now, withdrawals)
        told = {"twice": self._twice(ask.agency), "directory": self._directory()}
        body = _page(found.rows, found.notices[:NOTICES], found.more, found.note, told)
        page = Page(body, frozenset(row.eid for row in found.rows), found.read)
        return page, not found.rows and not found.notices


def _find(connection: Connection, ask: Ask, now: int, withdrawals: int) -> Found:
    if ask.again is None:
        waiting = queries.SELECT_WAITING.rows(connection, agency=ask.agency, now=now, most=ask.limit + 1)
    else:
        waiting = queries.SELECT_AGAIN.rows(connection, agency=ask.agency, now=now, eid=ask.again)
        if not waiting:
            raise Refusal("NOT_FOUND")
    ids = _fitting([(row.id, row.size) for row in waiting], ask.limit)
    told = queries.SELECT_NOTICES.rows(connection, agency=ask.agency, most=NOTICES + 1)
    rows = queries.SELECT_PAGE.rows(connection, ids=ids) if ids else []
    (head,) = queries.SELECT_NOTE.rows(connection)
    more = len(ids) < len(waiting) or len(told) > NOTICES
    return Found(rows, [row.said for row in told], more, head.note, withdrawals)


def _fitting(found: list[tuple[int, int]], limit: int) -> list[int]:
    ids, room = list[int](), api.PAGE_BYTES
    for number, size in found[:limit]:
        room -= size
        if ids and room < 0:
            break
        ids.append(number)
    return ids


def _page(rows: Any, notices: list[str], more: bool, note: str, told: dict[str, Any]) -> bytes:
    items = [
        {"eid": b64(row.eid), "d": row.desk, "state": row.state}
        | ({"override": json.loads(row.override)} if row.override else {})
        for row in rows
    ]
    head = json.dumps({"items": items, "notices": [], "more": more, "checkpoint": note, **told})
    if notices:  # stored as the JSON they travel as
        head = head.replace('"notices": []', f'"notices": [{",".join(notices)}]', 1)
    pieces = [framed(head.encode())]
    for row in rows:
        size = len(row.front) + len(row.wrap) + len(row.record) + len(row.proof) + 8
        pieces += [size.to_bytes(4, "big"), row.front, row.wrap, framed(row.record), framed(row.proof)]
    return b"".join(pieces)
