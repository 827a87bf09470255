"""Proofs against RFC 6962's definitions written down plainly, for every tree of 1 to 64 leaves; verified up to 300 (in steps)."""

import hashlib
from functools import cache

import pytest

from schemas.errors import Refusal
from schemas.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from tests.tools import naive_merkle

MOST = 64
DATA = [f"leaf {n}".encode() for n in range(MOST)]
HASHES = [leaf_hash(data) for data in DATA]
ROOTS = [naive_merkle.root(DATA[:n]) for n in range(MOST + 1)]


def read(level: int, index: int) -> bytes:
    """The hash of a perfect subtree, as a stored tree would answer."""
    if level == 0:
        return HASHES[index]
    return node_hash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1))


def holds(check, *arguments: object) -> bool:
    try:
        check(*arguments)
    except Refusal as refusal:
        return refusal.code != "PROOF"  # any other code would show as a proof that holds
    return True


def shape(index: int, size: int) -> tuple[tuple[str, int], ...]:
    """On which side each hash of a path stands: two sizes with one shape give one root, and the checkpoint names the size."""
    sides: list[str] = []
    start, end = 0, size
    while end - start > 1:
        split = start + naive_merkle.split(end - start)
        sides.append("right" if index < split else "left")
        start, end = (start, split) if index < split else (split, end)
    return tuple(enumerate(sides))


@pytest.mark.parametrize("size", range(1, MOST + 1))
def test_proofs_are_those_of_the_definition(size: int):
    for index in range(size):
        proof = inclusion_proof(index, size, read)
        assert proof == naive_merkle.path(index, DATA[:size])
        verify_inclusion(HASHES[index], index, size, proof, ROOTS[size])
    for old in range(size + 1):
        proof = consistency_proof(old, size, read)
        assert proof == (naive_merkle.proof(old, DATA[:size]) if 0 < old < size else [])
        verify_consistency(old, ROOTS[old], size, ROOTS[size], proof)


def test_every_proof_of_larger_trees_verifies():
    leaves = [leaf_hash(f"leaf {n}".encode()) for n in range(300)]

    @cache
    def subtree(level: int, index: int) -> bytes:
        if level == 0:
            return leaves[index]
        return node_hash(subtree(level - 1, 2 * index), subtree(level - 1, 2 * index + 1))

    roots, frontier = [EMPTY_ROOT], Frontier()
    for size, leaf in enumerate(leaves, start=1):
        frontier = frontier.append(leaf)
        roots.append(frontier.root())
        if 64 < size < 250 and size % 4:
            continue
        for index in range(size):
            verify_inclusion(leaves[index], index, size, inclusion_proof(index, size, subtree), roots[size])
        for old in range(size + 1):
            verify_consistency(old, roots[old], size, roots[size], consistency_proof(old, size, subtree))


def test_a_frontier_has_the_root_of_every_size():
    frontier = Frontier()
    assert frontier.root() == EMPTY_ROOT == ROOTS[0]
    for size, leaf in enumerate(HASHES, start=1):
        frontier = frontier.append(leaf)
        assert (frontier.size, frontier.root()) == (size, ROOTS[size])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13, 21, 33, 64])
def test_an_inclusion_proof_holds_for_nothing_else(size: int):
    for index in range(size):
        proof = inclusion_proof(index, size, read)
        for other in range(MOST + 1):
            assert holds(verify_inclusion, HASHES[index], index, size, proof, ROOTS[other]) == (other == size)
            if other < size and other != index:
                assert not holds(verify_inclusion, HASHES[index], other, size, proof, ROOTS[size])
                assert not holds(verify_inclusion, HASHES[other], index, size, proof, ROOTS[size])
            if other > index:
                same = shape(index, other) == shape(index, size)
                assert holds(verify_inclusion, HASHES[index], index, other, proof, ROOTS[size]) == same


@pytest.mark.parametrize("new", [2, 3, 5, 8, 13, 21, 33, 64])
def test_a_consistency_proof_holds_for_no_other_tree(new: int):
    for old in range(1, new):
        proof = consistency_proof(old, new, read)
        for other in range(1, MOST + 1):
            old_fits = holds(verify_consistency, old, ROOTS[other], new, ROOTS[new], proof)
            new_fits = holds(verify_consistency, old, ROOTS[old], new, ROOTS[other], proof)
            assert (old_fits, new_fits) == (other == old, other == new)


@pytest.mark.parametrize("size", [2, 3, 7, 8, 13, 64])
def test_hostile_proofs_are_refused(size: int):
    for index in range(size):
        leaf, root = HASHES[index], ROOTS[size]
        proof = inclusion_proof(index, size, read)
        hostile = {
            "empty": [],
            "one more": [*proof, proof[-1]],
            "doubled": [*proof, *proof],
            "one less": proof[:-1],
            "short hash": [proof[0][:-1], *proof[1:]],
            "long hash": [proof[0] + b"\0", *proof[1:]],
            "first turned": [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]],
            "last turned": [*proof[:-1], proof[-1][:-1] + bytes([proof[-1][-1] ^ 1])],
            "endless": proof * 64,
        }
        if proof != proof[::-1]:
            hostile["reversed"] = proof[::-1]
        for what, hashes in hostile.items():
            assert not holds(verify_inclusion, leaf, index, size, hashes, root), (what, index)
        assert not holds(verify_inclusion, leaf, -1, size, proof, root)
        assert not holds(verify_inclusion, leaf, index, 0, proof, root)
        assert not holds(verify_inclusion, leaf, size, size, proof, root)


def test_a_node_is_not_a_leaf():
    """Without the two prefixes, the parent of two leaves could be shown as one."""
    left, right = HASHES[0], HASHES[1]
    assert not holds(verify_inclusion, leaf_hash(left + right), 0, 2, [ROOTS[2]], ROOTS[4])
    assert hashlib.sha256(left + right).digest() != node_hash(left, right) != leaf_hash(left + right)


def test_an_empty_tree_grows_into_any_and_only_it_has_the_empty_root():
    verify_consistency(0, EMPTY_ROOT, 5, ROOTS[5], [])
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    for arguments in (
        (0, ROOTS[1], 5, ROOTS[5], []),
        (0, EMPTY_ROOT, 0, ROOTS[1], []),
        (0, EMPTY_ROOT, 5, ROOTS[5], [ROOTS[1]]),
        (5, ROOTS[5], 0, EMPTY_ROOT, []),
        (-1, EMPTY_ROOT, 5, ROOTS[5], []),
        (5, ROOTS[5], 5, ROOTS[4], []),
        (5, ROOTS[5], 5, ROOTS[5], [ROOTS[1]]),
    ):
        assert not holds(verify_consistency, *arguments)


@pytest.mark.parametrize("arguments", [(0, 0), (1, 1), (-1, 1), (5, 3)])
def test_there_is_no_path_to_a_leaf_that_is_not_there(arguments: tuple[int, int]):
    with pytest.raises(Refusal, match="PROOF"):
        inclusion_proof(*arguments, read)


@pytest.mark.parametrize("arguments", [(-1, 1), (3, 2)])
def test_there_is_no_proof_backwards(arguments: tuple[int, int]):
    with pytest.raises(Refusal, match="PROOF"):
        consistency_proof(*arguments, read)
