"""The Merkle tree of RFC 6962 section 2, as pure functions (PROTOCOL.md L1-L4).

A stored tree is anything that answers `read(level, index)`: the hash of the perfect subtree that covers the leaves
[index * 2**level, (index + 1) * 2**level). Verification rebuilds roots and raises; it never answers with a bool.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from schemas.errors import Refusal

Read = Callable[[int, int], bytes]
HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
MAX_PROOF = 63


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def leaf_hashes(leaves: Iterable[bytes]) -> list[bytes]:
    """`leaf_hash` of each, for millions of them."""
    sha = hashlib.sha256
    return [sha(b"\x00" + leaf).digest() for leaf in leaves]


def parents(hashes: Sequence[bytes]) -> list[bytes]:
    """The level above an even number of hashes: `node_hash` of each pair, for millions of them."""
    sha = hashlib.sha256
    return [sha(b"\x01%b%b" % pair).digest() for pair in zip(hashes[::2], hashes[1::2], strict=True)]


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: its size and the roots of its perfect subtrees, largest first."""

    size: int = 0
    edge: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Frontier:
        """The frontier after one more leaf hash."""
        edge, size = [*self.edge, leaf], self.size
        while size & 1:
            right = edge.pop()
            edge.append(node_hash(edge.pop(), right))
            size >>= 1
        return Frontier(self.size + 1, tuple(edge))

    def root(self) -> bytes:
        if not self.edge:
            return EMPTY_ROOT
        root = self.edge[-1]
        for left in reversed(self.edge[:-1]):
            root = node_hash(left, root)
        return root


def range_hash(start: int, end: int, read: Read) -> bytes:
    """The root over leaves [start, end) of a tree whose `start` is aligned as RFC 6962 splits it."""
    width = end - start
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return read(level, start >> level)
    split = start + _largest_power_below(width)
    return node_hash(range_hash(start, split, read), range_hash(split, end, read))


def inclusion_proof(index: int, size: int, read: Read) -> list[bytes]:
    """PATH(index, D[size]), from the leaf upwards (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise Refusal("PROOF")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        split = start + _largest_power_below(end - start)
        if index < split:
            path.append(range_hash(split, end, read))
            end = split
        else:
            path.append(range_hash(start, split, read))
            start = split
    path.reverse()
    return path


def consistency_proof(old: int, new: int, read: Read) -> list[bytes]:
    """PROOF(old, D[new]) (RFC 6962 section 2.1.2); empty for an empty or unchanged tree."""
    if not 0 <= old <= new:
        raise Refusal("PROOF")
    if old in (0, new):
        return []
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        split = start + _largest_power_below(end - start)
        if old <= split:
            path.append(range_hash(split, end, read))
            end = split
        else:
            path.append(range_hash(start, split, read))
            start = split
            whole = False
    if not whole:
        path.append(range_hash(start, end, read))
    path.reverse()
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises Refusal PROOF unless `leaf` stands at `index` of the tree of `size` with `root` (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size or len(proof) > MAX_PROOF:
        raise Refusal("PROOF")
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if len(sibling) != HASH_SIZE or last == 0:
            raise Refusal("PROOF")
        if node & 1 or node == last:
            computed = node_hash(sibling, computed)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        node, last = node >> 1, last >> 1
    if last != 0 or not hmac.compare_digest(computed, root):
        raise Refusal("PROOF")


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises Refusal PROOF unless the tree (new, new_root) extends the tree (old, old_root) (RFC 9162 2.1.4.2)."""
    if not 0 <= old <= new or len(proof) > MAX_PROOF or any(len(h) != HASH_SIZE for h in proof):
        raise Refusal("PROOF")
    if old == 0:
        _same(old_root, EMPTY_ROOT)
        if proof or (new == 0 and new_root != EMPTY_ROOT):
            raise Refusal("PROOF")
        return
    if old == new:
        if proof:
            raise Refusal("PROOF")
        _same(old_root, new_root)
        return
    _walk_consistency(old, old_root, new, new_root, list(proof))


def _walk_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> None:
    if old & (old - 1) == 0:
        proof.insert(0, old_root)
    if not proof:
        raise Refusal("PROOF")
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    was = now = proof[0]
    for sibling in proof[1:]:
        if last == 0:
            raise Refusal("PROOF")
        if node & 1 or node == last:
            was, now = node_hash(sibling, was), node_hash(sibling, now)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            now = node_hash(now, sibling)
        node, last = node >> 1, last >> 1
    if last != 0:
        raise Refusal("PROOF")
    _same(was, old_root)
    _same(now, new_root)


def _same(one: bytes, other: bytes) -> None:
    if not hmac.compare_digest(one, other):
        raise Refusal("PROOF")


def _largest_power_below(width: int) -> int:
    return 1 << (width - 1).bit_length() - 1
