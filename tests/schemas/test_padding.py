"""Padding sizes, against the formula of the Padmé paper written with logarithms of whole numbers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.padding import BODY_SMALLEST, RECORD_SMALLEST, bucket


def log2(n: int) -> int:
    """floor(log2 n), by counting."""
    return len(bin(n)) - 3


def padme(n: int) -> int:
    """Nikitin et al., PURBs, algorithm 1: E and S, and the low E - S bits rounded up."""
    e = log2(n)
    mask = 2 ** (e - (log2(e) + 1)) - 1
    return (n + mask) & ~mask


def plain(n: int, smallest: int) -> int:
    return next((smallest << k for k in range(10) if n <= smallest << k <= 65_536), 0) or padme(n)


SMALLEST = pytest.mark.parametrize("smallest", [RECORD_SMALLEST, BODY_SMALLEST])


@SMALLEST
def test_sizes_at_every_edge(smallest: int):
    edges = {0, 1, smallest} | {65_536 + step for step in range(-3, 3000)}
    for e in range(10, 22):
        edges |= {2**e + step for step in range(-2, 3)} | {
            2**e + 2 ** (e - 5) * k + step for k in range(33) for step in (-1, 0, 1)
        }
    for n in edges:
        assert bucket(n, smallest) == plain(n, smallest), n


@settings(max_examples=300, deadline=None)
@given(n=st.integers(0, 2**24), smallest=st.sampled_from([RECORD_SMALLEST, BODY_SMALLEST]))
def test_a_bucket_holds_its_size_with_little_to_spare(n: int, smallest: int):
    room = bucket(n, smallest)
    assert room == plain(n, smallest)
    assert n <= room
    assert bucket(room, smallest) == room
    if n > 65_536:
        assert room < n * 1.12


def test_buckets_grow_with_sizes_and_are_few():
    rooms = [bucket(n, BODY_SMALLEST) for n in range(0, 1_048_577, 97)]
    assert rooms == sorted(rooms)
    assert len(set(rooms)) < 140


def test_the_largest_body_fits_the_limit_with_its_tag():
    largest = max(
        n for n in (bucket(n, BODY_SMALLEST) for n in range(900_000, 1_048_576, 7)) if n + 16 <= 1_048_576
    )
    assert largest == 1_032_192
