"""A log's leaf hashes in memory, and every part of its tree that can be asked for (PROTOCOL.md L1, L12).

32 bytes for each leaf, and as much again for each 256: for logs of some hundred thousand leaves, whose every leaf is
hashed at start anyhow. Longer ones keep their nodes in a store.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.errors import Refusal
from schemas.merkle import HASH_SIZE, Frontier, consistency_proof, parents

TILE = 8
"""Levels between two that are kept: those where tiles begin (C2SP tlog-tiles)."""


class Hashed:
    """The hashes, in order. It only grows."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels = [bytearray()]
        self.extend(leaves)

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_SIZE

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Take in leaf hashes."""
        for leaf in leaves:
            self._levels[0] += leaf
            if self.size % (1 << TILE) == 0:
                self._complete()

    def read(self, level: int, at: int) -> bytes:
        """The hash of the perfect subtree over leaves [at << level, (at + 1) << level)."""
        kept, up = divmod(level, TILE)
        hashes = self._slice(kept, at << up, (at + 1) << up)
        while len(hashes) > 1:
            hashes = parents(hashes)
        return hashes[0]

    def tile(self, level: int, start: int, end: int) -> bytes:
        """The hashes [start, end) of a tile level, which is every eighth of the tree. Raises Refusal NOT_FOUND."""
        if level >= len(self._levels) or end * HASH_SIZE > len(self._levels[level]):
            raise Refusal("NOT_FOUND")
        return bytes(self._levels[level][start * HASH_SIZE : end * HASH_SIZE])

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves. Raises Refusal NOT_FOUND when there are fewer."""
        if size > self.size:
            raise Refusal("NOT_FOUND")
        edge, start = list[bytes](), 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                edge.append(self.read(level, start >> level))
                start += 1 << level
        return Frontier(size, tuple(edge)).root()

    def consistency(self, old: int, new: int) -> list[bytes]:
        """How the tree of `old` leaves begins the one of `new`. Raises Refusal NOT_FOUND for sizes it has not had."""
        if not 0 <= old <= new <= self.size:
            raise Refusal("NOT_FOUND")
        return consistency_proof(old, new, self.read)

    def _slice(self, kept: int, start: int, end: int) -> list[bytes]:
        data = self._levels[kept]
        return [bytes(data[at * HASH_SIZE : (at + 1) * HASH_SIZE]) for at in range(start, end)]

    def _complete(self) -> None:
        """A tile is full: its root joins the level above, and may fill that one."""
        kept, count = 0, self.size
        while count and count % (1 << TILE) == 0:
            hashes = self._slice(kept, count - (1 << TILE), count)
            while len(hashes) > 1:
                hashes = parents(hashes)
            kept += 1
            if kept == len(self._levels):
                self._levels.append(bytearray())
            self._levels[kept] += hashes[0]
            count = len(self._levels[kept]) // HASH_SIZE
