"""How long the log was on each day: so the relay knows by itself how old an entry is at least (PROTOCOL.md Y4)."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, func, insert, select

from broker.tables import days, heads

DAY = 24 * 3600
SELECT_SIZE = select(heads.c.size).where(heads.c.name == "log")
SELECT_DAY = select(days.c.day).where(days.c.day == bindparam("today"))
SELECT_OLDER = select(func.max(days.c.size)).where(days.c.ts <= bindparam("before"))


def note_day(now: int, connection: Connection) -> None:
    """Note the log's size, once a day."""
    today = now // DAY
    if connection.execute(SELECT_DAY, {"today": today}).first() is None:
        connection.execute(insert(days), {"day": today, "ts": now, "size": log_size(connection)})


def older_than(before: int, connection: Connection) -> int:
    """Entries before this one were there at that time already; 0 when nothing is known of it."""
    return int(connection.execute(SELECT_OLDER, {"before": before}).scalar() or 0)


def log_size(connection: Connection) -> int:
    return int(connection.execute(SELECT_SIZE).scalar_one())
