"""Signatures to be checked, as a batch of bytes that any process can answer: a byte for each."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from schemas.errors import Refusal
from schemas.hashing import Frames, framed
from schemas.signing import PUBLIC_SIZE, SIGNATURE_SIZE, Check

HELD, BROKEN = b"\x01", b"\x00"


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


def verdict(check: Check) -> bytes:
    """HELD or BROKEN: a process apart cannot raise."""
    with contextlib.suppress(Refusal):
        check.hold()
        return HELD
    return BROKEN


def answered(batch: bytes) -> bytes:
    """The verdicts on a packed batch."""
    return b"".join(map(verdict, unpacked(batch)))
