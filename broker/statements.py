"""Statements of the hot path: written with SQLAlchemy, compiled once, executed by the driver's own cursor.

SQLAlchemy compiles, binds, wraps and converts anew at every execution, which costs ten times what SQLite needs for the
work, and a turn has a dozen statements. What these bind and give are bytes, whole numbers and text, which drivers take
and give as they are. Errors are the driver's own; broker.store turns them into refusals.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import BindParameter, Connection, Dialect, Select, Table, bindparam, insert
from sqlalchemy.sql.expression import Executable

from broker.driver import Connection as Driver

Build = Callable[..., Executable]


@dataclass(frozen=True, slots=True)
class Text:
    """A compiled statement: its text, the names of what stands at each place, which of them stand for a whole list,
    the values that never change, and how a row that it gives is made."""

    sql: str
    places: tuple[str, ...]
    lists: tuple[str, ...]
    fixed: dict[str, Any]
    row: Any

    def values(self, given: dict[str, Any]) -> list[Any]:
        known, found = self.fixed | given, list[Any]()
        for name in self.places:
            found += known[name] if name in self.lists else (known[name],)
        return found


class Statement:
    """A statement with named values. `build` is given, for each name in `lists`, the binds that stand for a list."""

    def __init__(self, build: Build, *lists: str) -> None:
        self._build = build
        self._lists = lists

    def rows(self, connection: Connection, **values: Any) -> list[Any]:
        """The rows found, with the selected columns as attributes."""
        text, given = self._ready(connection, values)
        cursor = _cursor(connection)
        cursor.execute(text.sql, given)
        found = [text.row(*row) for row in cursor.fetchall()]
        cursor.close()
        return found

    def run(self, connection: Connection, **values: Any) -> int:
        """Change rows; says how many."""
        text, given = self._ready(connection, values)
        cursor = _cursor(connection)
        cursor.execute(text.sql, given)
        changed: int = cursor.rowcount
        cursor.close()
        return changed

    def each(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
        """Run once for each of these sets of values."""
        text = _compiled(connection.dialect, self._build, ())
        _many(connection, text, rows)

    def _ready(self, connection: Connection, values: dict[str, Any]) -> tuple[Text, list[Any]]:
        given = values | {name: _rounded(values[name]) for name in self._lists}
        counts = tuple((name, len(given[name])) for name in self._lists)
        text = _compiled(connection.dialect, self._build, counts)
        return text, text.values(given)


def store(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert these rows, which all have the same columns."""
    _many(connection, _insertion(connection.dialect, table, tuple(rows[0])), rows)


def _cursor(connection: Connection) -> sqlite3.Cursor:
    driver: Driver = connection.connection.driver_connection  # type: ignore[assignment]  # the store has no other
    return driver.at_once()


def _many(connection: Connection, text: Text, rows: Sequence[dict[str, Any]]) -> None:
    cursor = _cursor(connection)
    pick = text.values if text.fixed or len(text.places) == 1 else itemgetter(*text.places)
    cursor.executemany(text.sql, list(map(pick, rows)))
    cursor.close()


def _rounded(items: Sequence[Any]) -> list[Any]:
    """Filled up to a power of two with the last, which changes nothing in a list of what is sought: so the store
    prepares a dozen texts and not a thousand."""
    size = 1 << (len(items) - 1).bit_length()
    return [*items, *[items[-1]] * (size - len(items))]


@lru_cache(maxsize=256)
def _compiled(dialect: Dialect, build: Build, counts: tuple[tuple[str, int], ...]) -> Text:
    binds: dict[str, list[BindParameter[Any]]] = {
        name: [bindparam(f"{name}_{at}") for at in range(count)] for name, count in counts
    }
    return _text(dialect, build(**binds), counts)


@lru_cache(maxsize=64)
def _insertion(dialect: Dialect, table: Table, columns: tuple[str, ...]) -> Text:
    return _text(dialect, insert(table).inline().values({name: bindparam(name) for name in columns}))


def _text(dialect: Dialect, statement: Any, counts: tuple[tuple[str, int], ...] = ()) -> Text:
    compiled = statement.compile(dialect=dialect)
    list_of = {f"{name}_{at}": name for name, count in counts for at in range(count)}
    places = [place for place, _ in groupby(compiled.positiontup or (), lambda bind: list_of.get(bind, bind))]
    names = statement.selected_columns.keys() if isinstance(statement, Select) else []
    row: Any = namedtuple("Row", names) if names else tuple
    fixed = {name: value for name, value in compiled.params.items() if value is not None}
    return Text(str(compiled), tuple(places), tuple(name for name, _ in counts), fixed, row)
