"""Safety numbers of two agencies: what both read aloud to know that they mean each other (PROTOCOL.md K10).

60 digits from both whole inception hashes, the same from either side. Somebody who wants another pair to have the same
number has 2^199 pairs to try; or 2^100, where both pairs are of his making.
"""

from __future__ import annotations

from schemas.canonical import Json, encode
from schemas.hashing import labelled

DIGITS = 60


def inception_hash(body: Json) -> bytes:
    """H("fenpost/v1/agency", canonical inception body): 32 bytes, of which an agency's id shows 20 (K9)."""
    return labelled("fenpost/v1/agency", encode(body))


def pair_number(one: bytes, other: bytes) -> str:
    """Twelve groups of five digits for two inception hashes, whichever comes first.

    Raises:
        ValueError: when both are one, or are no such hashes.
    """
    if one == other or len(one) != 32 or len(other) != 32:
        raise ValueError("two inception hashes of 32 bytes")
    first, second = sorted((one, other))
    number = int.from_bytes(labelled("fenpost/v1/safety-pair", first + second), "big") % 10**DIGITS
    digits = f"{number:0{DIGITS}d}"
    return " ".join(digits[at : at + 5] for at in range(0, DIGITS, 5))
