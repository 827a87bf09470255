"""The SQLite driver: what runs where it is asked for, and what waits for the disk in a thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

from broker.driver import connect


async def test_statements_run_here_and_commits_run_in_the_thread(tmp_path: Path) -> None:
    where: list[tuple[str, int]] = []

    class Watched(sqlite3.Connection):
        def commit(self) -> None:
            where.append(("commit", threading.get_ident()))
            super().commit()

        def cursor(self, *args: type[sqlite3.Cursor]) -> sqlite3.Cursor:
            where.append(("cursor", threading.get_ident()))
            return super().cursor(*args)

    connection = connect(tmp_path / "watched.db")
    connection._connector = lambda: sqlite3.connect(
        tmp_path / "watched.db", check_same_thread=False, factory=Watched
    )
    await connection
    try:
        cursor = await connection.cursor()
        await cursor.execute("CREATE TABLE facts (it BLOB)")
        await cursor.executemany("INSERT INTO facts VALUES (?)", [(b"1",), (b"2",)])
        await connection.commit()
        await cursor.execute("SELECT count(*) FROM facts")
        assert await cursor.fetchone() == (2,)
        await connection.empty_log()
    finally:
        await connection.close()
    here = threading.get_ident()
    assert {thread for name, thread in where if name == "cursor"} == {here}
    assert here not in {thread for name, thread in where if name == "commit"}


async def test_waiting_for_somebody_elses_lock_leaves_the_loop_free(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "held.db", isolation_level=None)
    other.execute("CREATE TABLE facts (it BLOB)")
    other.execute("BEGIN IMMEDIATE")
    connection = connect(tmp_path / "held.db")
    await connection
    try:
        taking = asyncio.create_task(connection.lock())
        for _ in range(5):  # a loop that stood still would never come round to let the lock go
            await asyncio.sleep(0.01)
        assert not taking.done()
        other.execute("COMMIT")
        await taking
    finally:
        await connection.close()
        other.close()
