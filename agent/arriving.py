"""Pages of the directory that were read and are not believed yet: a first replay may be of three years of statements.

Rules of this house:
- they wait in the store and not in memory, and count for nothing there until all of them are checked, and their root is
  the one that was signed;
- what a kill leaves of them is dropped by the next one who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from agent.checking import Checks
from agent.directory_tables import arriving, statements
from agent.logs import log
from agent.own_chain import New
from agent.store import Store
from schemas.canonical import b64, unb64
from schemas.directory import Directory, Later
from schemas.directory_statement import Statement
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.signing import Signed

Progress = Callable[[int, int], None]
"""Told how many statements are replayed, of how many."""
TOGETHER = 500
LONG = 2000
"""Statements to come that are worth lines in the log, and a process that checks them."""


def unseen(_done: int, _of: int) -> None:
    """For whoever shows no progress."""


class Steps:
    """Progress as lines of the log, one for each tenth of a long way; a short way has none."""

    def __init__(self, event: str) -> None:
        self._event = event
        self._next = LONG

    def __call__(self, done: int, of: int) -> None:
        if of > LONG and done >= self._next:
            log.info(self._event, count=done, size=of)
            self._next = done + of // 10


class Arriving:
    """What one refresh has read: `ours` are the statements about this agency, `prekeys` places of receiving keys.

    It is made by `reading`, and worth nothing before that has come to its end.
    """

    def __init__(self, store: Store, agency: str, checks: Checks) -> None:
        self._store = store
        self._agency = agency
        self._checks = checks
        self._keeping: asyncio.Task[None] | None = None
        self.ours: list[New] = []
        self.prekeys: dict[str, int] = {}
        self.count = 0

    async def take(self, view: Directory, signed: Sequence[Signed]) -> None:
        """Replay a page onto a view; it is checked and kept while the next one is taken.

        Raises:
            Refusal: as Directory.apply and Store.run, also of a page before; that view is worth nothing then.
        """
        rows, checks = [], Later()
        for one in signed:
            said, at = view.apply(one, later=checks), view.size - 1
            rows.append((at, b64(one.signature), one.text.decode("ascii")))
            self.prekeys |= prekeys(view, said, at)
            new = New(one, said, at)
            if new.is_about(self._agency):
                self.ours.append(new)
        await self._checks.make(checks)
        await self.kept()
        work = partial(_keep, rows=rows, alone=not self.count)
        self._keeping = asyncio.create_task(self._store.run(work))
        await asyncio.sleep(0)  # it begins: the next page would hold it up
        self.count += len(rows)

    async def kept(self) -> None:
        """Wait until the page that was taken last is kept. Raises Refusal DISK_FULL, STORE."""
        if self._keeping is not None:
            await self._keeping

    def believe(self, connection: Connection) -> None:
        """From now on they are part of the directory."""
        if size_of(connection) == 0:  # years of them: they stay where they are, and nothing is written twice
            statements.drop(connection)
            connection.exec_driver_sql("ALTER TABLE arriving RENAME TO statements")
            arriving.create(connection)
            return
        names = ["n", "sig", "text"]
        connection.execute(insert(statements).from_select(names, select(arriving)))
        connection.execute(delete(arriving))


@asynccontextmanager
async def reading(store: Store, agency: str, to_come: int = 0) -> AsyncIterator[Arriving]:
    """What arrives, to be taken in this block. Who comes out of it without a refusal has all of it checked and kept.

    Args:
        to_come: how many statements that will be, as far as is known; many are checked by a process of their own.

    Raises:
        Refusal: SIGNATURE, KEY, DISK_FULL, STORE.
    """
    async with Checks(apart=to_come >= LONG) as checks:
        new = Arriving(store, agency, checks)
        try:
            yield new
        except Refusal:
            with suppress(Refusal):  # what was refused before that says more
                await new.kept()
            raise
        await new.kept()


def _keep(connection: Connection, rows: Sequence[tuple[int, str, str]], alone: bool) -> None:
    if alone:
        connection.execute(delete(arriving))
    for at in range(0, len(rows), TOGETHER):
        # As one: for each row by itself, it would wait for Python's lock, which the page after this one has.
        some = rows[at : at + TOGETHER]
        each = ", ".join(["(?, ?, ?)"] * len(some))
        asked = f"INSERT INTO arriving (n, sig, text) VALUES {each}"  # noqa: S608 -- question marks, no values
        connection.exec_driver_sql(asked, tuple(chain(*some)))


async def replay(
    store: Store, view: Directory, progress: Progress, together: int = TOGETHER
) -> dict[str, int]:
    """Replay what was believed before, and is not in the view yet, onto it; gives the places of its receiving keys.

    Signatures are not checked once more: they were when it came, and nobody else can write to the store (SQLCipher
    authenticates each page of it).
    """
    found, total = dict[str, int](), await store.run(size_of)
    while True:
        start = view.size
        rows = await store.run(partial(_page, start=start, limit=together))
        for row in rows:
            signed = Signed(row.text.encode("ascii"), unb64(row.sig, 64))
            found |= prekeys(view, view.apply(signed, believed=True), row.n)
        progress(view.size, total)
        if len(rows) < together:
            return found


def size_of(connection: Connection) -> int:
    """How many statements are believed. They are numbered from 0 on; counting them would read all of them."""
    last = connection.execute(select(func.max(statements.c.n))).scalar()
    return 0 if last is None else int(last) + 1


def _page(connection: Connection, start: int, limit: int) -> Sequence[Row[Any]]:
    asked = select(statements).where(statements.c.n >= start).order_by(statements.c.n).limit(limit)
    return connection.execute(asked).all()


def prekeys(view: Directory, said: Statement, at: int) -> dict[str, int]:
    """The receiving key that the statement taken last publishes, with the statement's place."""
    if said.op != "add-key" or said.body["use"] != Use.PREKEY:
        return {}
    return {view.known(said.agency).prekeys[-1]: at}
