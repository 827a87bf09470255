"""The stored log: its tree read by level and index, tiles, proofs, records, and how it is opened at start."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.epochs import Wrapped
from broker.ledger import TILE, Ledger, confirmed, rebuilt, sign
from broker.policies import open_shelf
from broker.store import Store
from broker.tables import epochs, heads, leaves, nodes, policies, records, statements
from broker.view import View
from schemas import api
from schemas.checkpoint import LogProof
from schemas.directory import Directory
from schemas.directory_statement import Statement, statement_leaf
from schemas.errors import Refusal
from schemas.founding import Founding
from schemas.hashed import Hashed
from schemas.keys import SigningKey
from schemas.merkle import HASH_SIZE, Frontier, Read, consistency_proof, inclusion_proof, leaf_hash, node_hash
from schemas.signing import Signed

T = TypeVar("T")
WIDTH = 1 << TILE
TOGETHER = 1000
"""Statements read at once when the directory is opened."""
MAX_LEVEL = 7
"""Tiles of level 7 would need more leaves than the world has messages."""


async def base(connection: AsyncConnection, level: int, start: int, end: int) -> list[bytes]:
    """The stored hashes [start, end) of a tile's edge level. Raises Refusal FORK when some are missing."""
    if level == 0:
        found = await connection.execute(
            select(leaves.c.leaf).where(leaves.c.idx >= start, leaves.c.idx < end).order_by(leaves.c.idx)
        )
        hashes = [leaf_hash(leaf) for leaf in found.scalars()]
    else:
        found = await connection.execute(
            select(nodes.c.hash)
            .where(nodes.c.level == level, nodes.c.idx >= start, nodes.c.idx < end)
            .order_by(nodes.c.idx)
        )
        hashes = list(found.scalars())
    if len(hashes) != end - start:
        raise Refusal("FORK", party="relay")
    return hashes


async def with_nodes(connection: AsyncConnection, compute: Callable[[Read], T]) -> T:
    """What `compute` says of the stored tree: it is run once to learn which nodes it reads, and once with them."""
    asked: list[tuple[int, int]] = []

    def note_down(level: int, at: int) -> bytes:
        asked.append((level, at))
        return bytes(HASH_SIZE)

    compute(note_down)
    found = {key: await _node(connection, *key) for key in asked}

    def read(level: int, at: int) -> bytes:
        return found[level, at]

    return compute(read)


async def _node(connection: AsyncConnection, level: int, at: int) -> bytes:
    up = level % TILE
    hashes = await base(connection, level - up, at << up, (at + 1) << up)
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [node_hash(left, right) for left, right in pairs]
    return hashes[0]


class Log:
    """The committed log, for whoever reads it."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    @property
    def note(self) -> str:
        return self._ledger.note

    @property
    def size(self) -> int:
        return self._ledger.size

    async def proof(self, index: int) -> str:
        """The tlog-proof of a leaf under the newest checkpoint."""
        size, note = self._ledger.size, self._ledger.note
        async with self._store.reading() as connection:
            found = await connection.execute(select(leaves.c.leaf).where(leaves.c.idx == index))
            leaf = found.scalar_one()
            hashes = await with_nodes(connection, lambda read: inclusion_proof(index, size, read))
        return LogProof(leaf, index, tuple(hashes), note).to_bytes().decode()

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Raises Refusal NOT_FOUND for sizes that the log has not had."""
        if not 0 <= old <= new <= self._ledger.size:
            raise Refusal("NOT_FOUND")
        async with self._store.reading() as connection:
            return await with_nodes(connection, lambda read: consistency_proof(old, new, read))

    async def tile(self, level: int, start: int, end: int) -> bytes:
        """The hashes [start, end) of a tile level (C2SP tlog-tiles). Raises Refusal NOT_FOUND."""
        if level > MAX_LEVEL or end > self._ledger.size >> level * TILE:
            raise Refusal("NOT_FOUND")
        async with self._store.reading() as connection:
            return b"".join(await base(connection, level * TILE, start, end))

    async def entries(self, start: int, end: int) -> bytes:
        """A bundle of leaves, each after its length in two bytes. Raises Refusal NOT_FOUND."""
        if end > self._ledger.size:
            raise Refusal("NOT_FOUND")
        async with self._store.reading() as connection:
            found = await connection.execute(
                select(leaves.c.leaf).where(leaves.c.idx >= start, leaves.c.idx < end).order_by(leaves.c.idx)
            )
            return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in found.scalars())

    async def records(self, start: int, limit: int) -> list[tuple[bytes, bytes]]:
        """(relay's record, veiled sender's record) of leaves from `start`, as many as fit a page."""
        pairs, room = list[tuple[bytes, bytes]](), api.PAGE_BYTES
        async with self._store.reading() as connection:
            asked = (
                select(records.c.relay, records.c.sender)
                .where(records.c.idx >= start)
                .order_by(records.c.idx)
            )
            found = await connection.stream(asked.limit(limit))
            async for row in found:
                room -= len(row.relay) + len(row.sender)
                if pairs and room < 0:
                    break
                pairs.append((row.relay, row.sender))
            await found.close()
        return pairs

    async def epochs(self, agency: str, after: int) -> list[Wrapped]:
        """The wraps of an agency's epochs with first > after; never part of an epoch's."""
        asked = (
            select(epochs)
            .where(epochs.c.agency == agency, epochs.c.first > after)
            .order_by(epochs.c.first, epochs.c.n)
            .limit(api.PAGE_RECORDS + 1)
        )
        async with self._store.reading() as connection:
            rows = (await connection.execute(asked)).all()
        if len(rows) > api.PAGE_RECORDS and rows[0].first != rows[-1].first:
            rows = [row for row in rows if row.first != rows[-1].first]
        return [Wrapped(row.epoch, row.agency, row.first, row.kid, row.wrap) for row in rows]

    async def statements(self, after: int, limit: int) -> list[Signed]:
        """Directory statements after the first `after`."""
        asked = (
            select(statements.c.text, statements.c.sig)
            .where(statements.c.n >= after)
            .order_by(statements.c.n)
        )
        async with self._store.reading() as connection:
            return [Signed(row.text, row.sig) for row in await connection.execute(asked.limit(limit))]


# --- opening at start


async def open_log(connection: AsyncConnection, origin: str, key: SigningKey) -> Ledger:
    """The audit log as it is stored, once its edge, hashed anew, is the one that was signed last.

    Raises:
        Refusal: FORK. The relay must not start then: signing anything would hide what happened.
    """
    head = (await connection.execute(select(heads).where(heads.c.name == "log"))).first()
    size = int((await connection.execute(select(func.count()).select_from(leaves))).scalar_one())
    if head is None:
        note = sign(origin, key, Frontier())
        await connection.execute(insert(heads), [{"name": "log", "size": 0, "note": note}])
        head_size = 0
    else:
        note, head_size = head.note, head.size
    if size != head_size:
        raise Refusal(
            "FORK", "The stored log has not as many leaves as was signed. The relay does not start."
        )
    frontier = await with_nodes(connection, lambda read: rebuilt(size, read))
    confirmed(origin, key, frontier, note)
    return Ledger(origin, key, frontier, note)


async def open_directory(
    connection: AsyncConnection, oversight: str, origin: str, key: SigningKey, founding: Founding
) -> View:
    """The directory, replayed, and its policies; an empty store takes the founding statements first.

    Raises:
        Refusal: FORK, and as Directory.apply for a founding file that does not hold together.
    """
    view, hashed = Directory(oversight), Hashed()

    def take(signed: Signed, *, believed: bool = False) -> Statement:
        statement = view.apply(signed, believed=believed)
        hashed.extend((leaf_hash(statement_leaf(signed)),))
        return statement

    head = (await connection.execute(select(heads).where(heads.c.name == "keys"))).first()
    if head is None:
        rows = []
        for signed in founding.statements:
            statement = take(signed)
            rows.append(
                {
                    "n": view.size - 1,
                    "agency": statement.agency,
                    "seq": statement.seq,
                    "text": signed.text,
                    "sig": signed.signature,
                }
            )
        note = sign(origin, key, view.frontier)
        await connection.execute(insert(statements), rows)
        if founding.policies:
            texts = [{"digest": digest, "text": text} for digest, text in founding.policies.items()]
            await connection.execute(insert(policies), texts)
        await connection.execute(insert(heads), [{"name": "keys", "size": view.size, "note": note}])
        return View(view, origin, key, note, await open_shelf(connection, view.policies), hashed)
    stored = select(statements.c.text, statements.c.sig).order_by(statements.c.n).limit(TOGETHER)
    while page := (await connection.execute(stored.where(statements.c.n >= view.size))).all():
        for row in page:  # their root is held against the head that this relay signed
            take(Signed(row.text, row.sig), believed=True)
    confirmed(origin, key, view.frontier, head.note)
    return View(view, origin, key, head.note, await open_shelf(connection, view.policies), hashed)
