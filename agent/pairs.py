"""Running numbers between two agencies, inside the ciphertext: a gap or a late one shows (PROTOCOL.md E11)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from agent.tables import pairs


def next_numbers(c: Connection, agencies: Sequence[str]) -> tuple[int, ...]:
    """The next number towards each agency, one for each entry; nothing is taken yet."""
    counted: dict[str, int] = {}
    numbers = []
    for agency in agencies:
        counted[agency] = counted.get(agency, _of(c, agency)[0]) + 1
        numbers.append(counted[agency])
    return tuple(numbers)


def take_numbers(c: Connection, agencies: Sequence[str], numbers: Sequence[int]) -> None:
    """Use numbers up, in the transaction that queues their message."""
    for agency, number in zip(agencies, numbers, strict=True):
        _keep(c, agency, number, _of(c, agency)[1])


def gap_before(c: Connection, agency: str, number: int) -> int:
    """Take note of a number from an agency; returns how many before it are still missing, negative for a late one."""
    sent, got = _of(c, agency)
    _keep(c, agency, sent, max(got, number))
    return number - got - 1


def _of(c: Connection, agency: str) -> tuple[int, int]:
    row = c.execute(select(pairs.c.sent, pairs.c.got).where(pairs.c.a == agency)).one_or_none()
    return (0, 0) if row is None else (row.sent, row.got)


def _keep(c: Connection, agency: str, sent: int, got: int) -> None:
    c.execute(insert(pairs).prefix_with("OR REPLACE").values(a=agency, sent=sent, got=got))
