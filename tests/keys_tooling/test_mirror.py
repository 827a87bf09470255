"""Pulling believes nothing unproven, and verifying names the first bad position of a mirror that was touched."""

import secrets
import sqlite3
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from keys_tooling.audit.bundles import split_bundle, tile_path
from keys_tooling.audit.findings import Report
from keys_tooling.audit.mirror_file import FILE, open_mirror
from keys_tooling.audit.pull import Pull
from schemas.errors import Refusal
from schemas.signing import Check, Purpose
from tests.keys_tooling.mirrored import pull, verified
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import World


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.found(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS")


@pytest.fixture
def relay(founded: World) -> PaperRelay:
    relay = PaperRelay(founded)
    relay.fill(20)
    return relay


def touch(folder: Path, sql: str, *values: object) -> None:
    with sqlite3.connect(folder / FILE) as database:
        assert database.execute(sql, values).rowcount == 1
    database.close()


def found(report: Report) -> list[tuple[str, int]]:
    return [(f.kind, f.position) for f in report.ordered()]


async def test_a_pulled_mirror_is_whole(relay: PaperRelay, tmp_path: Path):
    done = await pull(relay, tmp_path)
    report = verified(relay, tmp_path)
    assert report.whole
    assert (done.entries, done.new, report.entries, report.checkpoints) == (20, 20, 20, 2)
    assert report.statements == len(relay.statements)


async def test_an_empty_log_is_pulled_too(founded: World, tmp_path: Path):
    relay = PaperRelay(founded)
    await pull(relay, tmp_path)
    assert verified(relay, tmp_path).whole


async def test_a_second_pull_brings_only_what_is_new(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    relay.epoch()
    relay.fill(5)
    done = await pull(relay, tmp_path)
    assert (done.entries, done.new, done.epochs) == (25, 5, 1)
    assert verified(relay, tmp_path).whole


async def test_a_later_pull_checks_each_statement_of_the_directory_once(
    relay: PaperRelay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Three years of a partnership are a hundred thousand of them, and each check takes a tenth of a millisecond."""
    await pull(relay, tmp_path)
    hold, checked = Check.hold, list[bytes]()

    def held(check: Check) -> None:
        relays = any(frame.filename.endswith("paper_relay.py") for frame in traceback.extract_stack(limit=9))
        if check.covered.startswith(Purpose.DIRECTORY.encode()) and not relays:
            checked.append(check.covered)
        hold(check)

    monkeypatch.setattr(Check, "hold", held)
    await pull(relay, tmp_path)
    assert len(relay.statements) > 10
    assert sorted(checked) == sorted(
        Purpose.DIRECTORY.encode() + b"\x00" + one.text for one in relay.statements
    )


async def test_bundles_and_pages_are_put_together_in_order(founded: World, tmp_path: Path):
    relay = PaperRelay(founded)
    relay.fill(300)
    await pull(relay, tmp_path)
    relay.fill(230)
    await pull(relay, tmp_path)
    assert verified(relay, tmp_path).entries == 530


@pytest.mark.parametrize("cut", range(1, 9))
async def test_a_pull_cut_off_anywhere_goes_on_where_it_ended(founded: World, tmp_path: Path, cut: int):
    relay = PaperRelay(founded, cut=cut)
    relay.fill(270)
    with pytest.raises(Refusal, match="RELAY_AWAY"):
        await pull(relay, tmp_path)
    relay.cut = None
    relay.fill(3)
    assert (await pull(relay, tmp_path)).entries == 273
    assert verified(relay, tmp_path).whole


async def test_a_busy_relay_is_waited_for_as_long_as_it_asks(relay: PaperRelay, tmp_path: Path):
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    world = relay.world
    keys, partnership = world.parties["Peacock"].officer, world.founded.partnership
    await pull(relay, tmp_path)
    relay.busy = True
    relay.fill(10)
    with open_mirror(tmp_path, write=True) as mirror:
        await Pull(relay, mirror, partnership, keys, world.now, lambda _at, _of: None, sleep).run()
    assert set(waits) == {7.0}
    assert verified(relay, tmp_path).entries == 30


async def test_two_pulls_into_one_folder_do_not_meet(relay: PaperRelay, tmp_path: Path):
    with open_mirror(tmp_path, write=True), pytest.raises(Refusal, match="STORE_BUSY"):
        await pull(relay, tmp_path)


async def test_the_mirror_is_for_its_owner_only(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


# --- a relay that lies


async def test_a_rolled_back_log_is_refused_and_stays_on_record(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    relay.shown = 12
    with pytest.raises(Refusal, match="ROLLBACK"):
        await pull(relay, tmp_path)
    assert found(verified(relay, tmp_path)) == [("rollback", 12)]


async def test_a_fork_of_the_same_size_is_refused_and_stays_on_record(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    relay.leaves[7] = relay.leaves[6]
    with pytest.raises(Refusal, match="FORK"):
        await pull(relay, tmp_path)
    assert found(verified(relay, tmp_path)) == [("fork", 20)]


async def test_a_fork_that_grows_is_refused_and_named_once_the_true_log_is_back(
    relay: PaperRelay, tmp_path: Path
):
    await pull(relay, tmp_path)
    true = relay.leaves[7]
    relay.leaves[7] = relay.leaves[6]
    relay.fill(4)
    with pytest.raises(Refusal, match="FORK"):
        await pull(relay, tmp_path)
    assert found(verified(relay, tmp_path)) == [("unproven", 24)]
    relay.leaves[7] = true
    relay.fill(4)
    await pull(relay, tmp_path)
    assert found(verified(relay, tmp_path)) == [("fork", 24)]


async def test_entries_that_the_relay_did_not_sign_are_not_kept(relay: PaperRelay, tmp_path: Path):
    note = relay.note()
    relay.leaves[3], relay.blobs[3] = relay.leaves[4], relay.blobs[4]
    relay.note = lambda: note
    with pytest.raises(Refusal, match="PROOF"):
        await pull(relay, tmp_path)
    with open_mirror(tmp_path, write=False) as mirror:
        assert mirror.size() == 0


async def test_a_record_that_its_entry_does_not_name_is_refused(relay: PaperRelay, tmp_path: Path):
    relay.blobs[9] = relay.blobs[8]
    with pytest.raises(Refusal, match=r"PROOF: .* entry 9 "):
        await pull(relay, tmp_path)


async def test_a_relay_that_keeps_a_record_back_is_refused(relay: PaperRelay, tmp_path: Path):
    relay.blobs.pop()
    with pytest.raises(Refusal, match=r"PROOF: .* entry 19"):
        await pull(relay, tmp_path)


async def test_a_relay_that_says_a_record_is_gone_is_refused(relay: PaperRelay, tmp_path: Path):
    """Only a retention statement whose notice is over lets a record go."""
    relay.blobs[7] = (b"", b"")
    with pytest.raises(Refusal, match=r"PROOF: .* no record of entry 7, and no retention statement"):
        await pull(relay, tmp_path)


async def test_another_key_cannot_sign_the_log(relay: PaperRelay, tmp_path: Path):
    founded = relay.world.founded
    forged = replace(founded.relay, log=founded.relay.keys_log)
    relay.world = replace(relay.world, founded=replace(founded, relay=forged))
    with pytest.raises(Refusal, match="CHECKPOINT"):
        await pull(relay, tmp_path)


async def test_a_directory_that_lost_statements_is_refused(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    relay.statements.pop()
    with pytest.raises(Refusal, match="ROLLBACK"):
        await pull(relay, tmp_path)


async def test_an_officer_unknown_to_the_directory_pulls_nothing(relay: PaperRelay, tmp_path: Path):
    other = World.found(tmp_path / "other", "Peacock")
    relay.world.parties["stranger"] = other.parties["Peacock"]
    try:
        with pytest.raises(Refusal, match="UNKNOWN_KEY"):
            await pull(relay, tmp_path, "stranger")
    finally:
        del relay.world.parties["stranger"]


async def test_a_mirror_takes_no_other_log(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    other = PaperRelay(World.found(tmp_path / "other", "Peacock"))
    with pytest.raises(Refusal, match="MIRROR"):
        await pull(other, tmp_path)


# --- a mirror that was touched


async def test_a_changed_entry_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    touch(tmp_path, "UPDATE entry SET leaf = ? WHERE i = 11", relay.leaves[10])
    assert found(verified(relay, tmp_path)) == [("entry", 11)]


async def test_an_entry_changed_together_with_its_hash_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    relay.fill(4)
    await pull(relay, tmp_path)
    touch(
        tmp_path,
        "UPDATE entry SET (leaf, hash) = (SELECT leaf, hash FROM entry WHERE i = 10) WHERE i = 11",
    )
    assert found(verified(relay, tmp_path)) == [("record", 11), ("tree", 11)]


async def test_a_whole_entry_replaced_is_placed_behind_the_last_checkpoint_that_holds(
    relay: PaperRelay, tmp_path: Path
):
    await pull(relay, tmp_path)
    relay.fill(4)
    await pull(relay, tmp_path)
    touch(
        tmp_path,
        "UPDATE entry SET (leaf, hash, relay) = (SELECT leaf, hash, relay FROM entry WHERE i = 10) WHERE i = 22",
    )
    assert found(verified(relay, tmp_path)) == [("tree", 20)]


async def test_a_changed_hash_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    touch(tmp_path, "UPDATE entry SET hash = ? WHERE i = 4", secrets.token_bytes(32))
    assert found(verified(relay, tmp_path)) == [("entry", 4), ("tree", 4)]


async def test_a_changed_record_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    record = bytearray(relay.blobs[5][0])
    record[-1] ^= 1
    touch(tmp_path, "UPDATE entry SET relay = ? WHERE i = 5", bytes(record))
    assert found(verified(relay, tmp_path)) == [("record", 5)]


async def test_a_record_of_another_entry_is_named(relay: PaperRelay, tmp_path: Path):
    from schemas.audit import Leaf

    honest = Leaf.parse(relay.leaves[5])
    relay.leaves[5] = Leaf(secrets.token_bytes(32), honest.relay_record, honest.sender_record).to_bytes()
    await pull(relay, tmp_path)
    assert found(verified(relay, tmp_path)) == [("context", 5)]


async def test_a_truncated_mirror_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    touch(tmp_path, "DELETE FROM entry WHERE i = 19")
    assert found(verified(relay, tmp_path)) == [("missing", 19)]
    with pytest.raises(Refusal, match="MIRROR"):
        await pull(relay, tmp_path)


async def test_a_gap_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    touch(tmp_path, "DELETE FROM entry WHERE i = 8")
    assert found(verified(relay, tmp_path)) == [("missing", 8)]


async def test_an_added_entry_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    touch(tmp_path, "INSERT INTO entry SELECT 20, leaf, hash, relay, sender, mark FROM entry WHERE i = 10")
    assert found(verified(relay, tmp_path)) == [("extra", 20)]


async def test_a_changed_checkpoint_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    touch(tmp_path, "UPDATE note SET text = replace(text, '20', '19') WHERE log = 'log'")
    assert ("checkpoint", 19) in found(verified(relay, tmp_path))


async def test_a_changed_directory_statement_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    touch(tmp_path, "UPDATE statement SET signature = ? WHERE n = 6", bytes(64))
    report = verified(relay, tmp_path)
    assert ("statement", 6) in found(report)
    assert report.ordered()[0].log == "keys"


async def test_a_directory_cut_short_is_named(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    last = len(relay.statements) - 1
    touch(tmp_path, "DELETE FROM statement WHERE n = ?", last)
    assert found(verified(relay, tmp_path)) == [("missing", last)]


async def test_a_file_that_is_no_mirror_is_refused(relay: PaperRelay, tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(Refusal, match="MIRROR"):
        verified(relay, tmp_path)


def test_nothing_pulled_is_said_as_such(founded: World, tmp_path: Path):
    with pytest.raises(Refusal, match="Nothing was pulled yet"):
        verified(PaperRelay(founded), tmp_path)


async def test_findings_are_told_in_plain_words(relay: PaperRelay, tmp_path: Path):
    await pull(relay, tmp_path)
    touch(tmp_path, "UPDATE entry SET leaf = ? WHERE i = 11", relay.leaves[10])
    text = verified(relay, tmp_path).text("")
    assert "NOT WHOLE. The first bad position is entry 11." in text
    assert "it was changed in this mirror" in text


@pytest.mark.parametrize(
    ("number", "path"), [(0, "000"), (67, "067"), (1234067, "x001/x234/067"), (1000, "x001/000")]
)
def test_tiles_are_named_as_the_format_asks(number: int, path: str):
    assert tile_path(number) == path


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x02a", b"\xff\xff" + bytes(65535), b"\x00\x00" * 257])
def test_a_malformed_bundle_is_refused(data: bytes):
    with pytest.raises(Refusal, match=r"FORM|TOO_BIG"):
        split_bundle(data)
