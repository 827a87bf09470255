"""Key files from strangers: what they ask for is looked at before anything costs time or memory (K17)."""

import time

import pytest

from schemas.canonical import decode, encode
from schemas.errors import Refusal
from schemas.hashing import Frames, framed
from schemas.keyfile import MAGIC, MODERATE, QUICK, claimed, cost_of, lock, unlock

PASSPHRASE = b"four words of hers"
LOCKED = lock({"a": "secret"}, "agent", PASSPHRASE, QUICK, lambda size: b"\x07" * size)


def respelt(**changes: object) -> bytes:
    """The same file with another head; its seal does not fit that any more, which nobody gets to see."""
    frames = Frames(LOCKED[4:])
    head = decode(frames.frame(4096), 4096)
    rest = LOCKED[4 + len(framed(encode(head))) :]
    return MAGIC + framed(encode({**head, **changes})) + rest


@pytest.mark.parametrize(
    "changes",
    [
        {"ops": 9},
        {"ops": 2**31},
        {"ops": 0},
        {"mem": 2**30 + 1},
        {"mem": 2**50},
        {"mem": 8191},
        {"v": 2},
        {"x": 1},
    ],
)
def test_a_file_that_asks_for_too_much_is_refused_at_once(changes: dict):
    before = time.process_time()
    for attempt in (lambda data: unlock(data, "agent", PASSPHRASE), claimed, cost_of):
        with pytest.raises(Refusal, match="KEYFILE"):
            attempt(respelt(**changes))
    assert time.process_time() - before < 0.5


def test_what_it_costs_is_in_its_head_and_ours_may_be_opened():
    assert cost_of(LOCKED) == QUICK
    assert (MODERATE.ops <= 8, MODERATE.mem <= 2**30) == (True, True)
    assert unlock(LOCKED, "agent", PASSPHRASE) == {"a": "secret"}


def test_an_empty_passphrase_locks_nothing():
    with pytest.raises(Refusal, match="KEYFILE"):
        lock({}, "agent", b"", QUICK, bytes)
