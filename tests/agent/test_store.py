"""The agent's store: durable, locked, closed to anybody without its key."""

import secrets

import pytest
from sqlalchemy import insert, select

from agent.store import Store, note, read_kv, write_kv
from agent.tables import journal, kv
from schemas.errors import Refusal

KEY = bytes(range(32))


@pytest.fixture
async def store(tmp_path):
    opened = await Store.open(tmp_path / "agent.db", KEY, create=True)
    yield opened
    await opened.close()


def fill(c, count=400):
    for _ in range(count):
        note(c, 1, "x", secrets.token_hex(2000))


async def test_what_is_written_is_there_after_reopening(tmp_path):
    store = await Store.open(tmp_path / "agent.db", KEY, create=True)
    await store.run(lambda c: write_kv(c, "name", "value"))
    await store.close()
    again = await Store.open(tmp_path / "agent.db", KEY)
    assert await again.run(lambda c: read_kv(c, "name")) == "value"
    await again.close()


async def test_the_file_and_its_log_hold_no_plaintext(tmp_path, store):
    await store.run(lambda c: write_kv(c, "name", "CANARY-PLAINTEXT"))
    files = [p for p in tmp_path.iterdir() if p.name.startswith("agent.db")]
    assert len(files) >= 2
    assert not any(b"CANARY" in p.read_bytes() or b"SQLite format" in p.read_bytes() for p in files)


async def test_a_second_agent_on_the_same_store_is_refused(tmp_path, store):
    with pytest.raises(Refusal) as refusal:
        await Store.open(tmp_path / "agent.db", KEY)
    assert refusal.value.code == "STORE_BUSY"


async def test_the_store_may_be_opened_again_once_it_is_closed(tmp_path):
    for create in (True, False):
        store = await Store.open(tmp_path / "agent.db", KEY, create=create)
        await store.close()


async def test_another_key_does_not_open_it(tmp_path):
    store = await Store.open(tmp_path / "agent.db", KEY, create=True)
    await store.close()
    with pytest.raises(Refusal) as refusal:
        await Store.open(tmp_path / "agent.db", bytes(32))
    assert refusal.value.code == "STORE"


async def test_a_store_that_is_not_there_is_not_made_by_accident(tmp_path):
    with pytest.raises(Refusal) as refusal:
        await Store.open(tmp_path / "agent.db", KEY)
    assert refusal.value.code == "STORE"
    assert not (tmp_path / "agent.db").exists()


async def test_a_store_is_never_made_over_another(tmp_path, store):
    with pytest.raises(Refusal) as refusal:
        await Store.open(tmp_path / "agent.db", KEY, create=True)
    assert refusal.value.code == "EXISTS"


async def test_a_store_of_a_newer_program_is_refused(tmp_path):
    store = await Store.open(tmp_path / "agent.db", KEY, create=True)
    await store.run(lambda c: write_kv(c, "schema", "99"))
    await store.close()
    with pytest.raises(Refusal) as refusal:
        await Store.open(tmp_path / "agent.db", KEY)
    assert refusal.value.code == "STORE"


async def test_a_full_disk_refuses_and_changes_nothing(store):
    """SQLite's own page limit is a full disk as the store sees it."""
    pages = await store.run(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
    await store.run(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages + 20}").close())
    with pytest.raises(Refusal) as refusal:
        await store.run(fill)
    assert refusal.value.code == "DISK_FULL"
    assert refusal.value.retry
    assert await store.run(lambda c: c.execute(select(journal)).all()) == []
    await store.run(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").close())
    await store.run(fill)


async def test_a_refused_transaction_leaves_nothing_behind(store):
    def work(c):
        c.execute(insert(kv).values(name="half", value="done"))
        raise Refusal("CONFLICT")

    with pytest.raises(Refusal):
        await store.run(work)
    assert await store.run(lambda c: read_kv(c, "half")) is None


async def test_the_store_syncs_fully_before_it_answers(store):
    pragmas = await store.run(
        lambda c: (
            c.exec_driver_sql("PRAGMA journal_mode").scalar(),
            c.exec_driver_sql("PRAGMA synchronous").scalar(),
            c.exec_driver_sql("PRAGMA secure_delete").scalar(),
        )
    )
    assert pragmas == ("wal", 2, 1)


async def test_the_store_is_for_its_owner_only(tmp_path, store):
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name
