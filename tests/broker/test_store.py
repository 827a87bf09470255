"""What the relay keeps: everything that it acknowledged, and no more than it needs."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from broker.migrations import HEAD
from broker.slices import ROUND
from broker.store import WRITER_PRAGMAS, Store
from broker.sweeping import NOTICE_KEPT
from broker.turn import HOUR
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.override import MID_KEPT
from schemas.request import NONCE_KEPT
from tests.simulated_world import World

DAY = 24 * 3600


def rows(world: World, table: str) -> int:
    connection = sqlite3.connect(f"file:{world.folder / 'relay' / 'relay.db'}?mode=ro", uri=True)
    try:
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return count
    finally:
        connection.close()


async def test_a_restart_keeps_everything(world: World):
    async with world.relay(), world.session() as http:
        grant = world.grant("Peacock", "IDVAS")
        status = world.status("Peacock", grant)
        await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
        resting = world.seal("Peacock", "IDVAS", grant=grant, status=status)
        for sealed in (resting, world.seal("Peacock", "IDVAS")):
            await world.post_envelopes(http, "Peacock", sealed)
        before = await world.mailbox(http, "IDVAS")
    async with world.relay(), world.session() as http:
        after = await world.mailbox(http, "IDVAS")
        assert [d.to_bytes() for d in after.deliveries] == [d.to_bytes() for d in before.deliveries]
        answer = await world.post_envelopes(http, "Peacock", resting)
        assert answer.json()["results"][0]["status"] == "repeat"
        withdrawn = await world.post_statements(http, "IDVAS", ("withdraw", world.withdrawal("IDVAS", grant)))
        assert withdrawn.json()["results"][0]["stopped"] == 1


async def test_what_has_ended_leaves_nothing_but_hashes_and_sealed_records(world: World, relay, http):
    sealed = world.seal("Peacock", "IDVAS", "Harbour")
    await world.post_envelopes(http, "Peacock", sealed)
    for party in ("IDVAS", "Harbour"):
        (delivery,) = (await world.mailbox(http, party)).deliveries
        await world.post_receipts(http, party, world.receipt(party, delivery, "taken-on"))
        assert rows(world, "deliveries") == (2 if party == "IDVAS" else 0)
    notices = (await world.mailbox(http, "Peacock")).head.notices
    await world.post_receipts(http, "Peacock", notices=tuple(notice.id for notice in notices))
    for table in ("envelopes", "deliveries", "notices", "grants", "statuses"):
        assert (table, rows(world, table)) == (table, 0)
    await relay.sequencer.shrink()
    folder = world.folder / "relay"
    kept = b"".join(path.read_bytes() for path in sorted(folder.glob("relay.db*")))
    upload = sealed.upload
    traces = {
        "message id": sealed.mid.encode(), "header": upload.envelope.header_bytes[20:120], "body": upload.envelope.body[:64],
        "wrap": upload.wraps[0][:64], "signature": upload.envelope.sig, "record": upload.record[200:300],
        "desk": b"intake\x00queued",
    }  # fmt: skip
    assert [name for name, trace in traces.items() if trace in kept] == []
    assert upload.envelope.eid in kept  # the leaf's tag, and the id that must not come twice


async def test_one_desk_that_ended_leaves_no_wrap(world: World, relay, http):
    sealed = world.seal("Peacock", "IDVAS", "Harbour")
    await world.post_envelopes(http, "Peacock", sealed)
    (delivery,) = (await world.mailbox(http, "IDVAS")).deliveries
    await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", delivery, "rejected"))
    await relay.sequencer.shrink()
    kept = b"".join(path.read_bytes() for path in (world.folder / "relay").glob("relay.db*"))
    assert sealed.upload.wraps[0][:64] not in kept
    assert sealed.upload.wraps[1][:64] in kept


async def test_expiry_ends_what_nobody_took_on_and_tells_the_sender(world: World, relay, http):
    sealed = world.seal("Peacock", "IDVAS", "Harbour", exp=world.now + 100)
    await world.post_envelopes(http, "Peacock", sealed)
    (delivery,) = (await world.mailbox(http, "Harbour")).deliveries
    await world.post_receipts(http, "Harbour", world.receipt("Harbour", delivery, "opened"))
    size = relay.relay.log.size
    world.clock.advance(100)
    assert (await world.mailbox(http, "IDVAS")).deliveries == ()  # even before the sweeper came by
    await relay.sweeper.sweep()
    assert (rows(world, "envelopes"), rows(world, "deliveries")) == (0, 0)
    assert relay.relay.log.size == size + 2
    told = [n for n in (await world.mailbox(http, "Peacock")).head.notices if n.kind == "expired"]
    assert {(n.a, n.eid, n.mid) for n in told} == {
        (world.parties[name].id, sealed.eid, sealed.mid) for name in ("IDVAS", "Harbour")
    }
    assert [n.kind for n in (await world.mailbox(http, "Harbour")).head.notices] == ["expired"]
    assert (await world.mailbox(http, "IDVAS")).head.notices == ()
    late = await world.post_receipts(http, "Harbour", world.receipt("Harbour", delivery, "taken-on"))
    assert late.json()["results"][0]["code"] == "ENDED"


async def test_what_was_taken_on_does_not_expire(world: World, relay, http):
    await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS", exp=world.now + 100))
    (delivery,) = (await world.mailbox(http, "IDVAS")).deliveries
    await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", delivery, "taken-on"))
    world.clock.advance(200)
    await relay.sweeper.sweep()
    assert [n.kind for n in (await world.mailbox(http, "Peacock")).head.notices] == ["receipt"]


async def test_hashes_are_forgotten_two_days_after_the_expiry(world: World, relay, http):
    sealed = world.seal("Peacock", "IDVAS", exp=world.now + 100)
    await world.post_envelopes(http, "Peacock", sealed)
    await relay.sweeper.sweep()
    assert rows(world, "seen") == 3  # envelope id, message id, nonce
    with sqlite3.connect(world.folder / "relay" / "relay.db") as db:
        assert {until % HOUR for (until,) in db.execute("SELECT until FROM seen")} == {0}
    world.clock.advance(100)
    await relay.sweeper.sweep()
    assert rows(world, "seen") == 4  # the expiry is new
    world.clock.advance(NONCE_KEPT + HOUR + ROUND)
    await relay.sweeper.sweep()
    assert rows(world, "seen") == 3  # the nonce is gone
    world.clock.advance(2 * DAY)
    await relay.sweeper.sweep()
    # Only the message id is kept for longer: an override for it may still live, and must not let it go twice.
    assert rows(world, "seen") == 1
    assert rows(world, "notices") == 1
    world.clock.advance(MID_KEPT)
    await relay.sweeper.sweep()
    assert rows(world, "seen") == 0
    world.clock.advance(NOTICE_KEPT)
    await relay.sweeper.sweep()
    assert rows(world, "notices") == 0


async def test_an_expired_envelope_sent_again_is_refused_and_still_a_repeat(world: World, relay, http):
    sealed = world.seal("Peacock", "IDVAS", exp=world.now + 100)
    await world.post_envelopes(http, "Peacock", sealed)
    world.clock.advance(101)
    await relay.sweeper.sweep()
    answer = await world.post_envelopes(http, "Peacock", sealed)
    assert answer.json()["results"][0]["status"] == "repeat"
    assert (await world.mailbox(http, "IDVAS")).deliveries == ()


async def test_old_agreements_are_forgotten_after_their_messages(world: World, relay, http):
    grant = world.grant("Peacock", "IDVAS", exp=world.now + DAY)
    await world.post_statements(http, "Peacock", ("grant", grant), ("status", world.status("Peacock", grant)))
    world.clock.advance(2 * DAY)
    await relay.sweeper.sweep()
    assert (rows(world, "grants"), rows(world, "statuses")) == (1, 0)
    world.clock.advance(14 * DAY)
    await relay.sweeper.sweep()
    assert rows(world, "grants") == 0


async def test_a_full_disk_accepts_nothing_and_says_so(world: World, relay, http):
    async with relay.store.turn() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    size = relay.relay.log.size
    for _ in range(5):  # the first may still fit into free pages
        sealed = world.seal("Peacock", "IDVAS", payload="x" * 60_000)
        answer = await world.post_envelopes(http, "Peacock", sealed)
        assert (answer.status, answer.json()["code"], answer.json()["party"]) == (507, "DISK_FULL", "relay")
        assert answer.headers["Retry-After"]
    assert relay.relay.log.size == size
    async with http.get("/readyz") as response:
        assert response.status == 503
    async with relay.store.turn() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1000000"))
    assert (await world.post_envelopes(http, "Peacock", sealed)).status == 200
    assert len((await world.mailbox(http, "IDVAS")).deliveries) == 1


async def test_a_store_that_cannot_be_written_lets_nobody_in(world: World, relay, http):
    other = sqlite3.connect(world.folder / "relay" / "relay.db", isolation_level=None)
    async with relay.store.turn() as connection:
        await connection.execute(text("PRAGMA busy_timeout = 50"))
    other.execute("BEGIN IMMEDIATE")
    answer = await world.call(http, "IDVAS", "GET", "/v1/mailbox", "limit=1&wait=0")
    assert (answer.status, answer.json()["code"]) == (503, "UNAVAILABLE")
    other.execute("ROLLBACK")
    other.close()
    assert (await world.mailbox(http, "IDVAS")).head.items == ()


async def test_a_log_that_somebody_else_moved_stops_the_writer(world: World, relay, http):
    other = sqlite3.connect(world.folder / "relay" / "relay.db", isolation_level=None)
    other.execute("UPDATE heads SET size = 7 WHERE name = 'log'")
    other.close()
    answer = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
    assert (answer.status, answer.json()["code"]) == (503, "UNAVAILABLE")
    assert (rows(world, "leaves"), rows(world, "envelopes")) == (0, 0)


async def test_one_faulty_piece_of_work_does_not_take_the_others_along(
    world: World, relay, http, monkeypatch
):
    from broker import submission

    bad, good = world.seal("Peacock", "IDVAS"), [world.seal("Peacock", "IDVAS") for _ in range(5)]
    judge = submission.judge

    def faulty(item, *rest):
        if b64(item.eid) == bad.eid:
            raise ZeroDivisionError
        return judge(item, *rest)

    monkeypatch.setattr(submission, "judge", faulty)
    answers = await asyncio.gather(*(world.post_envelopes(http, "Peacock", one) for one in (*good, bad)))
    assert [answer.status for answer in answers] == [200] * 5 + [500]
    assert answers[-1].json()["code"] == "FAULT"
    assert len((await world.mailbox(http, "IDVAS")).deliveries) == 5


async def test_the_store_is_durable_by_its_own_word(world: World, relay):
    async with relay.store.turn() as connection:
        said = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "secure_delete")
        ]
    assert said == ["wal", 2, 1]


async def test_a_store_that_does_not_keep_what_it_is_told_stops_the_start(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    """What a file system does with WAL or syncs is asked of the store: a page size that has been chosen stands for it."""
    async with world.relay():
        pass
    monkeypatch.setitem(WRITER_PRAGMAS, "page_size", "1024")
    with pytest.raises(Refusal, match="does not keep page_size=1024") as refused:
        async with world.relay():
            pass
    assert refused.value.code == "SETTINGS"


async def test_a_store_from_a_newer_relay_is_left_alone(world: World):
    async with world.relay():
        pass
    database = world.folder / "relay" / "relay.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Refusal) as refused:
        async with world.relay():
            pass
    assert refused.value.code == "SETTINGS"
    assert "newer" in refused.value.say


async def test_the_newest_migration_makes_exactly_the_tables(tmp_path: Path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from broker.tables import metadata

    assert ScriptDirectory("broker/migrations").get_current_head() == HEAD
    store = Store(tmp_path / "relay.db")
    assert await store.open() == "empty"
    async with store.turn() as connection:
        assert (
            await connection.run_sync(lambda c: compare_metadata(MigrationContext.configure(c), metadata))
            == []
        )
    await store.close()
    store = Store(tmp_path / "relay.db")
    assert await store.open() == HEAD
    await store.close()


async def test_a_reader_cannot_write(world: World, relay):
    with pytest.raises(Refusal):
        async with relay.store.reading() as connection:
            await connection.execute(text("DELETE FROM leaves"))


async def test_a_turn_that_the_store_undid_by_itself_is_not_called_kept(relay):
    """After some errors SQLite undoes a transaction; a commit of nothing would succeed."""
    with pytest.raises(Refusal, match="UNAVAILABLE"):
        async with relay.store.turn():
            relay.store._driver._conn.execute("ROLLBACK")
    async with relay.store.turn() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM leaves"))).scalar() is not None
