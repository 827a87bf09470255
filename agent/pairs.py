"""Running numbers between two agencies, inside the ciphertext: a gap or a late one shows (PROTOCOL.md E11)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select

from agent.tables import absent, pairs

ABSENT = 64
"""How many missing numbers one message can make known: after a lost store it would be all of them."""
OF = select(pairs.c.sent, pairs.c.got).where(pairs.c.a == bindparam("agency"))
KEEP = insert(pairs).prefix_with("OR REPLACE")


def next_numbers(c: Connection, agencies: Sequence[str]) -> tuple[int, ...]:
    """The next number towards each agency, one for each entry; nothing is taken yet."""
    counted: dict[str, int] = {}
    numbers = []
    for agency in agencies:
        counted[agency] = counted.get(agency, _of(c, agency)[0]) + 1
        numbers.append(counted[agency])
    return tuple(numbers)


def take_numbers(c: Connection, agencies: Sequence[str], numbers: Sequence[int]) -> None:
    """Use numbers up, in the transaction that queues their message; one that is not counted has none."""
    for agency, number in zip(agencies, numbers, strict=True) if numbers else ():
        _keep(c, agency, number, _of(c, agency)[1])


def gap_before(c: Connection, agency: str, number: int, now: int) -> int:
    """Take note of a number from an agency; returns how many before it are still missing, negative for a late one."""
    sent, got = _of(c, agency)
    _keep(c, agency, sent, max(got, number))
    if number <= got:
        c.execute(delete(absent).where(absent.c.a == agency, absent.c.n == number))
    for missing in range(max(got + 1, number - ABSENT), number):
        c.execute(insert(absent).prefix_with("OR IGNORE").values(a=agency, n=missing, since=now))
    return number - got - 1


def missing_from(c: Connection, agency: str) -> dict[int, int]:
    """The numbers that an agency used and that did not come here, and since when we know."""
    rows = c.execute(select(absent.c.n, absent.c.since).where(absent.c.a == agency))
    return {row.n: row.since for row in rows}


def forget_missing(c: Connection, before: int) -> None:
    """Numbers that were missed that long ago come no more: a message lives 14 days."""
    c.execute(delete(absent).where(absent.c.since < before))


def _of(c: Connection, agency: str) -> tuple[int, int]:
    row = c.execute(OF, {"agency": agency}).one_or_none()
    return (0, 0) if row is None else (row.sent, row.got)


def _keep(c: Connection, agency: str, sent: int, got: int) -> None:
    c.execute(KEEP, {"a": agency, "sent": sent, "got": got})
