"""A turn is whole or it is not: a fault in the middle of one piece leaves nothing of it, and takes nobody else along."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import aiohttp
import pytest

from schemas import api
from schemas.canonical import unb64
from schemas.record import SealedRecord
from schemas.record_sealing import epoch_tag
from tests.broker.leads import EMERGENCY, REFUSED, one, risky
from tests.simulated_world import NO_PERSON, World

pytestmark = pytest.mark.usefixtures("people")
TABLES = ("envelopes", "deliveries", "leaves", "records", "notices", "dues", "holds", "inquiries")


def opened(world: World) -> sqlite3.Connection:
    return sqlite3.connect(world.folder / "relay" / "relay.db", isolation_level=None)


@contextmanager
def spoiled(world: World, table: str, how: str = "ABORT") -> Iterator[None]:
    """The store refuses rows of one table, as it does when a disk fails; ROLLBACK is what SQLite does by itself then."""
    with closing(opened(world)) as db:
        db.execute(f"CREATE TRIGGER spoil BEFORE INSERT ON {table} BEGIN SELECT RAISE({how}, 'io'); END")
        yield
        db.execute("DROP TRIGGER spoil")


def counts(world: World) -> dict[str, int]:
    with closing(opened(world)) as db:
        return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}


ASKED = {"law": {**NO_PERSON, "asks": ["risk"]}, "cls": "INFOREQ", "categories": ("ask",)}
CASES = {
    "a RED that asks for a lead": ("dues", {"law": EMERGENCY, "rag": "RED"}, "accepted"),
    "a message that waits": ("holds", {"law": REFUSED, "rag": "AMBER"}, "held"),
    "a request": ("inquiries", ASKED, "accepted"),
}


@pytest.mark.parametrize("how", ["ABORT", "ROLLBACK"])
@pytest.mark.parametrize(("table", "fields", "after"), CASES.values(), ids=CASES)
async def test_what_fails_in_the_middle_leaves_nothing_and_comes_whole_the_next_time(
    world: World, http: aiohttp.ClientSession, table: str, fields: dict[str, Any], after: str, how: str
):
    sealed = world.seal("Peacock", "IDVAS", **fields)
    nothing = counts(world)
    with spoiled(world, table, how):
        assert (await one(world, http, sealed))["code"] == "UNAVAILABLE"
        assert counts(world) == nothing
        assert (await one(world, http, world.seal("Peacock", "IDVAS")))["status"] == "accepted"
    assert (await one(world, http, sealed))["status"] == after
    assert counts(world)[table] == 1
    page = await world.mailbox(http, "IDVAS")
    assert len(page.deliveries) == (2 if after == "accepted" else 1)


async def test_a_fault_in_one_piece_undoes_it_and_not_its_neighbours(
    world: World, http: aiohttp.ClientSession
):
    bad = world.seal("Peacock", "IDVAS", law=EMERGENCY, rag="RED")
    good = [world.seal("Peacock", "IDVAS") for _ in range(6)]
    with spoiled(world, "dues"), closing(opened(world)) as lock:
        lock.execute("BEGIN IMMEDIATE")  # so that they wait together and share a turn
        answers = [asyncio.create_task(one(world, http, each)) for each in (good[0], bad, *good[1:])]
        await asyncio.sleep(0.3)
        lock.execute("ROLLBACK")
        told = [(await answer)["status"] for answer in answers]
    assert told.count("accepted") == 6
    assert told[1] != "accepted"
    assert len((await world.mailbox(http, "IDVAS")).deliveries) == 6
    assert counts(world)["leaves"] == 6


async def test_a_mailbox_that_cannot_be_read_takes_nobody_else_along(
    world: World, http: aiohttp.ClientSession
):
    good = [world.seal("Peacock", "IDVAS") for _ in range(4)]
    with closing(opened(world)) as db:
        db.execute("ALTER TABLE notices RENAME TO elsewhere")
        db.execute("BEGIN IMMEDIATE")  # so that they wait together and share a turn
        answers = [asyncio.create_task(one(world, http, good[0]))]
        await asyncio.sleep(0.1)
        page = asyncio.create_task(world.call(http, "IDVAS", "GET", api.MAILBOX, "wait=0&limit=64"))
        answers += [asyncio.create_task(one(world, http, each)) for each in good[1:]]
        await asyncio.sleep(0.3)
        db.execute("ROLLBACK")
        assert (await page).json()["code"] == "UNAVAILABLE"
        assert [(await answer)["status"] for answer in answers] == ["accepted"] * 4
        db.execute("ALTER TABLE elsewhere RENAME TO notices")
    assert len((await world.mailbox(http, "IDVAS")).deliveries) == 4


async def test_the_other_uploads_of_a_request_go_with_the_one_that_fails(
    world: World, http: aiohttp.ClientSession
):
    both = world.seal("Peacock", "IDVAS"), world.seal("Peacock", "IDVAS", law=EMERGENCY, rag="RED")
    nothing = counts(world)
    with spoiled(world, "dues"):
        assert (await world.post_envelopes(http, "Peacock", *both)).status == 503
        assert counts(world) == nothing
    answer = await world.post_envelopes(http, "Peacock", *both)
    assert [result["status"] for result in answer.json()["results"]] == ["accepted", "accepted"]


async def test_what_comes_again_in_the_turn_in_which_it_is_held_is_held(
    world: World, http: aiohttp.ClientSession
):
    sealed = risky(world)
    answer = await world.post_envelopes(http, "Peacock", sealed, sealed)
    assert [result["status"] for result in answer.json()["results"]] == ["held", "held"]


async def test_a_record_has_its_readers_when_an_epoch_ends_while_a_turn_waits(
    world: World, relay: Any, http: aiohttp.ClientSession
):
    epochs = relay.sequencer._epochs
    assert (await one(world, http, world.seal("Peacock", "IDVAS")))["status"] == "accepted"
    with closing(opened(world)) as lock:
        world.clock.advance(59)
        lock.execute("BEGIN IMMEDIATE")  # a backup
        answer = asyncio.create_task(one(world, http, world.seal("Peacock", "IDVAS")))
        await asyncio.sleep(0.3)
        world.clock.advance(2)
        relay.sequencer.forget()  # as the sweeper does every second
        lock.execute("ROLLBACK")
        assert (await answer)["status"] == "accepted"
        (record,) = lock.execute("SELECT relay FROM records ORDER BY idx DESC LIMIT 1").fetchone()
    head = SealedRecord.parse(record).head
    assert unb64(head.ctx, 32)
    readers = sum(epoch_tag(head.ctx.encode(), key) in head.to for key in epochs.keys.values())
    assert readers == 3


async def test_a_calculator_that_is_killed_under_load_costs_nobody_anything(
    world: World, relay: Any, http: aiohttp.ClientSession
):
    """Whatever it had in hand is done here: every message is taken, and every record opens for its readers."""
    killed = 0

    async def kill() -> None:
        nonlocal killed
        while True:
            await asyncio.sleep(0.02)
            process = relay.calculator._line.process
            if relay.calculator.busy and process is not None and killed < 2:
                process.send_signal(signal.SIGKILL)
                killed += 1

    killer = asyncio.create_task(kill())
    sealed, told = [], []
    for _ in range(
        10
    ):  # where the machine has much else to do, the calculator may come too late for the first
        sealed += [world.seal("Peacock", "IDVAS") for _ in range(150)]
        told += await asyncio.gather(*(one(world, http, each) for each in sealed[-150:]))
        if killed:
            break
    killer.cancel()
    assert killed
    assert [result["status"] for result in told] == ["accepted"] * len(sealed)
    keys = list(relay.sequencer._epochs.keys.values())
    with closing(opened(world)) as db:
        records = [
            row[0]
            for row in db.execute("SELECT relay FROM records ORDER BY idx DESC LIMIT ?", (len(sealed),))
        ]
    for record in records:
        head = SealedRecord.parse(record).head
        assert sum(epoch_tag(head.ctx.encode(), key) in head.to for key in keys) == 3
