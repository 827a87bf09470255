"""Checks to be made, as a batch of bytes that any process can answer: a byte for each (PROTOCOL.md K3, K7). Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from schemas.errors import Refusal
from schemas.hashing import Frames, framed
from schemas.keys import TYPE_BYTE, Shape
from schemas.signing import PUBLIC_SIZE, SIGNATURE_SIZE, Check

HELD, BROKEN = b"\x01", b"\x00"
_SIGNATURE = b"\x00"  # what a frame begins with; a key's begins with its type byte (K2)
_ALGORITHM = {byte: alg for alg, byte in TYPE_BYTE.items()}
_SIGNED = 1 + PUBLIC_SIZE
_COVERED = _SIGNED + SIGNATURE_SIZE


def packed(checks: Sequence[Check | Shape]) -> bytes:
    """A frame for each check. Public keys and signatures are of their right length, or it would read as another."""
    parts: list[bytes] = []
    for check in checks:
        if isinstance(check, Shape):
            parts.append(framed(TYPE_BYTE[check.alg] + check.public))
        else:  # of these there are many, and all of it is in a relay's every turn
            public, covered, signature = check
            parts += ((_COVERED + len(covered)).to_bytes(4, "big"), _SIGNATURE, public, signature, covered)
    return b"".join(parts)


def unpacked(batch: bytes) -> list[Check | Shape]:
    """Raises Refusal FORM."""
    return [_check(frame) for frame in Frames(batch).frames(len(batch))]


def _check(frame: bytes) -> Check | Shape:
    if frame[:1] == _SIGNATURE and len(frame) >= _COVERED:
        return Check(frame[1:_SIGNED], frame[_COVERED:], frame[_SIGNED:_COVERED])
    if frame[:1] in _ALGORITHM:
        return Shape(_ALGORITHM[frame[:1]], frame[1:])
    raise Refusal("FORM")


def verdict(check: Check | Shape) -> bytes:
    """HELD or BROKEN: a process apart cannot raise."""
    with contextlib.suppress(Refusal):
        check.hold()
        return HELD
    return BROKEN


def answered(batch: bytes) -> bytes:
    """The verdicts on a packed batch."""
    return b"".join(map(verdict, unpacked(batch)))
