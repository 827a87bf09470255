"""The stored leaves held against what was signed: no head over a leaf that is stored otherwise (PROTOCOL.md L2).

The head at start says what the edge is; this says that every leaf under it is still the one that was hashed.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.ledger import TILE, Ledger
from broker.tables import leaves, nodes, records
from broker.tree import open_directory, open_log
from broker.view import View
from schemas.audit import Leaf
from schemas.errors import Refusal
from schemas.founding import Founding
from schemas.keyring import RelayKeys
from schemas.merkle import leaf_hashes, parents
from schemas.partnership import Charter
from schemas.record_sealing import record_hash

WIDTH = 1 << TILE
AT_ONCE = 16
"""Tiles read together, so that the store is asked seldom; their leaves are half a megabyte."""


async def reopened(
    connection: AsyncConnection, charter: Charter, keys: RelayKeys, founding: Founding
) -> tuple[View, Ledger]:
    """The directory and the log as they are stored, held against what was signed. Raises Refusal FORK."""
    view = await open_directory(
        connection, charter.oversight, f"{charter.origin}/keys", keys.keys_log, founding
    )
    ledger = await open_log(connection, charter.origin, keys.log)
    await check_leaves(connection, ledger.size)
    return view, ledger


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
        for first in range(0, len(kept), AT_ONCE):
            signed = kept[first : first + AT_ONCE]
            hashes = await _hashes(connection, level, first, len(signed))
            if _roots(hashes) != signed:
                raise await _found(connection, level, first, signed)
        level, count = level + TILE, count >> TILE


async def _kept(connection: AsyncConnection, level: int) -> list[bytes]:
    found = await connection.execute(select(nodes.c.hash).where(nodes.c.level == level).order_by(nodes.c.idx))
    return list(found.scalars())


async def _hashes(connection: AsyncConnection, level: int, first: int, count: int) -> list[bytes]:
    """The hashes of so many tiles of a level, leaves hashed anew; fewer where some are missing."""
    start, end = first * WIDTH, (first + count) * WIDTH
    if level:
        asked = select(nodes.c.hash).where(nodes.c.level == level, nodes.c.idx >= start, nodes.c.idx < end)
        return list((await connection.execute(asked.order_by(nodes.c.idx))).scalars())
    named = select(leaves.c.leaf).where(leaves.c.idx >= start, leaves.c.idx < end).order_by(leaves.c.idx)
    return leaf_hashes((await connection.execute(named)).scalars())


def _roots(hashes: list[bytes]) -> list[bytes]:
    """The root of each tile; nothing where one is not whole."""
    if len(hashes) % WIDTH:
        return []
    for _ in range(TILE):
        hashes = parents(hashes)
    return hashes


async def _found(connection: AsyncConnection, level: int, first: int, signed: list[bytes]) -> Refusal:
    """What is wrong in the first spoiled one of these tiles."""
    for number, root in enumerate(signed, first):
        hashes = await _hashes(connection, level, number, 1)
        if len(hashes) != WIDTH:
            return _spoiled(f"entry {number << level + TILE} or one behind it")
        if _roots(hashes) != [root]:
            return await _named(connection, level, number)
    return _spoiled(f"one of entries {first << level + TILE} or more")


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
