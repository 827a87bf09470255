"""A relay whose database went back does not start; and the ways on are open, said in numbers, and on record (L23, L24)."""

import asyncio
import json
import secrets
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from broker import repairs
from broker.anchor import Anchor, Anchoring, Kept
from broker.ledger import Ledger, sign
from broker.settings import load
from keys_tooling.audit.mirror_file import FILE
from schemas import api
from schemas.checkpoint import open_checkpoint
from schemas.errors import Refusal
from schemas.keys import SigningKey, Use
from schemas.merkle import Frontier
from tests.agent.agencies import quiet
from tests.broker.test_log import checkpoint, opened, send
from tests.keys_tooling.mirrored import pull_served
from tests.simulated_world import World


def relay_folder(world: World) -> Path:
    return world.folder / "relay"


def copied(world: World, name: str) -> Path:
    """A backup of the database, as an administrator takes it of a relay that stands still."""
    return Path(shutil.copy(relay_folder(world) / "relay.db", world.folder / name))


def restored(world: World, backup: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{relay_folder(world) / 'relay.db'}{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, relay_folder(world) / "relay.db")


def anchor(world: World) -> Anchor:
    return Anchor(relay_folder(world) / "anchor" / "heads.json")


async def refused(world: World) -> Refusal:
    with pytest.raises(Refusal) as caught:
        async with world.relay():
            pass
    return caught.value


def command(world: World, *words: str) -> subprocess.CompletedProcess[str]:
    """`fenpost-broker log …`, as an administrator runs it."""
    settings = relay_folder(world) / "relay.toml"
    line = [sys.executable, "-m", "broker", "log", *words, "--config", str(settings)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


async def repaired(world: World, work: Any, *said: Any) -> str:
    """What that command's work says, or the code of its refusal."""
    try:
        return str(await work(load(relay_folder(world) / "relay.toml", {}), *said))
    except Refusal as refusal:
        return refusal.code


async def grown(world: World, *counts: int) -> list[Path]:
    """A log that grew in as many runs; a backup of the database after each."""
    backups = []
    for at, count in enumerate(counts):
        async with world.relay(), world.session() as http:
            await send(world, http, count)
        backups.append(copied(world, f"backup-{at}.db"))
    return backups


async def test_an_older_database_does_not_start_and_the_refusal_says_what_is_missing(world: World):
    backup, newest = await grown(world, 3, 4)
    restored(world, backup)
    refusal = await refused(world)
    assert refusal.code == "ANCHOR"
    assert "7 entries" in refusal.say
    assert "it has 3" in refusal.say
    assert "--lost 4" in refusal.say
    restored(world, newest)
    async with world.relay(), world.session() as http:
        assert (await checkpoint(world, http)).size == 7


async def test_every_restore_of_an_older_database_is_refused(world: World):
    sizes, backups = [], []
    for _ in range(5):
        async with world.relay(), world.session() as http:
            await send(world, http, 1 + secrets.randbelow(3))
            sizes.append((await checkpoint(world, http)).size)
        backups.append(copied(world, f"{sizes[-1]}.db"))
    newest = anchor(world).path.read_bytes()
    for backup in (*backups[:-1], backups[0]):
        restored(world, backup)
        assert (await refused(world)).code == "ANCHOR"
        assert anchor(world).path.read_bytes() == newest


async def test_an_empty_database_beside_an_anchor_is_an_old_one(world: World):
    await grown(world, 2)
    (relay_folder(world) / "relay.db").unlink()
    assert (await refused(world)).code == "ANCHOR"


async def test_a_log_of_another_history_is_a_fork_however_long_it_is(world: World):
    await grown(world, 2)
    kept = anchor(world).path.read_bytes()
    (relay_folder(world) / "relay.db").unlink()
    anchor(world).path.unlink()
    await grown(world, 5)
    anchor(world).path.write_bytes(kept)
    assert (await refused(world)).code == "FORK"


async def test_a_database_that_is_newer_than_the_anchor_starts(world: World):
    async with world.relay(), world.session() as http:
        await send(world, http, 1)
        kept = anchor(world).read()
        await send(world, http, 3)
    assert kept is not None
    anchor(world).write(kept)  # as after a crash within the second
    async with world.relay(), world.session() as http:
        assert (await checkpoint(world, http)).size == 4


async def test_a_running_relay_writes_its_anchor_within_about_a_second(world: World):
    key = world.founded.partnership.log_key
    async with world.relay(), world.session() as http:
        await send(world, http, 3)
        async with asyncio.timeout(60):
            while (kept := anchor(world).read()) is None or open_checkpoint(kept.log, key).size < 3:
                await asyncio.sleep(0.05)
    assert anchor(world).path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("spoil", [b"", b"{}", b"[]", b"\xff", b'{"v":1}'])
async def test_a_damaged_anchor_stops_the_start(world: World, spoil: bytes):
    await grown(world, 1)
    anchor(world).path.write_bytes(spoil)
    assert (await refused(world)).code == "ANCHOR"


async def test_an_anchor_that_somebody_else_signed_stops_the_start(world: World):
    await grown(world, 1)
    kept = anchor(world).read()
    assert kept is not None
    forged = sign("relay.test/log", SigningKey(bytes(32)), Frontier())
    anchor(world).write(Kept(forged, kept.keys))
    assert (await refused(world)).code == "ANCHOR"


async def test_a_lost_anchor_stops_the_start_and_an_administrator_may_go_on_by_saying_so(world: World):
    await grown(world, 2)
    anchor(world).path.unlink()
    assert "--lost unknown" in (await refused(world)).say
    assert await repaired(world, repairs.loss_accepted, "0", world.now) == "CONFLICT"
    done = command(world, "accept-loss", "--lost", "unknown")
    assert (done.returncode, done.stderr) == (0, "")
    async with world.relay(), world.session() as http:
        assert (await checkpoint(world, http)).size == 4
        for party in ("oversight", "Peacock", "Harbour"):
            events = [
                said for said in await opened(world, http, party) if said and said["event"] == "restored"
            ]
            assert events
            assert (events[0]["lost"], events[0]["was"]) == (None, "")


async def test_an_accepted_loss_is_told_to_every_agencys_officers_with_both_notes(world: World):
    backup, _ = await grown(world, 3, 4)
    was = anchor(world).read()
    restored(world, backup)
    for wrong in ("3", "5", "unknown"):
        assert await repaired(world, repairs.loss_accepted, wrong, world.now) == "CONFLICT"
    assert anchor(world).read() == was
    assert (await repaired(world, repairs.loss_accepted, "4", world.now)).startswith("Accepted.")
    assert (
        await repaired(world, repairs.loss_accepted, "4", world.now) == "CONFLICT"
    )  # there is nothing more to accept
    async with world.relay(), world.session() as http:
        for party in ("oversight", "Peacock", "IDVAS", "Harbour"):
            (event, *_) = [s for s in await opened(world, http, party) if s and s["event"] == "restored"]
            assert event["lost"] == 4
            assert was is not None
            assert event["was"] == was.log
            assert open_checkpoint(event["now"], world.founded.partnership.log_key).size == 3
    async with world.relay(), world.session() as http:
        told = [s for s in await opened(world, http, "oversight") if s["event"] == "restored"]
    assert len(told) == 2  # four agencies in two records, and once: the anchor has forgotten it


async def test_an_officers_mirror_gives_the_log_back_and_nobody_notices(world: World):
    (backup,) = await grown(world, 3)
    async with world.relay(), world.session() as http:
        await send(world, http, 300)
        await pull_served(world, world.folder / "officer", "oversight")
    kept = anchor(world).read()
    assert kept is not None
    whole = open_checkpoint(kept.log, world.founded.partnership.log_key)
    restored(world, backup)
    mirror = world.folder / "officer" / FILE
    with sqlite3.connect(mirror) as database:
        have = database.execute("SELECT max(i) + 1 FROM entry").fetchone()[0]
    database.close()
    said = await repaired(world, repairs.refilled, mirror)
    assert said == f"{have - 3} entries are back in the log; {whole.size - have} are still missing."
    # What was read after the pull, the pull's own trace, is nowhere else: it is accepted as lost, by number.
    assert (await repaired(world, repairs.loss_accepted, str(whole.size - have), world.now)).startswith(
        "Accepted."
    )
    async with world.relay():
        await pull_served(
            world, world.folder / "officer", "oversight"
        )  # her own checkpoints fit what came back


@pytest.mark.parametrize(
    "spoil", ["UPDATE entry SET leaf = zeroblob(97) WHERE i = 4", "DELETE FROM entry WHERE i = 4"]
)
async def test_a_mirror_that_was_touched_gives_nothing_back(world: World, spoil: str):
    (backup,) = await grown(world, 3)
    async with world.relay(), world.session() as http:
        await send(world, http, 5)
        await pull_served(world, world.folder / "officer", "oversight")
    restored(world, backup)
    mirror = world.folder / "officer" / FILE
    with sqlite3.connect(mirror) as database:
        database.execute(spoil)
    database.close()
    assert await repaired(world, repairs.refilled, mirror) == "PROOF"
    assert (await refused(world)).code == "ANCHOR"
    (world.folder / "no.db").write_bytes(b"not a database" * 100)
    assert await repaired(world, repairs.refilled, world.folder / "no.db") == "FILE"


async def test_an_officers_mirror_gives_the_directory_back_too_which_nobody_could_state_again(world: World):
    """Keys renew themselves every week: a database that is a day old lacks some, and agents have them."""
    (backup,) = await grown(world, 3)
    async with world.relay(), quiet(world, "Peacock") as agent:
        old = agent.book.latest.size
        done = await agent.rotation.rotate([Use.AUTH, Use.PREKEY], dry_run=False)
        await pull_served(world, world.folder / "officer", "oversight")
        before = agent.book.latest.size
        (said, *_) = (await agent.relay.directory(old)).statements
    restored(world, backup)
    world.clock.advance(24 * 3600)
    assert (await refused(world)).code == "ANCHOR"
    told = await repaired(world, repairs.refilled, world.folder / "officer" / FILE)
    assert told.endswith(f" {before - old} statements are back in the directory; 0 are still missing.")
    lost = open_checkpoint(anchor(world).read().log, world.founded.partnership.log_key).size
    entries = int(told.split(" entries")[0]) + 3
    if lost > entries:
        await repaired(world, repairs.loss_accepted, str(lost - entries), world.now)
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.book.refresh()
        assert (agent.book.latest.size, agent.keys_trust.alarm) == (before, None)
        assert agent.rotation._ring.auth.kid == done["publish"][0]["kid"]
        again = api.StatementsRequest(statements=(api.StatementIn(kind="directory", signed=said),))
        assert (await agent.relay.post_statements(again)).results[0].status == "repeat"


async def test_a_mirror_whose_statements_were_touched_gives_none_back(world: World):
    (backup,) = await grown(world, 3)
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.rotation.rotate([Use.AUTH], dry_run=False)
        await pull_served(world, world.folder / "officer", "oversight")
    restored(world, backup)
    mirror = world.folder / "officer" / FILE
    with sqlite3.connect(mirror) as database:
        database.execute("DELETE FROM statement WHERE n = (SELECT max(n) - 1 FROM statement)")
    database.close()
    assert await repaired(world, repairs.refilled, mirror) in ("PROOF", "DIRECTORY")
    assert (await refused(world)).code == "ANCHOR"


async def test_two_relays_never_share_an_anchor_and_nobody_repairs_under_a_running_one(world: World):
    async with world.relay():
        assert (await refused(world)).code == "STORE_BUSY"
        assert await repaired(world, repairs.check) == "STORE_BUSY"
    assert "0 entries, and the anchor fits it" in await repaired(world, repairs.check)


async def test_a_disk_that_does_not_take_the_anchor_stops_no_message(tmp_path: Path):
    key = SigningKey(bytes(32))

    class Nowhere(Anchor):
        def write(self, _kept: Kept) -> None:
            raise OSError(28, "no space")

    class Directory:
        note = "keys"

    ledger = Ledger("a/log", key, Frontier(), sign("a/log", key, Frontier()))
    view: Any = Directory()
    assert not await Anchoring(Nowhere(tmp_path / "a"), ledger, view).save()
    assert await Anchoring(Anchor(tmp_path / "a"), ledger, view).save()
    assert json.loads((tmp_path / "a").read_bytes())["log"] == ledger.note


# --- stored leaves


async def test_one_changed_byte_far_back_in_the_log_stops_the_start_and_names_the_entry(world: World):
    async with world.relay(), world.session() as http:
        await send(world, http, 270)
    database = relay_folder(world) / "relay.db"
    for spoil, named in (
        ("UPDATE leaves SET leaf = CAST(substr(leaf, 1, 40) || CASE substr(leaf, 41, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(leaf, 42) AS BLOB) WHERE idx = 77", "entry 77 "),
        ("UPDATE leaves SET leaf = CAST(substr(leaf, 1, 9) || CASE substr(leaf, 10, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(leaf, 11) AS BLOB) WHERE idx = 7", "entries 0 to 255"),
        ("UPDATE nodes SET hash = zeroblob(32) WHERE idx = 0 AND level = 8", ""),
        ("DELETE FROM leaves WHERE idx = 99", ""),
        ("DELETE FROM nodes", ""),
    ):  # fmt: skip
        whole = database.read_bytes()
        with sqlite3.connect(database) as connection:
            assert connection.execute(spoil).rowcount == 1
        connection.close()
        refusal = await refused(world)
        assert (refusal.code, named in refusal.say) == ("FORK", True), refusal.say
        restored_bytes(database, whole)
    async with world.relay():
        pass


async def test_no_head_is_given_out_over_a_leaf_that_the_store_took_otherwise(world: World):
    """A trigger stands for whatever changes bytes between the program and its store."""
    async with world.relay() as relay, world.session() as http:
        await send(world, http, 2)
        note = relay.relay.log.note
        spoil = (
            "CREATE TRIGGER spoil AFTER INSERT ON leaves WHEN new.idx = 3 BEGIN "
            "UPDATE leaves SET leaf = zeroblob(97) WHERE idx = new.idx; END"
        )
        for sql in (spoil, spoil.replace("UPDATE leaves SET leaf = zeroblob(97)", "DELETE FROM leaves")):
            with sqlite3.connect(relay_folder(world) / "relay.db", timeout=60) as database:
                database.execute("DROP TRIGGER IF EXISTS spoil")
                database.execute(sql)
            database.close()
            sealed = [world.seal("Peacock", "IDVAS") for _ in range(2)]
            answer = await world.post_envelopes(http, "Peacock", *sealed)
            assert (answer.status, answer.json()["code"]) == (503, "UNAVAILABLE")
            assert relay.relay.log.note == note
        with sqlite3.connect(relay_folder(world) / "relay.db", timeout=60) as database:
            database.execute("DROP TRIGGER spoil")
        database.close()
        await send(world, http, 2)
        assert (await checkpoint(world, http)).size == 4


def restored_bytes(database: Path, whole: bytes) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    database.write_bytes(whole)
