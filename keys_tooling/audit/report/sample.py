"""The monthly sample: which shares without agreement an agency reviews against what was really sent. Pure.

Nobody chooses it. The seed follows from the agency, the month and the log's last entry of that month, so that it is the
same at every run once the month is over, and anybody who has the entries can draw it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from schemas.canonical import encode

SHARE = 20
"""One in twenty."""
LEAST = 5


def seed_of(agency: str, month: str, last: str) -> str:
    """The seed of a month: `last` is the envelope id of its last accepted message."""
    return hashlib.sha256(encode(["sample", agency, month, last])).hexdigest()


def drawn(mids: Iterable[str], seed: str) -> tuple[str, ...]:
    """Five per cent of these messages, rounded up, and at least five, or all when there are fewer."""
    wanted = sorted(set(mids))
    count = max(LEAST, -(-len(wanted) // SHARE))
    return tuple(sorted(wanted, key=lambda mid: hashlib.sha256(encode([seed, mid])).digest())[:count])
