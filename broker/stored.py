"""The stored leaves held against what was signed: no head over a leaf that is stored otherwise (PROTOCOL.md L2).

The head at start says what the edge is; this says that every leaf under it is still the one that was hashed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.ledger import TILE
from broker.tables import leaves, nodes, records
from schemas.audit import Leaf
from schemas.errors import Refusal
from schemas.merkle import leaf_hash, node_hash
from schemas.record_sealing import record_hash

WIDTH = 1 << TILE


async def check_leaves(connection: AsyncConnection, size: int) -> None:
    """Hash every full tile anew, from the stored leaves upwards; what lies behind the last one is in the edge.

    Raises:
        Refusal: FORK, naming the first entry that is not as it was signed, or the 256 among which it is.
    """
    level, count = 0, size
    while count >= WIDTH:
        kept = await _kept(connection, level + TILE)
        if len(kept) != count >> TILE:
            raise _spoiled(f"the hashes over entries {len(kept) << level + TILE} and more")
        number = 0
        async for hashes in _tiles(connection, level, len(kept)):
            if _root(hashes) != kept[number]:
                raise await _named(connection, level, number)
            number += 1
        if number != len(kept):
            raise _spoiled(f"entry {number << level + TILE} or one behind it")
        level, count = level + TILE, count >> TILE


async def _kept(connection: AsyncConnection, level: int) -> list[bytes]:
    found = await connection.execute(select(nodes.c.hash).where(nodes.c.level == level).order_by(nodes.c.idx))
    return list(found.scalars())


async def _tiles(connection: AsyncConnection, level: int, count: int) -> AsyncIterator[list[bytes]]:
    """The hashes of each full tile of a level, in order; it ends early where one is missing."""
    for number in range(count):
        start = number * WIDTH
        if level:
            asked = select(nodes.c.hash).where(
                nodes.c.level == level, nodes.c.idx >= start, nodes.c.idx < start + WIDTH
            )
            hashes = list((await connection.execute(asked.order_by(nodes.c.idx))).scalars())
        else:
            named = select(leaves.c.leaf).where(leaves.c.idx >= start, leaves.c.idx < start + WIDTH)
            found = (await connection.execute(named.order_by(leaves.c.idx))).scalars()
            hashes = [leaf_hash(leaf) for leaf in found]
        if len(hashes) != WIDTH:
            return
        yield hashes


def _root(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[at], hashes[at + 1]) for at in range(0, len(hashes), 2)]
    return hashes[0]


async def _named(connection: AsyncConnection, level: int, number: int) -> Refusal:
    """The first entry of a spoiled tile whose record does not fit it; or the tile, where every record does."""
    start, end = number * WIDTH << level, (number + 1) * WIDTH << level
    if level == 0:
        asked = (
            select(leaves.c.idx, leaves.c.leaf, records.c.relay)
            .join_from(leaves, records, leaves.c.idx == records.c.idx)
            .where(leaves.c.idx >= start, leaves.c.idx < end)
            .order_by(leaves.c.idx)
        )
        for row in await connection.execute(asked):
            try:
                fits = not row.relay or Leaf.parse(row.leaf).relay_record == record_hash(row.relay)
            except Refusal:
                fits = False
            if not fits:
                return _spoiled(f"entry {row.idx}")
    return _spoiled(f"one of entries {start} to {end - 1}")


def _spoiled(what: str) -> Refusal:
    return Refusal(
        "FORK",
        f"In the stored log {what} is not as it was signed, so the relay does not start. Keep the store as it is, tell "
        "every IG officer, and restore the newest backup into another folder.",
    )
