"""The directory's log as it is served: the same pages as the audit log's, with clear entries (PROTOCOL.md K15, L28)."""

from __future__ import annotations

from sqlalchemy import select

from broker.store import Store
from broker.tables import statements
from broker.view import View
from schemas.directory_statement import statement_leaf
from schemas.errors import Refusal
from schemas.signing import Signed


class KeysLog:
    """The committed directory log, for whoever reads it."""

    def __init__(self, store: Store, view: View) -> None:
        self._store = store
        self._view = view

    async def consistency(self, old: int, new: int) -> list[bytes]:
        """Raises Refusal NOT_FOUND for sizes that the log has not had."""
        return self._view.hashed.consistency(old, new)

    async def tile(self, level: int, start: int, end: int) -> bytes:
        """The hashes [start, end) of a tile level (C2SP tlog-tiles). Raises Refusal NOT_FOUND."""
        return self._view.hashed.tile(level, start, end)

    async def entries(self, start: int, end: int) -> bytes:
        """A bundle of statements, each after its length in two bytes. Raises Refusal NOT_FOUND."""
        if end > self._view.size:
            raise Refusal("NOT_FOUND")
        asked = select(statements.c.text, statements.c.sig).where(
            statements.c.n >= start, statements.c.n < end
        )
        async with self._store.reading() as connection:
            found = await connection.execute(asked.order_by(statements.c.n))
            leaves = [statement_leaf(Signed(row.text, row.sig)) for row in found]
        return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)
