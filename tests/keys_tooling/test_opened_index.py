"""The officer's index of opened entries says what reading says, follows the mirror, and is worth nothing without her."""

import secrets
import sqlite3
import stat
from pathlib import Path

import pytest

from keys_tooling.audit.index import FILE, KEY, open_index, rows
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.opened import Row, read_row, row_of, row_text
from keys_tooling.audit.read import read
from keys_tooling.audit.told import Place
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.signing import Purpose, Signed
from tests.keys_tooling.mirrored import pull
from tests.keys_tooling.paper_relay import PaperRelay
from tests.keys_tooling.test_reading import step
from tests.simulated_world import AGREED, World


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.found(tmp_path_factory.mktemp("world"), "Peacock", "IDVAS", "DASS")


@pytest.fixture
def relay(founded: World) -> PaperRelay:
    return PaperRelay(founded)


def indexed(relay: PaperRelay, folder: Path, *events: str, officer: str = "Peacock") -> list[Row]:
    keys, partnership = relay.world.parties[officer].officer, relay.world.founded.partnership
    return list(rows(folder, partnership, keys, secrets.token_bytes, *events))


async def test_rows_say_what_reading_says_after_every_pull(relay: PaperRelay, tmp_path: Path):
    keys, partnership = relay.world.parties["Peacock"].officer, relay.world.founded.partnership
    for _ in range(4):
        sealed = relay.world.seal("Peacock", "IDVAS")
        relay.accept(sealed, "Peacock", "IDVAS")
        relay.fill(2, "DASS")
        relay.epoch()
        step(relay, sealed, "taken-on")
        await pull(relay, tmp_path)
        with open_mirror(tmp_path, write=False) as mirror:
            reading = read(mirror, partnership, keys, lambda _at: None)
        with open_index(tmp_path, partnership, keys, secrets.token_bytes, lambda _at: None) as index:
            assert list(index.rows()) == [row_of(told) for told in reading.entries]
            assert (index.closed, index.size) == (reading.closed, len(relay.leaves))
    taken = indexed(relay, tmp_path, "taken-on")
    peacock = relay.world.parties["Peacock"].id
    assert [(row.role, row.to[0].agency, row.faults) for row in taken] == [("idva", peacock, ())] * 4


async def test_a_row_has_the_fields_of_the_message(relay: PaperRelay, tmp_path: Path):
    law = {
        **AGREED,
        "agree": "NOT_SOUGHT",
        "agree_by": None,
        "agree_ver": None,
        "why_no": "C",
        "told": "UNSAFE",
    }
    law |= {"told_by": relay.world.now + 86400, "b6": "6ea:safeguarding", "crim": True}
    sealed = relay.world.seal("Peacock", "IDVAS", law=law)
    relay.accept(sealed, "Peacock", "IDVAS")
    await pull(relay, tmp_path)
    [row] = indexed(relay, tmp_path)
    header = sealed.upload.envelope.header
    assert (row.why_no, row.told, row.told_by, row.crim) == ("C", "UNSAFE", relay.world.now + 86400, True)
    assert (row.thr, row.signer, row.keys) == (header.thr, header.signer, (header.to[0].k,))
    assert (row.outcome, row.rows, row.author, row.agree_ver) == ("deliver", (2,), "worker", None)


async def test_what_was_opened_before_its_epoch_came_is_opened_once_it_is_here(
    relay: PaperRelay, tmp_path: Path
):
    """A pull that broke off before the epochs must not leave entries closed for good."""
    for _ in range(3):
        relay.fill(1, "DASS")
        relay.epoch()
    relay.fill(3, "Peacock")
    kept, relay.wrapped = relay.wrapped, []
    await pull(relay, tmp_path)
    assert indexed(relay, tmp_path) == []
    relay.wrapped = kept
    await pull(relay, tmp_path)
    assert len(indexed(relay, tmp_path)) == 3


async def test_a_revocation_has_old_entries_judged_again(tmp_path: Path):
    relay = PaperRelay(World.found(tmp_path / "world", "Peacock", "IDVAS"))
    world = relay.world
    world.clock.advance(100)
    relay.accept(world.seal("Peacock", "IDVAS"), "Peacock", "IDVAS")
    await pull(relay, tmp_path)
    assert [row.faults for row in indexed(relay, tmp_path)] == [()]
    agency = world.directory.agencies[world.parties["Peacock"].id]
    kid = next(key.kid for key in agency.keys.values() if key.use == Use.MSG)
    admin = world.parties["Peacock"].admin
    value = {
        "agency": agency.id, "body": {"kid": kid, "reason": "compromised", "since": world.now - 50}, "by": admin.op.kid,
        "op": "revoke", "prev": agency.head, "seq": agency.seq + 1, "ts": world.now, "v": 1,
    }  # fmt: skip
    signed = Signed.make(admin.op, Purpose.DIRECTORY, value)
    world.take(signed)
    relay.statements.append(signed)
    await pull(relay, tmp_path)
    assert [row.faults for row in indexed(relay, tmp_path)] == [("quoted",)]


async def test_the_file_shows_nothing_without_the_officer(relay: PaperRelay, tmp_path: Path):
    sealed = relay.world.seal("Peacock", "IDVAS")
    relay.accept(sealed, "Peacock", "IDVAS")
    await pull(relay, tmp_path)
    [row] = indexed(relay, tmp_path)
    for name in (FILE, KEY):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        data = (tmp_path / name).read_bytes()
        assert not any(
            secret in data for secret in (row.mid.encode(), row.ref.encode(), b"accept", b"CREATE")
        )
    with pytest.raises(Refusal, match="UNKNOWN_KEY"):
        indexed(relay, tmp_path, officer="DASS")


@pytest.mark.parametrize("name", [FILE, KEY])
async def test_a_damaged_index_is_made_again(relay: PaperRelay, tmp_path: Path, name: str):
    relay.fill(3, "Peacock")
    await pull(relay, tmp_path)
    before = indexed(relay, tmp_path)
    (tmp_path / name).write_bytes(secrets.token_bytes(4096))
    assert indexed(relay, tmp_path) == before != []


async def test_an_entry_that_the_mirror_lost_its_record_of_is_not_remembered(
    relay: PaperRelay, tmp_path: Path
):
    relay.fill(2, "Peacock")
    await pull(relay, tmp_path)
    indexed(relay, tmp_path)
    with sqlite3.connect(tmp_path / "mirror.db") as database:
        database.execute("UPDATE entry SET relay = ? WHERE i = 1", (relay.blobs[0][0],))
    database.close()
    assert [row.faults for row in indexed(relay, tmp_path)] == [(), ("changed",)]


def test_a_row_is_read_back_as_it_was_printed():
    row = Row(
        7,
        9,
        "taken-on",
        sender=Place("ag1x", "duty"),
        to=(Place("ag1y"),),
        rows=(2, 11),
        count=0,
        words="é\u202e",
    )
    assert read_row(row_text(row)) == row


async def test_what_was_deleted_is_gone_from_the_index_too(relay: PaperRelay, tmp_path: Path):
    for _ in range(4):
        relay.fill(3, "Peacock")
        relay.epoch()
    await pull(relay, tmp_path)
    assert [row.seq for row in indexed(relay, tmp_path)] == list(range(12))
    with open_mirror(tmp_path, write=True) as mirror:
        assert mirror.wipe([(0, 1), (5, 5)]) == 3
    assert [row.seq for row in indexed(relay, tmp_path)] == [2, 3, 4, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(("onward", "faults"), [("NONE", ()), ("ASK", ("source",))])
async def test_a_source_of_long_ago_is_still_known(
    relay: PaperRelay, tmp_path: Path, onward: str, faults: tuple[str, ...]
):
    """What a message passes on is held against its source, although that was opened by an earlier command."""
    source = relay.world.seal("Peacock", "IDVAS", law=AGREED)
    relay.accept(source, "Peacock", "IDVAS")
    for _ in range(4):
        relay.epoch()
        relay.fill(1, "Peacock")
    await pull(relay, tmp_path)
    indexed(relay, tmp_path)
    law = {**AGREED, "src": [{"leave": None, "mid": source.mid, "onward": onward, "pur": "SUPPORT"}]}
    relay.accept(relay.world.seal("IDVAS", "Peacock", law=law), "Peacock", "IDVAS")
    await pull(relay, tmp_path)
    assert indexed(relay, tmp_path)[-1].faults == faults
