"""A process that makes an agent's checks of directory statements, so that the agent's own need not wait for them.

All that it is given is public. Batches come in by standard input, a byte for each check goes out by standard output, in
the same order. It ends when its input does, which is when the agent does, however that came about.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import BinaryIO

from agent.memory import seal_memory
from schemas.hashing import framed
from schemas.verdicts import answered


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer batches until there are no more: a frame for a frame."""
    while len(size := source.read(4)) == 4:
        sink.write(framed(answered(source.read(int.from_bytes(size, "big")))))
        sink.flush()


def main() -> None:
    """Run as `python -m agent.checker`; the agent starts it, nobody else."""
    seal_memory()
    # Signals of the terminal and of the service's end are the agent's to answer.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(sys.stdin.buffer, sys.stdout.buffer)
    os._exit(0)  # a way that broke must not be flushed once more


if __name__ == "__main__":
    main()
