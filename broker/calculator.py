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

from broker import drafts
from broker.memory import seal_memory, wipe
from schemas import verdicts
from schemas.hashing import framed

CHECK, SEAL = 0, 1
JOBS: Mapping[int, Callable[[bytes], bytes]] = {CHECK: verdicts.answered, SEAL: drafts.answered}


def asked(kind: int, batch: bytes) -> bytes:
    """A job as it travels: one frame, whose first byte says which. Made in one piece: it may hold keys."""
    return b"".join(((len(batch) + 1).to_bytes(4, "big"), bytes((kind,)), batch))


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Say that we listen, by an empty frame; then answer jobs until there are no more."""
    sink.write(framed(b""))
    sink.flush()
    while len(size := _taken(source, 4)) == 4:
        job = _taken(source, int.from_bytes(size, "big"))
        batch = bytes(memoryview(job)[1:])
        answer = framed(JOBS[job[0]](batch))
        # It may be idle for long: keys that came with the work must not wait here for the next.
        job[:] = bytes(len(job))
        wipe(batch)
        sink.write(answer)
        sink.flush()


def _taken(source: BinaryIO, count: int) -> bytearray:
    """So many bytes, or fewer at the end; into memory that can be overwritten, and through no buffer that cannot."""
    data = bytearray(count)
    at = 0
    while at < count:
        got = source.readinto(memoryview(data)[at:])  # type: ignore[attr-defined]  # every binary file has it
        if not got:
            return data[:at]
        at += got
    return data


def main() -> None:
    """Run as `python -m broker.calculator`; the relay starts it, nobody else."""
    seal_memory()
    if hasattr(
        os, "SCHED_BATCH"
    ):  # it works beside whoever gives it work, and does not push that aside to begin
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # Signals of the terminal and of the service's end are the relay's to answer: it still has requests to finish.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(sys.stdin.buffer.raw, sys.stdout.buffer)  # type: ignore[union-attr]  # unbuffered: see _taken
    os._exit(0)  # a way that broke must not be flushed once more


if __name__ == "__main__":
    main()
