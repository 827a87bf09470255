"""The officer's opened entries, kept so that a question takes seconds: a SQLCipher file in her folder.

Rules of this house:
- the file is worth nothing without her: its key is random, and kept sealed to her own opening key;
- it holds nothing that her mirror does not, so it may be deleted at any time; a damaged one is made again;
- what could still change (the newest epochs, a judgement that a later revocation or policy text overturns) is opened
  again, never remembered;
- one who runs beside it waits, or is told to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import sqlcipher3.dbapi2 as sqlcipher

from keys_tooling.audit.handing import taken
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.opened import MESSAGES, Row, linked, read_row, row_of, row_text
from keys_tooling.audit.read import Opener, opener
from keys_tooling.audit.referring import Carried, References
from keys_tooling.audit.told import Place
from schemas.audit import Event
from schemas.canonical import b64, encode, unb64
from schemas.envelope import Header, parse_header
from schemas.errors import Refusal
from schemas.keyring import OfficerKeys
from schemas.opening import unwrap_key
from schemas.partnership import Partnership
from schemas.sealing import Draw, wrap_key

T = TypeVar("T")
FILE, KEY = "opened.db", "opened.key"
VERSION = 2
TOGETHER = 1000
SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE row (i INTEGER PRIMARY KEY, ts INTEGER NOT NULL, event TEXT NOT NULL, mid TEXT NOT NULL,
  text TEXT NOT NULL, header TEXT NOT NULL) STRICT;
CREATE TABLE whose (eid TEXT PRIMARY KEY, a TEXT NOT NULL, d TEXT NOT NULL) STRICT;
CREATE INDEX row_event ON row (event, i);
CREATE INDEX row_mid ON row (mid);
"""


class Index:
    """Opened entries, in order. `closed` counts those of the mirror that stay closed, `size` all of them."""

    def __init__(self, database: Any, officer: Opener) -> None:
        self._db = database
        self.officer = officer

    @property
    def closed(self) -> int:
        return int(self._about("closed") or 0) + int(self._about("closed_tail") or 0)

    @property
    def size(self) -> int:
        return int(self._about("size") or 0)

    def range(self) -> tuple[int, int, int]:
        """How many rows there are, and the positions of the first and the last; (0, 0, 0) when there is none."""
        count, first, last = self._db.execute("SELECT count(*), min(i), max(i) FROM row").fetchone()
        return count, first or 0, last or 0

    def rows(self, *events: str, start: int = 0, end: int | None = None) -> Iterator[Row]:
        """Rows at positions [start, end) in order, of these kinds of event or of all."""
        where = f"WHERE i >= ? AND i < ?{_among(events)}"
        asked = (start, 2**62 if end is None else end, *events)
        found = self._db.execute(f"SELECT text FROM row {where} ORDER BY i", asked)  # noqa: S608 - marks only
        return (read_row(text) for (text,) in found)

    def _about(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _set(self, **values: object) -> None:
        rows = [(name, str(value)) for name, value in values.items()]
        self._db.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows)

    def refresh(self, progress: Callable[[int], None]) -> None:
        """Open what is new in the mirror."""
        judged = _judged(self.officer)
        if self._about("judged") != judged:
            self._db.execute("DELETE FROM row")
            self._set(judged=judged, settled=0, closed=0)
        start, settled = int(self._about("settled") or 0), self.officer.settled()
        self._db.execute("DELETE FROM row WHERE i >= ?", (start,))
        closed, tail, size = int(self._about("closed") or 0), 0, start
        batch: list[tuple[int | str, ...]] = []
        for index, told in self.officer.opened(start, References(Past(self._request), Past(self._carried))):
            size = index + 1
            if told is None:
                closed, tail = (closed + 1, tail) if index < settled else (closed, tail + 1)
            else:
                row = self._linked(row_of(told))
                asked = told.header if row.cls == "INFOREQ" and row.event == Event.ACCEPT else None
                header = "" if asked is None else asked.model_dump_json(by_alias=True)
                batch.append((row.seq, row.ts, row.event, row.mid, row_text(row), header))
            if len(batch) == TOGETHER:
                self._keep(batch)
                batch = []
            if not index % 64:
                progress(index)
        self._keep(batch)
        for first, last in self.officer.mirror.missing():  # what was deleted goes here too
            self._db.execute("DELETE FROM row WHERE i BETWEEN ? AND ?", (first, last))
        self._set(settled=max(start, settled), closed=closed, closed_tail=tail, size=size)
        progress(size)

    def _linked(self, row: Row) -> Row:
        if not row.eid:
            return row
        if row.event in MESSAGES:
            whose = (row.eid, row.sender.agency, row.sender.desk)
            self._db.execute("INSERT OR REPLACE INTO whose VALUES (?, ?, ?)", whose)
        found = self._db.execute("SELECT a, d FROM whose WHERE eid = ?", (row.eid,)).fetchone()
        return linked(row, None if found is None else Place(*found))

    def _keep(self, batch: Iterable[tuple[int | str, ...]]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO row VALUES (?, ?, ?, ?, ?, ?)", batch)

    def _request(self, mid: str) -> Header | None:
        """An earlier request for information."""
        asked = "SELECT header FROM row WHERE mid = ? AND event = ? AND header != '' ORDER BY i DESC LIMIT 1"
        found = self._db.execute(asked, (mid, str(Event.ACCEPT))).fetchone()
        return None if found is None else parse_header(found[0].encode("ascii"))

    def _carried(self, mid: str) -> Carried | None:
        """An earlier message, as one that is passed on."""
        asked = "SELECT text FROM row WHERE mid = ? AND event = ? ORDER BY i DESC LIMIT 1"
        found = self._db.execute(asked, (mid, str(Event.ACCEPT))).fetchone()
        if found is None:
            return None
        row = read_row(found[0])
        return Carried(row.sender.agency, frozenset(place.agency for place in row.to), (row.onward, row.pur))


class Past(dict[str, T]):
    """What was met in this opening, and behind it what the index remembers."""

    def __init__(self, look: Callable[[str], T | None]) -> None:
        super().__init__()
        self._look = look

    def get(self, key: str, default: Any = None) -> Any:
        found = super().get(key)
        return self._look(key) or default if found is None else found


@contextmanager
def open_index(
    folder: Path, partnership: Partnership, keys: OfficerKeys, draw: Draw, progress: Callable[[int], None]
) -> Iterator[Index]:
    """The index of an officer's folder, brought up to her mirror.

    Raises:
        Refusal: as keys_tooling.audit.read.opener and open_mirror; STORE_BUSY when another command has it.
    """
    with open_mirror(folder, write=False) as mirror:
        officer = opener(mirror, partnership, keys, taken(folder, keys))
        database = _opened(folder, keys, draw)
        try:
            index = Index(database, officer)
            database.execute("BEGIN IMMEDIATE")
            index.refresh(progress)
            database.execute("COMMIT")
            yield index
        except sqlcipher.OperationalError as error:
            if "locked" in str(error):
                raise Refusal("STORE_BUSY", "Another command is opening this folder. Let it end.") from error
            raise Refusal("DISK_FULL") from error
        finally:
            database.close()


def rows(
    folder: Path, partnership: Partnership, keys: OfficerKeys, draw: Draw, *events: str
) -> Iterator[Row]:
    """Opened entries of an officer's folder in order, of these kinds of event or of all. Raises as `open_index`."""
    with open_index(folder, partnership, keys, draw, lambda _at: None) as index:
        yield from index.rows(*events)


def _among(events: tuple[str, ...]) -> str:
    return f" AND event IN ({', '.join('?' * len(events))})" if events else ""


def _judged(officer: Opener) -> str:
    """What an old entry is judged by, besides itself: when this changes, all are judged again."""
    revoked = sorted(
        [key.kid, key.revoked]
        for agency in officer.view.agencies.values()
        for key in agency.keys.values()
        if key.revoked is not None
    )
    passed = sorted(b64(epoch.id) for epoch in officer.epochs if epoch.given)
    said = [officer.keys.ig.kid, revoked, sorted(officer.shelf.policies), passed, len(officer.senders)]
    return hashlib.sha256(encode(said)).hexdigest()


def _opened(folder: Path, keys: OfficerKeys, draw: Draw) -> Any:
    """A connection to the index; one that does not open is deleted and begun again."""
    key = _key(folder, keys)
    if key is not None:
        try:
            return _connect(folder / FILE, key)
        except sqlcipher.DatabaseError as error:
            if "locked" in str(error):
                raise Refusal("STORE_BUSY", "Another command is opening this folder. Let it end.") from error
    for name in (FILE, f"{FILE}-journal", KEY):
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    return _connect(folder / FILE, _new_key(folder, keys, draw))


def _info(kid: str) -> bytes:
    return b"fenpost/v1/opened-index\x00" + unb64(kid, 32)


def _key(folder: Path, keys: OfficerKeys) -> bytes | None:
    try:
        return unwrap_key(keys.ig, _info(keys.ig.kid), (folder / KEY).read_bytes())
    except (OSError, Refusal):
        return None


def _new_key(folder: Path, keys: OfficerKeys, draw: Draw) -> bytes:
    key = draw(32)
    handle = os.open(folder / KEY, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(wrap_key(keys.ig.public, _info(keys.ig.kid), key))
    return key


def _connect(path: Path, key: bytes) -> Any:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    database = sqlcipher.connect(str(path), isolation_level=None, timeout=5)
    try:
        for pragma in (
            "cipher_log_level = NONE", f"key = \"x'{key.hex()}'\"", "secure_delete = ON", "temp_store = MEMORY",
            "synchronous = NORMAL",
        ):  # fmt: skip
            database.execute(f"PRAGMA {pragma}").close()
        if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            database.executescript(f"{SCHEMA} PRAGMA user_version = {VERSION};")
        if database.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            raise sqlcipher.DatabaseError("another version")
    except BaseException:
        database.close()
        raise
    return database
