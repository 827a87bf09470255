"""The audit log's growing edge: leaves in, a signed checkpoint and proofs out (PROTOCOL.md L1-L8). No I/O here.

Rules of this house:
- a leaf is hashed from the very bytes that are stored;
- the edge in memory moves only after the commit; a growth that was not committed is dropped whole;
- signing a head that does not extend the last one is the one unforgivable act: nothing else signs with this key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from schemas.checkpoint import (
    Checkpoint,
    LogKey,
    open_checkpoint,
    proof_end,
    proof_line,
    proof_start,
    sign_checkpoint,
)
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.merkle import Frontier, Read, leaf_hash, node_hash

TILE = 8
"""Levels in a tile: nodes are stored for levels 8, 16, 24; what lies between follows from 256 of them."""


@dataclass(frozen=True, slots=True)
class Growth:
    """The log with some more leaves: what must be stored, and what can be proven once it is."""

    frontier: Frontier
    note: str
    nodes: dict[tuple[int, int], bytes]
    tails: tuple[bytes, ...]
    """By level: the hash over the leaves that follow its last whole node, or nothing where none do."""
    _paths: dict[tuple[int, int], bytes] = field(default_factory=dict, init=False, repr=False, compare=False)

    def stored_nodes(self, before: int) -> list[tuple[int, int, bytes]]:
        """The nodes of stored levels that these leaves completed, after a log of size `before`."""
        return completed(self.nodes, before)

    def stands(self, before: int, stored: Sequence[tuple[int, bytes]]) -> bool:
        """Whether these rows (index, leaf) are the leaves that were hashed, all of them and no other (L2)."""
        indexes = range(before, self.frontier.size)
        return len(stored) == len(indexes) and all(
            at == index and leaf_hash(leaf) == self.nodes[0, at]
            for index, (at, leaf) in zip(indexes, stored, strict=True)
        )

    def proof(self, leaf: bytes, index: int) -> bytes:
        """The tlog-proof of one of the new leaves: what schemas.merkle.inclusion_proof finds, as LogProof prints it."""
        return proof_start(leaf, index) + self._path(0, index)

    def _path(self, level: int, at: int) -> bytes:
        """A proof's text from this node on to its end, kept: two proofs are one from where their paths meet."""
        text = self._paths.get((level, at))
        if text is None:
            size, sibling = self.frontier.size, at ^ 1
            if 1 << level >= size:
                text = proof_end(self.note)
            elif sibling < size >> level:
                text = proof_line(self.nodes[level, sibling]) + self._path(level + 1, at >> 1)
            elif sibling << level < size:
                text = proof_line(self.tails[level]) + self._path(level + 1, at >> 1)
            else:
                text = self._path(level + 1, at >> 1)
            self._paths[level, at] = text
        return text


class Ledger:
    """The committed log: its edge and its newest checkpoint."""

    def __init__(self, origin: str, key: SigningKey, frontier: Frontier, note: str) -> None:
        self._origin = origin
        self._key = key
        self.frontier = frontier
        self.note = note

    @property
    def size(self) -> int:
        return self.frontier.size

    def grow(self, leaves: Sequence[bytes]) -> Growth:
        """The log after these leaves; this object does not change."""
        frontier, nodes = grown(self.frontier, leaves)
        return Growth(frontier, sign(self._origin, self._key, frontier), nodes, tails(frontier))

    def adopt(self, growth: Growth) -> None:
        """Move the edge; call it only after the growth is durable."""
        self.frontier, self.note = growth.frontier, growth.note


def grown(frontier: Frontier, leaves: Sequence[bytes]) -> tuple[Frontier, dict[tuple[int, int], bytes]]:
    """The edge after these leaves, and the nodes that prove them: those of the edge before, and every new one."""
    nodes = _edge(frontier)
    edge, size = list(frontier.edge), frontier.size
    for leaf in leaves:
        digest, level, at = leaf_hash(leaf), 0, size
        nodes[0, at] = digest
        while at & 1:
            digest, level, at = node_hash(edge.pop(), digest), level + 1, at >> 1
            nodes[level, at] = digest
        edge.append(digest)
        size += 1
    return Frontier(size, tuple(edge)), nodes


def tails(frontier: Frontier) -> tuple[bytes, ...]:
    """`Growth.tails`: they change with every turn, and all of its proofs end in them."""
    found, tail, edge = list[bytes](), b"", list(frontier.edge)
    for level in range(frontier.size.bit_length()):
        found.append(tail)
        if frontier.size >> level & 1:
            left = edge.pop()
            tail = node_hash(left, tail) if tail else left
    return tuple(found)


def completed(nodes: Mapping[tuple[int, int], bytes], before: int) -> list[tuple[int, int, bytes]]:
    """Those nodes of stored levels that were not complete at size `before`."""
    return [
        (level, at, digest)
        for (level, at), digest in nodes.items()
        if level and level % TILE == 0 and (at + 1) << level > before
    ]


def sign(origin: str, key: SigningKey, frontier: Frontier) -> str:
    return sign_checkpoint(Checkpoint(origin, frontier.size, frontier.root()), key)


def rebuilt(size: int, read: Read) -> Frontier:
    """The edge of a stored tree of this size, each part hashed anew."""
    edge, start = [], 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            edge.append(read(level, start >> level))
            start += 1 << level
    return Frontier(size, tuple(edge))


def confirmed(origin: str, key: SigningKey, frontier: Frontier, note: str) -> None:
    """Raises Refusal FORK unless `note` is this key's word for exactly this tree."""
    try:
        checkpoint = open_checkpoint(note, LogKey(origin, key.public))
    except Refusal as error:
        raise _forked() from error
    if checkpoint != Checkpoint(origin, frontier.size, frontier.root()):
        raise _forked()


def _edge(frontier: Frontier) -> dict[tuple[int, int], bytes]:
    nodes, start, hashes = {}, 0, iter(frontier.edge)
    for level in reversed(range(frontier.size.bit_length())):
        if frontier.size >> level & 1:
            nodes[level, start >> level] = next(hashes)
            start += 1 << level
    return nodes


def _forked() -> Refusal:
    return Refusal(
        "FORK",
        "The stored log is not the one that was signed last, so the relay does not start. Keep the store as it is, "
        "tell every IG officer, and restore the newest backup into another folder.",
    )
