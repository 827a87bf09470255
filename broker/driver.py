"""The SQLite driver's connection, with one difference: only what waits for the disk goes to its thread.

aiosqlite hands every call to a thread and back, which costs a hundred times what most statements take, and two
threads that both want the interpreter keep each other waiting. Statements here touch memory and the page cache, in
microseconds; a commit waits for the disk (synchronous=FULL), and so does emptying the write-ahead log. Taking the
write lock waits for whoever else holds it, a backup perhaps: nobody's requests may stand still for that.

This leans on aiosqlite's `_execute`, which every call of its connection and cursors goes through; a test holds it to
that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite

PATIENCE = 5000
"""Milliseconds to wait for a lock that somebody else holds."""


class Connection(aiosqlite.Connection):
    """A connection whose statements run where they are asked for, and whose commits run in its thread."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._connection is None or fn == self._connection.commit:
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]  # ships no types
        return fn(*args, **kwargs)

    async def lock(self) -> None:
        """Begin a transaction that writes: here, unless somebody else holds the lock, a backup perhaps.

        Raises:
            sqlite3.OperationalError: whoever holds it did not let go in time.
        """
        if not self._locked_at_once():
            await super()._execute(self._lock)  # type: ignore[no-untyped-call]  # it may take its time

    def _locked_at_once(self) -> bool:
        self._conn.execute("PRAGMA busy_timeout=0").close()
        try:
            self._lock()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            return False
        finally:
            self._conn.execute(f"PRAGMA busy_timeout={PATIENCE}").close()
        return True

    def _lock(self) -> None:
        self._conn.execute("BEGIN IMMEDIATE").close()

    def at_once(self) -> sqlite3.Cursor:
        """A cursor whose statements run here, without asking whether they belong in the thread: never a commit."""
        return self._conn.cursor()

    async def empty_log(self) -> None:
        """Empty the write-ahead log, in the thread; it works only outside of any transaction."""

        def empty() -> None:
            # Closed at once: a cursor that stays open would hold the lock that the next turn needs.
            self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

        await super()._execute(empty)  # type: ignore[no-untyped-call]  # ships no types


def connect(path: Path) -> Connection:
    """A connection to the file at `path`; await it before use."""
    connection = Connection(partial(sqlite3.connect, path, check_same_thread=False), iter_chunk_size=64)
    # As SQLAlchemy does for connections that it makes itself: a thread that waits must not hold up the exit.
    connection._thread.daemon = True  # noqa: SLF001 -- it has no other name
    return connection
