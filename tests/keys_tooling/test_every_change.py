"""Five hundred single changes to a stored mirror and fifty forks: each is found, and the first bad entry is named."""

import random
import secrets
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from keys_tooling.audit.findings import Report
from keys_tooling.audit.mirror import Mirror
from keys_tooling.audit.mirror_file import FILE
from keys_tooling.audit.verify import verify
from schemas.errors import Refusal
from tests.keys_tooling.mirrored import pull
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import World

ENTRIES, CHANGES, FORKS = 48, 500, 50
Change = Callable[[sqlite3.Connection, int, random.Random], None]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.found(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS")


@pytest.fixture
async def relay(world: World, tmp_path: Path) -> PaperRelay:
    """Messages with their sender's records and events without; pulled in three parts into tmp_path/m."""
    relay = PaperRelay(world)
    (tmp_path / "m").mkdir()
    for _ in range(3):
        for _ in range(ENTRIES // 12):
            relay.accept(world.seal("Peacock", "IDVAS"), "Peacock", "IDVAS")
            relay.fill(3)
        await pull(relay, tmp_path / "m")
    return relay


def flip(column: str) -> Change:
    """One bit of one cell."""

    def change(database: sqlite3.Connection, at: int, dice: random.Random) -> None:
        data = bytearray(database.execute(f"SELECT {column} FROM entry WHERE i = ?", (at,)).fetchone()[0])
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        database.execute(f"UPDATE entry SET {column} = ? WHERE i = ?", (bytes(data), at))

    return change


def cut(column: str) -> Change:
    def change(database: sqlite3.Connection, at: int, dice: random.Random) -> None:
        data = database.execute(f"SELECT {column} FROM entry WHERE i = ?", (at,)).fetchone()[0]
        database.execute(
            f"UPDATE entry SET {column} = ? WHERE i = ?", (data[: dice.randrange(len(data))], at)
        )

    return change


def taken(column: str) -> Change:
    """Another entry's in its place."""

    def change(database: sqlite3.Connection, at: int, dice: random.Random) -> None:
        own = database.execute(f"SELECT {column} FROM entry WHERE i = ?", (at,)).fetchone()[0]
        others = database.execute(f"SELECT {column} FROM entry WHERE {column} != ?", (own,)).fetchall()
        database.execute(f"UPDATE entry SET {column} = ? WHERE i = ?", (dice.choice(others)[0], at))

    return change


def removed(database: sqlite3.Connection, at: int, _dice: random.Random) -> None:
    database.execute("DELETE FROM entry WHERE i = ?", (at,))


def moved(database: sqlite3.Connection, at: int, _dice: random.Random) -> None:
    database.execute("UPDATE entry SET i = 100000 WHERE i = ?", (at,))


def emptied(database: sqlite3.Connection, at: int, _dice: random.Random) -> None:
    database.execute("UPDATE entry SET relay = x'', sender = x'', mark = x'' WHERE i = ?", (at,))


ANY: dict[str, Change] = {
    "a bit of the leaf": flip("leaf"),
    "a bit of the hash": flip("hash"),
    "a bit of the record": flip("relay"),
    "the leaf cut": cut("leaf"),
    "the hash cut": cut("hash"),
    "the record cut": cut("relay"),
    "another's leaf": taken("leaf"),
    "another's hash": taken("hash"),
    "another's record": taken("relay"),
    "removed": removed,
    "moved": moved,
    "record emptied": emptied,
}
WITH_SENDER: dict[str, Change] = {
    "a bit of the sender's record": flip("sender"),
    "the sender's record cut": cut("sender"),
    "another's sender's record": taken("sender"),
    "a bit of the mark": flip("mark"),
}


def found(world: World, database: sqlite3.Connection) -> Report:
    return verify(Mirror(database), world.founded.partnership, lambda _at: None)


async def test_each_of_five_hundred_changes_is_found_at_its_entry(
    world: World, relay: PaperRelay, tmp_path: Path
):
    dice, missed = random.Random(0), []
    with sqlite3.connect(tmp_path / "m" / FILE) as database:
        assert found(world, database).whole
        size = relay.size
        senders = [row[0] for row in database.execute("SELECT i FROM entry WHERE length(sender) > 0")]
        for number in range(CHANGES):
            kinds = {**ANY, **WITH_SENDER} if number % 3 else WITH_SENDER
            name = dice.choice(sorted(kinds))
            at = dice.choice(senders) if name in WITH_SENDER else dice.randrange(size)
            kinds[name](database, at, dice)
            report = found(world, database)
            first = report.ordered()[0] if report.findings else None
            if first is None or (first.log, first.position) != ("log", at):
                missed.append((name, at, first))
            database.rollback()
        assert found(world, database).whole
    database.close()
    assert missed == []


async def test_a_change_to_any_checkpoint_or_statement_is_found(
    world: World, relay: PaperRelay, tmp_path: Path
):
    dice = random.Random(1)
    with sqlite3.connect(tmp_path / "m" / FILE) as database:
        for table, column, key in (
            ("note", "text", "n"),
            ("head", "text", "n"),
            ("statement", "text", "n"),
            ("statement", "signature", "n"),
        ):
            for row, data in database.execute(f"SELECT {key}, {column} FROM {table}").fetchall():
                changed = bytearray(data.encode() if isinstance(data, str) else data)
                changed[dice.randrange(len(changed))] ^= 1
                value = changed.decode(errors="replace") if isinstance(data, str) else bytes(changed)
                database.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (value, row))
                assert not found(world, database).whole, (table, column, row)
                database.rollback()
    database.close()


async def test_fifty_forks_are_refused_and_stay_on_record(world: World, relay: PaperRelay, tmp_path: Path):
    dice = random.Random(2)
    leaves, blobs = list(relay.leaves), list(relay.blobs)
    for number in range(FORKS):
        folder = tmp_path / f"fork-{number}"
        shutil.copytree(tmp_path / "m", folder)
        relay.leaves, relay.blobs = list(leaves), list(blobs)
        at, more = dice.randrange(len(leaves)), dice.randrange(4)
        leaf = bytearray(leaves[at])
        leaf[dice.randrange(1, 97)] ^= 1
        relay.leaves[at] = bytes(leaf)
        relay.fill(more)
        with pytest.raises(Refusal, match="FORK"):
            await pull(relay, folder)
        with sqlite3.connect(folder / FILE) as database:
            report = found(world, database)
        database.close()
        kind = "unproven" if more else "fork"
        assert [(f.kind, f.position) for f in report.ordered()] == [(kind, len(leaves) + more)], number


async def test_a_rollback_to_any_size_is_refused(world: World, relay: PaperRelay, tmp_path: Path):
    for shown in secrets.SystemRandom().sample(range(relay.size), 10):
        relay.shown = shown
        with pytest.raises(Refusal, match="ROLLBACK"):
            await pull(relay, tmp_path / "m")
