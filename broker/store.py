"""The store: how connections are made, and what is checked before one is trusted.

Rules of this house:
- one connection writes, and only the sequencer uses it; readers have their own and see what is committed;
- WAL with synchronous=FULL, or an acknowledgement could be lost with the power; read back at start, never assumed;
- what is deleted is overwritten (secure_delete), and the write-ahead log is emptied when it can be;
- errors never show what was bound to a statement.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from broker.driver import Connection, connect
from broker.upgrade import upgrade
from schemas.errors import Refusal

READERS = 4
WRITER_PRAGMAS = {"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "busy_timeout": "5000"}
READER_PRAGMAS = {"query_only": "1", "busy_timeout": "5000"}


class Store:
    """A SQLite file with one writer and a few readers."""

    def __init__(self, path: Path) -> None:
        self._writing = _engine(path, 1, WRITER_PRAGMAS)
        self._reading = _engine(path, READERS, READER_PRAGMAS)
        event.listen(self._reading.sync_engine, "begin", _begun)
        self._writer: AsyncConnection | None = None
        self._driver: Connection | None = None

    async def open(self) -> str:
        """Connect, upgrade, check; says which revision the store had.

        Raises:
            Refusal: SETTINGS when the store does not keep what it is told, or is from a newer relay.
        """
        self._writer = await self._writing.connect()
        self._driver = cast("Connection", (await self._writer.get_raw_connection()).driver_connection)
        async with self.turn() as connection:
            found: str = await connection.run_sync(upgrade)
        for name, expected in WRITER_PRAGMAS.items():
            kept = (await self._writer.exec_driver_sql(f"PRAGMA {name}")).scalar()
            if str(kept).lower() != expected:
                raise Refusal(
                    "SETTINGS", f"The store does not keep {name}={expected}. Use another file system."
                )
        await self._writer.commit()
        return found

    async def close(self) -> None:
        if self._writer is not None:
            await self._writer.close()
        await self._reading.dispose()
        await self._writing.dispose()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[AsyncConnection]:
        """The writer's transaction: committed and durable when the block ends, or nothing of it.

        Raises:
            Refusal: DISK_FULL or UNAVAILABLE when the store cannot take it.
        """
        connection, driver = self._writer, self._driver
        if connection is None or driver is None:
            raise Refusal("UNAVAILABLE")
        try:
            # Begun and ended at the driver: by SQLAlchemy's own way it costs as much as a message.
            await driver.lock()
            try:
                yield connection
                await _kept(connection, driver)
            except BaseException:
                await _undone(connection, driver)
                raise
        except (DBAPIError, sqlite3.Error) as error:
            raise refused(error) from error

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """One consistent view of what is committed. Raises Refusal UNAVAILABLE."""
        try:
            async with self._reading.connect() as connection:
                # Said here: SQLAlchemy begins by itself only for what goes through its own execution, and without a
                # transaction each statement would see the store of its own moment.
                await connection.begin()
                yield connection
        except (DBAPIError, sqlite3.Error) as error:
            raise refused(error) from error

    async def shrink(self) -> None:
        """Empty the write-ahead log, so that what was deleted is not left in it; does nothing while readers hold it.

        Raises:
            Refusal: UNAVAILABLE.
        """
        if self._driver is not None:
            try:
                await self._driver.empty_log()
            except sqlite3.Error as error:
                raise Refusal("UNAVAILABLE") from error


async def _kept(connection: AsyncConnection, driver: Connection) -> None:
    if not driver.in_transaction:
        # After some errors SQLite has undone it by itself, and a commit of nothing would succeed.
        raise sqlite3.OperationalError
    if connection.in_transaction():  # it counts one of its own once anything was executed through it
        await connection.commit()
    else:
        await driver.commit()


async def _undone(connection: AsyncConnection, driver: Connection) -> None:
    if connection.in_transaction():
        await connection.rollback()
    await driver.rollback()  # nothing, where that was done


def refused(error: DBAPIError | sqlite3.Error) -> Refusal:
    """What a store's failure means to whoever asked; nothing of its text."""
    name = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return Refusal("DISK_FULL", party="relay")
    return Refusal("UNAVAILABLE")


def _engine(path: Path, size: int, pragmas: dict[str, str]) -> AsyncEngine:
    async def creator() -> Connection:
        connection = connect(path)
        await connection
        return connection

    engine = create_async_engine(
        "sqlite+aiosqlite://",
        async_creator=creator,
        hide_parameters=True,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=10,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        # The driver's own idea of when a transaction starts would leave reads before a write outside of it.
        connection.isolation_level = None
        cursor = connection.cursor()
        # Of a new file only. An envelope and its record fill two such pages; smaller ones would be strung together.
        cursor.execute("PRAGMA page_size=8192")
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name}={value}")
        cursor.close()

    return engine


def _begun(connection: Any) -> None:
    cursor = connection.connection.cursor()  # as broker.statements does, and for its reason
    cursor.execute("BEGIN")
    cursor.close()
