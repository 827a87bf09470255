"""A process that checks signatures for the relay, so that the relay's own need not wait for arithmetic.

It knows no keys and keeps nothing: batches of (public key, bytes, signature) come in by standard input, a byte for
each goes out by standard output. It ends when its input does, which is when the relay does, however that came about.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO

from schemas.errors import Refusal
from schemas.hashing import Frames, framed
from schemas.signing import PUBLIC_SIZE, SIGNATURE_SIZE, Check

HELD, BROKEN = b"\x01", b"\x00"


def packed(checks: Sequence[Check]) -> bytes:
    """A batch as it travels: one frame that holds a frame for each check."""
    return framed(b"".join([framed(check.public + check.signature + check.covered) for check in checks]))


def unpacked(batch: bytes) -> list[Check]:
    """The inverse, without the outer frame. Raises Refusal FORM."""
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


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer batches until there are no more."""
    while len(size := source.read(4)) == 4:
        batch = source.read(int.from_bytes(size, "big"))
        sink.write(b"".join(map(verdict, unpacked(batch))))
        sink.flush()


def main() -> None:
    """Run as `python -m broker.checker`; the relay starts it, nobody else."""
    # Signals of the terminal and of the service's end are the relay's to answer: it still has requests to finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # a pipe that broke must not be flushed once more


if __name__ == "__main__":
    main()
