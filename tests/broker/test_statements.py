"""Statements compiled once: the same rows as SQLAlchemy's own execution, for any number of values."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, bindparam, insert, select, update

from broker import statements
from broker.statements import Statement, store
from broker.store import Store
from broker.tables import heads, seen
from schemas.errors import Refusal

FIND = Statement(
    lambda keys: select(seen.c.key, seen.c.idx).where(seen.c.key.in_(keys)).order_by(seen.c.key), "keys"
)
MOVE = Statement(
    lambda: update(heads).where(heads.c.name == bindparam("which")).values(size=bindparam("new"))
)
KEYS = [bytes([n]) * 32 for n in range(70)]


def fill(connection: Connection) -> None:
    store(connection, seen, [{"key": key, "idx": n or None, "until": 9} for n, key in enumerate(KEYS)])


@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33, 70])
async def test_any_number_of_values_finds_its_rows(tmp_path: Path, count: int):
    opened = Store(tmp_path / "a.db")
    await opened.open()
    async with opened.turn() as connection:
        await connection.run_sync(fill)
        rows = await connection.run_sync(lambda c: FIND.rows(c, keys=KEYS[:count]))
    await opened.close()
    assert [(row.key, row.idx) for row in rows] == [(key, n or None) for n, key in enumerate(KEYS[:count])]


async def test_what_is_not_there_is_not_found(tmp_path: Path):
    opened = Store(tmp_path / "a.db")
    await opened.open()
    async with opened.turn() as connection:
        assert await connection.run_sync(lambda c: FIND.rows(c, keys=KEYS[:5])) == []
        assert await connection.run_sync(lambda c: MOVE.run(c, which="none", new=3)) == 0
    await opened.close()


async def test_a_change_says_how_many_rows_it_changed(tmp_path: Path):
    opened = Store(tmp_path / "a.db")
    await opened.open()
    async with opened.turn() as connection:
        await connection.execute(insert(heads).values(name="test", size=1, note="n"))
        assert await connection.run_sync(lambda c: MOVE.run(c, which="test", new=7)) == 1
        moved = await connection.execute(select(heads.c.size).where(heads.c.name == "test"))
        assert moved.scalar_one() == 7
    await opened.close()


async def test_the_store_prepares_few_texts(tmp_path: Path):
    opened = Store(tmp_path / "a.db")
    await opened.open()
    statements._compiled.cache_clear()
    async with opened.turn() as connection:
        for count in range(1, 71):
            await connection.run_sync(lambda c, count=count: FIND.rows(c, keys=KEYS[:count]))
    await opened.close()
    assert statements._compiled.cache_info().currsize == 8


async def test_a_fault_of_the_driver_is_a_refusal_without_its_words(tmp_path: Path):
    opened = Store(tmp_path / "a.db")
    await opened.open()
    with pytest.raises(Refusal) as refused:
        async with opened.turn() as connection:
            await connection.run_sync(fill)
            await connection.run_sync(fill)  # the same keys once more
    assert refused.value.code == "UNAVAILABLE"
    assert "seen" not in str(refused.value)
    async with opened.turn() as connection:
        assert await connection.run_sync(lambda c: FIND.rows(c, keys=KEYS)) == []
    await opened.close()


async def test_what_is_read_together_is_of_one_moment(tmp_path: Path):
    opened = Store(tmp_path / "a.db")
    await opened.open()
    async with opened.reading() as reading:
        before = await reading.run_sync(lambda c: FIND.rows(c, keys=KEYS[:3]))
        async with opened.turn() as connection:
            await connection.run_sync(fill)
        assert await reading.run_sync(lambda c: FIND.rows(c, keys=KEYS[:3])) == before == []
    async with opened.reading() as reading:
        assert len(await reading.run_sync(lambda c: FIND.rows(c, keys=KEYS[:3]))) == 3
    await opened.close()
