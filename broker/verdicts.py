"""Signatures to be checked, as a batch of bytes that any process can answer: a byte for each."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from schemas.errors import Refusal
from schemas.hashing import Frames, framed
from schemas.signing import PUBLIC_SIZE, SIGNATURE_SIZE, Check


def packed(checks: Sequence[Check]) -> bytes:
    """A frame for each check."""
    return b"".join([framed(check.public + check.signature + check.covered) for check in checks])


def unpacked(batch: bytes) -> list[Check]:
    """Raises Refusal FORM."""
    checks = []
    for frame in Frames(batch).frames(len(batch)):
        if len(frame) < PUBLIC_SIZE + SIGNATURE_SIZE:
            raise Refusal("FORM")
        public, rest = frame[:PUBLIC_SIZE], frame[PUBLIC_SIZE:]
        checks.append(Check(public, rest[SIGNATURE_SIZE:], rest[:SIGNATURE_SIZE]))
    return checks


def held(check: Check) -> bool:
    """Whether it holds: a process apart cannot raise."""
    with contextlib.suppress(Refusal):
        check.hold()
        return True
    return False


def answered(batch: bytes) -> bytes:
    """The verdicts on a packed batch: a byte for each."""
    return bytes(map(held, unpacked(batch)))


def read(answer: bytes) -> list[bool]:
    """What `answered` said."""
    return list(map(bool, answer))
