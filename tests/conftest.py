"""How the tests share a machine: in which order, in how many workers, and what each worker does only once."""

import gc
import os
import shutil
import sys
from functools import lru_cache
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.util import LRUCache

from schemas import directory, witness
from schemas.signing import Check
from tests.ports import WORKERS

LONGEST = (
    "stories/test_stolen_folder.py", "keys_tooling/test_runbook.py", "stories/test_tour.py", "agent/test_commands.py",
    "broker/test_races.py", "keys_tooling/test_killed_changes.py", "keys_tooling/test_killed_commands.py",
    "keys_tooling/test_every_change.py", "stories/test_surrender.py", "stories/test_histories.py",
    "keys_tooling/test_rotating_everything.py", "schemas/test_consent_oracle.py", "broker/test_settings.py",
    "agent/test_consent_commands.py",
)  # fmt: skip
"""What takes longest or waits for processes, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each worker begins with some of the longest, whole files of them, so that none ends alone with one.

    `--dist worksteal` gives each worker as many tests in a row; who is done takes from the end of another's row.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    longest: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for at, name in enumerate(LONGEST):
        longest[at % workers] += [item for item in items if item.path.as_posix().endswith(name)]
    others = [item for item in items if not item.path.as_posix().endswith(LONGEST)]
    left, placed = len(items), list[pytest.Item]()
    for at, row in enumerate(longest):
        size = left // (workers - at)
        left -= size
        fill = max(size - len(row), 0)
        placed += row + others[:fill]
        del others[:fill]
    items[:] = placed + others


def pytest_xdist_auto_num_workers() -> int:
    """Three for two processors: a third of the time, a test waits for the disk, where commits are durable."""
    return min((3 * (os.cpu_count() or 1) + 1) // 2, WORKERS)


def pytest_collection_finish() -> None:
    """The modules and the tests stay until the end: looking through them for garbage was a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 20)


def pytest_unconfigure() -> None:
    """A worker ends without a word, so nothing that waits for its end would clear away."""
    forked = sys.modules.get("tests.forked")
    if forked:
        forked.ENDS.close()
    worlds = sys.modules.get("tests.simulated_world")
    for mould in worlds.MOULDS.values() if worlds else ():
        shutil.rmtree(mould.folder, ignore_errors=True)


# A program opens its store once, a test run thousands of times; SQLAlchemy would turn each statement into SQL again for
# each of them. Two dialects are the same to its cache when they are of one class and speak to one version of SQLite.
STATEMENTS: LRUCache[Any, Any] = LRUCache(5000)


def _same(dialect: SQLiteDialect) -> tuple[Any, ...]:
    return type(dialect), getattr(dialect, "server_version_info", None)


SQLiteDialect.__hash__ = lambda self: hash(_same(self))
SQLiteDialect.__eq__ = lambda self, other: isinstance(other, SQLiteDialect) and _same(self) == _same(other)


@event.listens_for(Engine, "engine_connect")
def share_statements(connection: Connection) -> None:
    connection.engine._compiled_cache = STATEMENTS


# A partnership's statements are read and checked by its relay, by each of its agents and officers, and again in the next
# test. Of the very same bytes it is remembered what they say and that they held; what is refused is looked at each time.
Check.hold = lru_cache(20_000)(Check.hold)
directory.parse_statement = lru_cache(5_000)(directory.parse_statement)
directory.check_public = lru_cache(5_000)(directory.check_public)
witness.verify_mldsa = lru_cache(5_000)(witness.verify_mldsa)
