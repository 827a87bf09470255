"""A process that does arithmetic for the relay, so that the relay's own need not wait for it.

It checks signatures and seals records; the keys come with the work and go with the answer. Jobs come in by standard
input, answers go out by standard output, in the same order. It ends when its input does, which is when the relay does,
however that came about.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import BinaryIO

from broker import drafts, verdicts
from schemas.hashing import framed

CHECK, SEAL = 0, 1
JOBS: Mapping[int, Callable[[bytes], bytes]] = {CHECK: verdicts.answered, SEAL: drafts.answered}


def asked(kind: int, batch: bytes) -> bytes:
    """A job as it travels: one frame, whose first byte says which."""
    return framed(bytes((kind,)) + batch)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer jobs until there are no more."""
    while len(size := source.read(4)) == 4:
        job = source.read(int.from_bytes(size, "big"))
        sink.write(framed(JOBS[job[0]](job[1:])))
        sink.flush()


def main() -> None:
    """Run as `python -m broker.calculator`; the relay starts it, nobody else."""
    # Signals of the terminal and of the service's end are the relay's to answer: it still has requests to finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # a pipe that broke must not be flushed once more


if __name__ == "__main__":
    main()
