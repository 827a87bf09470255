"""No statement of the relay reads a table from end to end, but where that is said here with its reason."""

import importlib
import pkgutil
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy import Delete, Select, Update, bindparam, create_engine
from sqlalchemy.dialects import sqlite

import broker
from broker import tables
from broker.statements import Statement

DIALECT = sqlite.dialect(paramstyle="qmark")
SHORT = {
    "broker.recalls.DELETE_ENDED": "recalls last as long as their agreement, and it runs once a minute",
    "broker.retention.SELECT_KEPT": "holds for reviews: an officer names each by hand",
    "broker.invites.SELECT_ALL": "an admin asks for her open invites",
}


def statements() -> Iterator[tuple[str, object]]:
    for module in pkgutil.iter_modules(broker.__path__):
        if module.name in ("__main__", "calculator"):
            continue
        room = importlib.import_module(f"broker.{module.name}")
        for name, value in vars(room).items():
            if isinstance(value, Statement | Select | Update | Delete) and name != "IN_HAND":
                yield f"{room.__name__}.{name}", value


def whole(statement: object, count: int) -> object:
    if not isinstance(statement, Statement):
        return statement
    named = {name: [bindparam(f"{name}_{at}") for at in range(count)] for name in statement._lists}
    return statement._build(**named)


@pytest.fixture(scope="module")
def store() -> Iterator[sqlite3.Connection]:
    engine = create_engine("sqlite://")
    tables.metadata.create_all(engine)
    connection = engine.raw_connection()
    yield connection.driver_connection
    connection.close()
    engine.dispose()


def plan(store: sqlite3.Connection, statement: object, count: int) -> list[str]:
    compiled = whole(statement, count).compile(dialect=DIALECT)
    given = [1] * len(compiled.positiontup or ())
    return [row[3] for row in store.execute(f"EXPLAIN QUERY PLAN {compiled}", given)]


FOUND = dict(statements())


def test_there_are_statements_to_look_at():
    assert len(FOUND) > 40
    assert SHORT.keys() <= FOUND.keys()


@pytest.mark.parametrize("count", [1, 256])
@pytest.mark.parametrize("name", [name for name in FOUND if name not in SHORT])
def test_a_statement_goes_by_an_index(store, name, count):
    steps = plan(store, FOUND[name], count)
    assert steps or name.rpartition(".")[2].startswith("INSERT")
    assert not [step for step in steps if step.startswith("SCAN")]


def test_notices_are_found_by_their_ids(store):
    """Not by their agency: one that was away has thousands, and hands them back 256 at a time."""
    (step,) = plan(store, FOUND["broker.queries.DELETE_NOTICES"], 256)
    assert "(id=?)" in step
