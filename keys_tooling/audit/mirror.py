"""An officer's mirror of the log: one SQLite file in her folder, readable by nobody else.

Rules of this house:
- it keeps what the relay showed, verbatim: entries, sealed records, epochs, directory statements, policies, and
  every checkpoint ever seen, also those that do not fit;
- keeping is not believing: a checkpoint is marked believed only after it was proven to extend the one before;
- whether it is still whole is for verify.py, which takes nothing in here for granted.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.api import EpochItem
from schemas.canonical import unb64
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.merkle import Frontier
from schemas.ranges import each, ranges_of, spelled, unspelled
from schemas.signing import Signed

VERSION = "1"
Log = Literal["log", "keys"]
"""Which log a checkpoint is of: the audit log, or the directory's."""

SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE entry (i INTEGER PRIMARY KEY, leaf BLOB NOT NULL, hash BLOB NOT NULL, relay BLOB NOT NULL,
  sender BLOB NOT NULL, mark BLOB NOT NULL) STRICT;
CREATE TABLE epoch (id TEXT NOT NULL, kid TEXT NOT NULL, first INTEGER NOT NULL, wrap BLOB NOT NULL,
  PRIMARY KEY (kid, first, id)) STRICT;
CREATE TABLE note (n INTEGER PRIMARY KEY, log TEXT NOT NULL, text TEXT NOT NULL, seen INTEGER NOT NULL,
  believed INTEGER NOT NULL) STRICT;
CREATE TABLE head (n INTEGER PRIMARY KEY, log TEXT NOT NULL, text TEXT NOT NULL, seen INTEGER NOT NULL,
  stood INTEGER NOT NULL, mark BLOB NOT NULL) STRICT;
CREATE INDEX entry_gone ON entry (i) WHERE length(relay) = 0;
CREATE TABLE retention (digest TEXT PRIMARY KEY, text BLOB NOT NULL, done INTEGER NOT NULL, early TEXT NOT NULL) STRICT;
CREATE TABLE policy (digest TEXT PRIMARY KEY, text BLOB NOT NULL) STRICT;
CREATE TABLE statement (n INTEGER PRIMARY KEY, text BLOB NOT NULL, signature BLOB NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored entry: the leaf, its hash as it was proven, the relay's record, the veiled sender's record."""

    index: int
    leaf: bytes
    hash: bytes
    relay: bytes
    sender: bytes


Stored = tuple[int, bytes, bytes, bytes, bytes, bytes]
"""A row as it is: index, leaf, hash, relay's record, veiled sender's record, and the mark of the last (mark_of)."""


def mark_of(sender: bytes) -> bytes:
    """What is kept beside a veiled sender's record, so that a change of it shows without any key; b"" for none.

    The entry commits to what is under the veil, so only its officers can prove that it is the true one, by opening it.
    """
    return labelled("fenpost/v1/mirror", sender, size=16) if sender else b""


@dataclass(frozen=True, slots=True)
class Note:
    """One checkpoint that the relay showed, in the order seen; `seen` is in Unix seconds."""

    text: str
    seen: int
    believed: bool


@dataclass(frozen=True, slots=True)
class Head:
    """A head of a log that agencies were asked to vouch for, and whether a quorum `stood` behind it.

    `whole` is whether its text is still the one that was kept: a line of a stranger's may be changed and verify.
    """

    text: str
    seen: int
    stood: bool
    whole: bool


def claimed_size(note: str) -> int:
    """The number of entries that a checkpoint names, whoever signed it; 0 when it names none."""
    line = [*note.split("\n"), "", ""][1]
    return int(line) if line.isascii() and line.isdigit() and len(line) < 19 else 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch key wrapped to one officer; it covers entries from `first` on."""

    id: bytes
    first: int
    wrap: bytes


class Mirror:
    """An open mirror. Use `open_mirror`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def path(self) -> str:
        """Where the file is."""
        return str(self._db.execute("PRAGMA database_list").fetchone()[2])

    # --- entries

    def size(self) -> int:
        """How many entries are stored, when none in between was taken out: that is for verify.py to see."""
        row = self._db.execute("SELECT max(i) FROM entry").fetchone()
        return 0 if row[0] is None else int(row[0]) + 1

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """Entries from `start` on, in order; never all in memory."""
        rows = self._db.execute(
            "SELECT i, leaf, hash, relay, sender FROM entry WHERE i >= ? ORDER BY i", (start,)
        )
        return (Entry(*row) for row in rows)

    def stored(self, start: int) -> Iterator[Stored]:
        """The same as they are, each with its mark: for whoever goes through all of them."""
        return self._db.execute(
            "SELECT i, leaf, hash, relay, sender, mark FROM entry WHERE i >= ? ORDER BY i", (start,)
        )

    def hashes(self, start: int) -> Iterator[bytes]:
        rows = self._db.execute("SELECT hash FROM entry WHERE i >= ? ORDER BY i", (start,))
        return (row[0] for row in rows)

    def leaves(self, start: int, end: int) -> list[bytes]:
        rows = self._db.execute("SELECT leaf FROM entry WHERE i >= ? AND i < ? ORDER BY i", (start, end))
        return [row[0] for row in rows]

    def add_entries(self, entries: Iterable[Entry]) -> None:
        rows = [(e.index, e.leaf, e.hash, e.relay, e.sender, mark_of(e.sender)) for e in entries]
        with self._db:
            self._db.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", rows)

    def missing(self) -> tuple[tuple[int, int], ...]:
        """Runs of entries whose records are not here: deleted, or never had."""
        rows = self._db.execute("SELECT i FROM entry WHERE length(relay) = 0 ORDER BY i")
        return ranges_of(row[0] for row in rows)

    def wipe(self, runs: Iterable[tuple[int, int]]) -> int:
        """Overwrite the records of these entries; how many there were. Leaves and their hashes stay."""
        before = self._db.total_changes
        with self._db:
            self._db.executemany(
                "UPDATE entry SET relay = x'', sender = x'', mark = x'' WHERE i BETWEEN ? AND ? AND length(relay) > 0",
                runs,
            )
        return self._db.total_changes - before

    def drop_entries(self, start: int) -> None:
        """Forget entries that were never proven."""
        with self._db:
            self._db.execute("DELETE FROM entry WHERE i >= ?", (start,))

    def frontier(self) -> Frontier:
        """The right edge of the tree over the entries proven so far. Raises Refusal MIRROR."""
        value = self._about("frontier")
        if value is None:
            return Frontier()
        try:
            size, edge = json.loads(value)
            return Frontier(int(size), tuple(bytes.fromhex(item) for item in edge))
        except (ValueError, TypeError) as error:
            raise Refusal("MIRROR") from error

    def prove(self, frontier: Frontier) -> None:
        """Note that the entries before frontier.size are the ones that the relay signed."""
        with self._db:
            self._set("frontier", json.dumps([frontier.size, [item.hex() for item in frontier.edge]]))

    # --- checkpoints

    def notes(self, log: Log) -> list[Note]:
        """Every checkpoint seen, in the order seen."""
        rows = self._db.execute("SELECT text, seen, believed FROM note WHERE log = ? ORDER BY n", (log,))
        return [Note(text, seen, bool(believed)) for text, seen, believed in rows]

    def began(self) -> int | None:
        """When the first checkpoint of the audit log was seen, in Unix seconds."""
        found: int | None = self._db.execute("SELECT min(seen) FROM note WHERE log = 'log'").fetchone()[0]
        return found

    def believed(self, log: Log) -> str | None:
        """The checkpoint believed last."""
        row = self._db.execute(
            "SELECT text FROM note WHERE log = ? AND believed = 1 ORDER BY n DESC LIMIT 1", (log,)
        ).fetchone()
        return None if row is None else str(row[0])

    def keep_note(self, log: Log, text: str, now: int) -> int:
        """Keep a checkpoint, unless it is the one seen last; its number."""
        last = self._db.execute(
            "SELECT n, text FROM note WHERE log = ? ORDER BY n DESC LIMIT 1", (log,)
        ).fetchone()
        if last is not None and last[1] == text:
            return int(last[0])
        with self._db:
            added = self._db.execute(
                "INSERT INTO note (log, text, seen, believed) VALUES (?, ?, ?, 0)", (log, text, now)
            )
        return int(added.lastrowid or 0)

    def believe(self, number: int) -> None:
        with self._db:
            self._db.execute("UPDATE note SET believed = 1 WHERE n = ?", (number,))

    def heads(self, log: Log, since: int = 0) -> list[Head]:
        """Heads of a log that agencies were asked to vouch for, in the order seen: all, or those seen since a time
        and the last that a quorum stood behind."""
        rows = self._db.execute(
            "SELECT text, seen, stood, mark FROM head WHERE log = ?1 AND (seen >= ?2 OR n = "
            "(SELECT max(n) FROM head WHERE log = ?1 AND stood = 1)) ORDER BY n",
            (log, since),
        )
        return [
            Head(text, seen, bool(stood), mark == mark_of(text.encode())) for text, seen, stood, mark in rows
        ]

    def keep_head(self, log: Log, text: str, now: int) -> int:
        """Keep a head, unless it is the one seen last; its number."""
        last = self._db.execute(
            "SELECT n, text FROM head WHERE log = ? ORDER BY n DESC LIMIT 1", (log,)
        ).fetchone()
        if last is not None and last[1] == text:
            return int(last[0])
        row = (log, text, now, mark_of(text.encode()))
        with self._db:
            added = self._db.execute(
                "INSERT INTO head (log, text, seen, stood, mark) VALUES (?, ?, ?, 0, ?)", row
            )
        return int(added.lastrowid or 0)

    def vouch(self, number: int) -> None:
        """Note that a quorum stood behind a head."""
        with self._db:
            self._db.execute("UPDATE head SET stood = 1 WHERE n = ?", (number,))

    # --- directory and epochs

    def statements(self) -> tuple[Signed, ...]:
        rows = self._db.execute("SELECT text, signature FROM statement ORDER BY n")
        return tuple(Signed(text, signature) for text, signature in rows)

    def add_statements(self, start: int, statements: Iterable[Signed]) -> None:
        rows = [(at, signed.text, signed.signature) for at, signed in enumerate(statements, start)]
        with self._db:
            self._db.executemany("INSERT INTO statement VALUES (?, ?, ?)", rows)

    def policies(self) -> dict[str, bytes]:
        """The texts of policies, by digest."""
        return {str(digest): text for digest, text in self._db.execute("SELECT digest, text FROM policy")}

    def add_policy(self, digest: str, text: bytes) -> None:
        with self._db:
            self._db.execute("INSERT OR REPLACE INTO policy VALUES (?, ?)", (digest, text))

    def lists(self) -> dict[str, bytes]:
        """The lists of retention statements, by digest."""
        return {str(digest): text for digest, text in self._db.execute("SELECT digest, text FROM retention")}

    def add_list(self, digest: str, text: bytes) -> None:
        with self._db:
            self._db.execute("INSERT OR IGNORE INTO retention VALUES (?, ?, 0, '')", (digest, text))

    def list_done(self, digest: str) -> bool:
        """Whether all that the list names was given up here."""
        row = self._db.execute("SELECT done FROM retention WHERE digest = ?", (digest,)).fetchone()
        return row is not None and bool(row[0])

    def note_list(self, digest: str, *, done: bool, early: Iterable[int]) -> None:
        """Note how far a list was followed, and which records it named before their time."""
        said = spelled(ranges_of(early))
        with self._db:
            self._db.execute(
                "UPDATE retention SET done = ?, early = ? WHERE digest = ?", (done, said, digest)
            )

    def named_early(self, digest: str | None = None) -> tuple[int, ...]:
        """Entries that a list, or any, named before their time."""
        rows = self._db.execute("SELECT digest, early FROM retention WHERE early != ''")
        return tuple(
            sorted({i for one, text in rows if digest in (None, one) for i in each(unspelled(text))})
        )

    def epochs(self, kid: str) -> list[Epoch]:
        """The epochs wrapped to one officer, in order."""
        rows = self._db.execute("SELECT id, first, wrap FROM epoch WHERE kid = ? ORDER BY first, id", (kid,))
        return [Epoch(unb64(id_, 32), first, wrap) for id_, first, wrap in rows]

    def add_epochs(self, epochs: Iterable[EpochItem]) -> int:
        """Keep epochs; how many of them were new."""
        rows = [(e.id, e.kid, e.first, unb64(e.wrap)) for e in epochs]
        before = self._db.total_changes
        with self._db:
            self._db.executemany("INSERT OR IGNORE INTO epoch VALUES (?, ?, ?, ?)", rows)
        return self._db.total_changes - before

    def officers(self) -> set[str]:
        """The key ids of the officers whose epochs are kept here: one, unless her key changed."""
        return {str(row[0]) for row in self._db.execute("SELECT DISTINCT kid FROM epoch")}

    def last_epoch(self, kid: str) -> int:
        """Where the newest epoch begins; -1 when there is none."""
        row = self._db.execute("SELECT max(first) FROM epoch WHERE kid = ?", (kid,)).fetchone()
        return -1 if row[0] is None else int(row[0])

    # --- what it is a mirror of

    def claim(self, origin: str, oversight: str) -> None:
        """Make a new mirror that of one log; an old one must be of that log already. Raises Refusal MIRROR."""
        if self._about("version") is None:
            with self._db:
                self._set("version", VERSION)
                self._set("origin", origin)
                self._set("oversight", oversight)
        given = (self._about("version"), self._about("origin"), self._about("oversight"))
        if given != (VERSION, origin, oversight):
            raise Refusal("MIRROR")

    def _about(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _set(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))
