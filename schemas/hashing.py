"""Labelled hashes and framed bytes (PROTOCOL.md F5, F6).

A label names what is hashed; labels are never reused between kinds of object, so that no hash or signature of one
kind can stand for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

from schemas.errors import Refusal


def labelled(label: str, data: bytes, *, key: bytes = b"", size: int = 32) -> bytes:
    """H(label, data): BLAKE2b (RFC 7693) of `size` bytes, keyed when `key` is given, over label || 0x00 || data."""
    state = begun(label, key=key, size=size) if key else _begun(label, size).copy()
    state.update(data)
    return state.digest()


def begun(label: str, *, key: bytes = b"", size: int = 32) -> hashlib.blake2b:
    """The state of H(label, ·) before its data: for one who hashes much under one key, each from a copy of it."""
    return hashlib.blake2b(label.encode("ascii") + b"\x00", digest_size=size, key=key)


@lru_cache(maxsize=256)
def _begun(label: str, size: int) -> hashlib.blake2b:
    """Kept for all labels: a message has thirty such hashes, and a copy takes half of what making one anew does."""
    return begun(label, size=size)


def digits(digest: bytes) -> str:
    """A digest as six groups of five digits, to be read aloud."""
    text = f"{int.from_bytes(digest, 'big') % 10**30:030d}"
    return " ".join(text[at : at + 5] for at in range(0, 30, 5))


def framed(data: bytes) -> bytes:
    """L32(data): four bytes of big-endian length, then the data."""
    return len(data).to_bytes(4, "big") + data


class Frames:
    """A cursor over framed bytes that must be consumed exactly (F6).

    Raises:
        Refusal: FORM when bytes are missing or left over, TOO_BIG when a frame exceeds its limit.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise Refusal("FORM")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def frame(self, limit: int) -> bytes:
        start = self._at + 4
        size = int.from_bytes(self._data[self._at : start], "big")
        end = start + size
        if start <= len(self._data) and size > limit:
            raise Refusal("TOO_BIG")
        if end > len(self._data):
            raise Refusal("FORM")
        self._at = end
        return self._data[start:end]

    def frames(self, limit: int) -> Iterator[bytes]:
        """Every remaining frame."""
        while self._at < len(self._data):
            yield self.frame(limit)

    def end(self) -> None:
        if self._at != len(self._data):
            raise Refusal("FORM")
