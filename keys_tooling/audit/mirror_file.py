"""The mirror's file: made, opened, and by one writer at a time.

Rules of this house:
- only its officer may read it, whatever the umask;
- a file that was cut off is refused, not read as if what is missing were empty.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from keys_tooling.audit.mirror import SCHEMA, Mirror
from schemas.errors import Refusal

FILE, LOCK = "mirror.db", "mirror.lock"


@contextmanager
def open_mirror(folder: Path, *, write: bool) -> Iterator[Mirror]:
    """The mirror in an officer's folder; made when it is missing and `write`. One writer at a time.

    Raises:
        Refusal: MIRROR when it is missing, damaged or of another kind; STORE_BUSY when another pull is running.
    """
    path = folder / FILE
    if not write and not path.exists():
        raise Refusal("MIRROR", "Nothing was pulled yet. Run: fenpost-audit pull")
    with _alone(folder) if write else _nobody():
        try:
            database = _connect(path, write=write)
            try:
                yield Mirror(database)
            finally:
                database.close()
        except sqlite3.DatabaseError as error:
            if "full" in str(error):
                raise Refusal("DISK_FULL") from error
            raise Refusal("MIRROR") from error


def _connect(path: Path, *, write: bool) -> sqlite3.Connection:
    if write:
        # Made by hand, so that its mode does not depend on the umask.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(f"file:{quote(str(path))}?mode={'rw' if write else 'ro'}", uri=True, timeout=5)
    if write:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA secure_delete = ON")
        if not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            database.executescript(f"BEGIN; {SCHEMA} COMMIT;")
    elif path.stat().st_size < _length(database):
        # SQLite reads what was cut off as zeros, and where a page ends unused nothing else would show it.
        database.close()
        raise Refusal("MIRROR", "The mirror's file was cut off. Keep it, and pull into a new folder.")
    return database


def _length(database: sqlite3.Connection) -> int:
    pages, size = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    return int(pages) * int(size)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Refusal("STORE_BUSY", "Another pull is using this folder. Let it end first.") from error
    finally:
        os.close(handle)


@contextmanager
def _nobody() -> Iterator[None]:
    yield
