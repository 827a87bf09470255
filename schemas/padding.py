"""Padding: hide a length among few (PROTOCOL.md E6).

pad(m) is a four-byte length, m, then zeros up to a bucket: powers of two from `smallest` to 64 KiB, above that the
Padmé sizes (Nikitin et al., PURBs, 2019), whose overhead is at most 12 %.
"""

from __future__ import annotations

from schemas.errors import Refusal

BODY_SMALLEST = 4 * 1024
RECORD_SMALLEST = 2 * 1024
_LARGEST_POWER = 64 * 1024


def bucket(size: int, smallest: int) -> int:
    """The padded size for `size` bytes."""
    room = smallest
    while room < size and room < _LARGEST_POWER:
        room *= 2
    if size <= room:
        return room
    exponent = size.bit_length() - 1
    keep = exponent.bit_length()
    step = 1 << (exponent - keep)
    return (size + step - 1) // step * step


def pad(message: bytes, smallest: int = BODY_SMALLEST) -> bytes:
    plain = len(message).to_bytes(4, "big") + message
    return plain.ljust(bucket(len(plain), smallest), b"\x00")


def unpad(padded: bytes, smallest: int = BODY_SMALLEST) -> bytes:
    """The message, if the padding is the only valid one.

    Raises:
        Refusal: PADDING.
    """
    size = 4 + int.from_bytes(padded[:4], "big")
    if len(padded) < 4 or size > len(padded) or len(padded) != bucket(size, smallest):
        raise Refusal("PADDING")
    if padded[size:] != bytes(len(padded) - size):
        raise Refusal("PADDING")
    return padded[4:size]
