"""Bundles of a log's entries, as a relay serves them (C2SP tlog-tiles): what each is called, and its leaves."""

from __future__ import annotations

from schemas.errors import Refusal
from schemas.hashing import Frames

BUNDLE = 256
"""Entries in a full bundle."""
LEAF_LIMIT = 1024


def tile_path(number: int) -> str:
    """A tile's number in its C2SP spelling: 1234067 is x001/x234/067."""
    parts = [f"{number % 1000:03d}"]
    while number >= 1000:
        number //= 1000
        parts.append(f"x{number % 1000:03d}")
    return "/".join(reversed(parts))


def split_bundle(data: bytes) -> list[bytes]:
    """The leaves of an entry bundle: each behind two bytes of big-endian length.

    Raises:
        Refusal: FORM, TOO_BIG.
    """
    frames, at = Frames(data), 0
    leaves: list[bytes] = []
    while at < len(data):
        size = int.from_bytes(frames.take(2), "big")
        if size > LEAF_LIMIT or len(leaves) == BUNDLE:
            raise Refusal("TOO_BIG", party="relay")
        leaves.append(frames.take(size))
        at += 2 + size
    return leaves
