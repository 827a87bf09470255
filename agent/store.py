"""The agent's store: one SQLCipher file, one thread, one agent (PROTOCOL.md G2).

Rules of this house:
- a transaction that returns is on the disk (WAL, synchronous=FULL, both checked at start);
- the file is locked while an agent runs: two agents on one store would each hand over what the other collected;
- a full disk refuses with DISK_FULL and changes nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import sqlalchemy
import sqlcipher3.dbapi2
from sqlalchemy import Connection, Engine, event, insert, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from agent import directory_tables, tables
from schemas.errors import Refusal

T = TypeVar("T")
JOURNAL_KEPT = 20_000
JOURNAL_LINE = insert(tables.journal)


class Store:
    """An open store. `run` gives a function a connection inside one transaction, in the store's own thread."""

    def __init__(self, engine: Engine, thread: ThreadPoolExecutor, lock: int) -> None:
        self._engine = engine
        self._line: Connection | None = None  # the thread's, opened once: a transaction begins and ends on it
        self._thread = thread
        self._lock = lock

    @classmethod
    async def open(cls, path: Path, key: bytes, *, create: bool = False) -> Store:
        """Open the store at `path` with its 32-byte key.

        Raises:
            Refusal: STORE_BUSY, STORE (missing, wrong key, newer version, not durable), EXISTS, DISK_FULL.
        """
        _expect(path, there=not create)
        lock = _take_lock(path.with_suffix(".lock"))
        thread = ThreadPoolExecutor(1, "store")
        try:
            engine = await asyncio.get_running_loop().run_in_executor(thread, _open, path, key)
        except BaseException:
            thread.shutdown()
            os.close(lock)
            raise
        return cls(engine, thread, lock)

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one durable transaction.

        Raises:
            Refusal: whatever `work` refuses (nothing is then changed); DISK_FULL; STORE.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    async def empty_log(self) -> None:
        """Empty the write-ahead log, so that what was erased is not left in it. Raises Refusal DISK_FULL, STORE."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._empty_log)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._hang_up)
        self._thread.shutdown()
        os.close(self._lock)

    def _empty_log(self) -> None:
        connection = self._engine.raw_connection()
        try:
            connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()  # type: ignore[union-attr]
        except sqlcipher3.dbapi2.Error as error:
            raise Refusal("STORE") from error
        finally:
            connection.close()

    def _run(self, work: Callable[[Connection], T]) -> T:
        try:
            line = self._line = self._line or self._engine.connect()
            with line.begin():
                return work(line)
        except DatabaseError as error:
            raise _refusal(error) from error

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.close()
        self._engine.dispose()


def _expect(path: Path, *, there: bool) -> None:
    if there and not path.exists():
        raise Refusal("STORE", "There is no store here yet. Run: fenpost-agent init")
    if path.exists() and not there:
        raise Refusal("EXISTS", detail=(path.name,))


def _open(path: Path, key: bytes) -> Engine:
    engine = sqlalchemy.create_engine(
        "sqlite://",
        module=sqlcipher3.dbapi2,
        creator=lambda: _connect(path, key),
        poolclass=StaticPool,
        hide_parameters=True,
    )
    # The driver would open transactions by itself, and late: a read and the write after it must be one.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.connect() as connection:
            _check_durable(connection)
        with engine.begin() as connection:
            directory_tables.statements.metadata.create_all(connection)  # of all tables, the others too
            _check_schema(connection)
    except DatabaseError as error:
        engine.dispose()
        raise _refusal(error) from error
    except Refusal:
        engine.dispose()
        raise
    return engine


def _connect(path: Path, key: bytes) -> sqlcipher3.dbapi2.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    connection = sqlcipher3.dbapi2.connect(str(path), isolation_level=None, timeout=10)
    for pragma in (
        "cipher_log_level = NONE",
        f"key = \"x'{key.hex()}'\"",
        "journal_mode = WAL",
        "synchronous = FULL",
        "secure_delete = ON",
        "temp_store = MEMORY",
        "cache_size = -1024",
        "journal_size_limit = 16777216",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
    return connection


def _check_durable(connection: Connection) -> None:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
    level = connection.exec_driver_sql("PRAGMA synchronous").scalar()
    if mode != "wal" or level != 2:
        raise Refusal("STORE", "The store cannot be made durable on this disk. Move it to a local disk.")


def _check_schema(connection: Connection) -> None:
    found = read_kv(connection, "schema")
    if found is None:
        write_kv(connection, "schema", tables.SCHEMA)
    elif found != tables.SCHEMA:
        raise Refusal("STORE", "The store was written by another version of the agent. Update this program.")


def _refusal(error: DatabaseError) -> Refusal:
    words = str(error.orig)
    if "full" in words or "disk I/O" in words:
        return Refusal("DISK_FULL")
    return Refusal("STORE")


def _take_lock(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Refusal("STORE") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise Refusal("STORE_BUSY") from error
    return handle


def read_kv(connection: Connection, name: str) -> str | None:
    """A named value, or None."""
    return connection.execute(select(tables.kv.c.value).where(tables.kv.c.name == name)).scalar()


def write_kv(connection: Connection, name: str, value: str) -> None:
    connection.execute(insert(tables.kv).prefix_with("OR REPLACE").values(name=name, value=value))


def note(connection: Connection, ts: int, event_name: str, code: str, eid: str | None = None) -> None:
    """Write a line of the local journal: what happened and its exact code, for this agency's eyes only."""
    values = {"ts": ts, "event": event_name, "code": code, "eid": eid}
    row = connection.execute(JOURNAL_LINE, values).inserted_primary_key
    if row is not None and row[0] % 1000 == 0:
        connection.execute(tables.journal.delete().where(tables.journal.c.n <= row[0] - JOURNAL_KEPT))
