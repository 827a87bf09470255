"""What a seizure gives away is the published list and nothing else (schemas/SEIZURE.md).

This takes longer than other tests, because it seizes the real thing: a relay and two agents as processes, every free
field of every form sown with one token, and then everything that they have on disk, in logs, figures, backups and
memory searched for it in every spelling. One world serves all the questions.
"""

from __future__ import annotations

import base64
import gzip
import sqlite3
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker import tables
from broker.epochs import LIFE
from schemas.canonical import unb64
from schemas.messages.catalogue import CLASSES
from schemas.opening import open_epoch
from tests.canaries import search, spellings
from tests.seizure import Seized, files_below
from tests.surrendered import STORE, fits
from tests.town import until


@pytest.fixture(scope="module")
def seized(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seized]:
    found = Seized.of(tmp_path_factory.mktemp("seized"))
    yield found
    found.stop_all()


@pytest.fixture(scope="module")
def memories(seized: Seized) -> list[Path]:
    return seized.memories()


def test_every_form_was_sown_and_went_through_the_relay(seized: Seized):
    assert set(seized.sown) == set(CLASSES)
    assert {kind for kind, count in seized.sown.items() if not count} == {
        "reconcile"
    }  # it has codes and hashes only
    assert sum(seized.sown.values()) > 150


def test_no_word_of_a_person_is_in_anything_that_the_relay_has_on_disk(seized: Seized):
    files = [*seized.relay_files(), seized.metrics(), seized.backup()]
    names = {path.name for path in files}
    assert {"relay.db", "relay.db-wal", "relay.db-shm", "relay.log", "metrics.txt", "backup.db"} <= names
    assert search(files, [seized.token]) == []


def test_no_word_of_a_person_is_in_the_memory_of_any_process_of_the_relay(
    seized: Seized, memories: list[Path]
):
    assert len(memories) == 2, "the relay and its calculator"
    # What surely is in there is found: the search would see a word.
    agency = seized.world.parties["Peacock"].id
    assert agency.encode() in memories[0].read_bytes()
    assert search(memories, [seized.token]) == []


def test_nobody_else_of_the_same_user_may_look_into_the_relays_processes(
    seized: Seized, memories: list[Path]
):
    """And no core file is written of them, whatever handler the machine has for core files."""
    assert list(seized.dumpable().values()) == ["0"] * len(memories)


def test_keys_of_epochs_that_are_over_are_in_no_memory(seized: Seized):
    """The officers' keys open what the relay stored of each epoch, so a test knows what to look for."""
    for _ in range(5):
        began = time.monotonic()
        seized.begin_epoch()
        over, running = epoch_keys(seized)
        relay = seized.memories()[0].read_bytes()
        if time.monotonic() - began < LIFE:  # else its minute is over on a machine that is this busy
            break
    assert any(key in relay for key in running), "the running epoch's are there: the search sees one"
    assert len(over) >= 4

    def gone() -> bool:
        """Looked at again for a while: they are overwritten at the relay's next sweep, each second."""
        return not any(key in path.read_bytes() for path in seized.memories() for key in over)

    until(gone, "keys of epochs that are over are overwritten")


def epoch_keys(seized: Seized) -> tuple[list[bytes], list[bytes]]:
    """The keys of the epochs that are over, and of the one that runs."""
    officers = {party.officer.ig.kid: party.officer.ig for party in seized.world.parties.values()}
    with sqlite3.connect(seized.relay_folder / "relay.db") as db:
        rows = db.execute("SELECT epoch, first, kid, wrap FROM epochs").fetchall()
    newest = max(first for _, first, _, _ in rows)
    over, running = [], []
    for epoch, first, kid, wrap in rows:
        (running if first == newest else over).append(open_epoch(epoch, wrap, officers[kid]))
    return over, running


def test_raw_keys_of_single_records_are_in_no_memory_of_the_calculator(seized: Seized, memories: list[Path]):
    """In the relay's own they may linger as the text that it answered with: the list says so."""
    calculator = b"".join(path.read_bytes() for path in memories[1:])
    assert len(seized.rks) > 100
    assert not any(unb64(rk, 32) in calculator or rk.encode() in calculator for rk in seized.rks)


def test_an_agents_disk_says_nothing_outside_the_folders_where_workers_put_and_get_clear_files(
    seized: Seized,
):
    for name in ("Peacock", "IDVAS"):
        home = seized.folder / "world" / name
        assert (home / "agent.db").stat().st_size > 10_000
        files = [*files_below(home, "IN", "OUT", "SENT", "FAILED"), seized.folder / f"{name}.log"]
        assert search(files, [seized.token]) == []
    inbox = [path for path in (seized.folder / "world" / "IDVAS" / "IN").iterdir() if path.is_file()]
    assert search(inbox, [seized.token]), "IN is for reading: the search would see a word"


def test_an_officers_laptop_says_nothing_without_the_passphrase(seized: Seized):
    """Her mirror, the index of what she opened, the journal of her openings."""
    home = seized.officer("Peacock")
    files = list(files_below(home))
    assert {"mirror.db", "opened.db"} <= {path.name for path in files}
    assert search(files, [seized.token]) == []


def test_every_table_of_the_relay_held_something(seized: Seized):
    """Or the search of the store would have looked at less than it says."""
    with sqlite3.connect(seized.relay_folder / "relay.db") as db:
        empty = {
            name
            for name in tables.metadata.tables
            if not db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        }
    # These hold numbers, hashes and codes, and fill with time: what is deleted, held, asked for, missed for a day.
    assert empty <= {"days", "deletions", "dues", "inquiries", "keeps", "missed", "nodes"}


def test_every_value_in_the_relays_store_is_of_the_kind_that_the_list_says(seized: Seized):
    with sqlite3.connect(seized.relay_folder / "relay.db") as db:
        for name, (_, columns) in STORE.items():
            for column, kind in columns.items():
                for (value,) in db.execute(f"SELECT {column} FROM {name}"):
                    assert fits(kind, value), (name, column, kind)


def test_a_planted_word_is_found_in_every_spelling_and_in_packed_streams(tmp_path: Path):
    token = "Qvarnbrodalens"
    noise = bytes(range(256)) * 8
    packed = {
        "gzip": gzip.compress(b"before " + token.encode() + b" after"),
        "zlib": zlib.compress(b"x" * 900 + token.encode()),
        "base64 of a longer text": base64.b64encode(b"a " + token.encode() + b" b"),
    }
    for name, spelled in (spellings(token) | packed).items():
        path = tmp_path / "planted"
        path.write_bytes(noise + spelled + noise)
        assert search([path], [token]), name
    assert len(spellings(token)) > 30
