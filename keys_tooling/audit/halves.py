"""Opening a long mirror on two processors: another process opens the second half while this one opens the first.

Rules of this house:
- the other process is this one forked: the officer's key is handed to nobody and written nowhere;
- what comes back is in the order of the log; where the other process fails, this one does its work itself.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from typing import Any, TypeVar
from urllib.parse import quote

from keys_tooling.audit.mirror import Entry, Mirror

T = TypeVar("T")
Pair = tuple[int, T]
LEAST = 20_000
"""Entries for which a second process is worth its start."""
TOGETHER = 256


def opened(mirror: Mirror, start: int, begin: Callable[[], Callable[[Entry], T]]) -> Iterator[Pair[T]]:
    """What opening makes of each entry from `start` on that has a record, with its index, in order.

    Args:
        begin: gives a function that opens entries one after the other, in rising order.
    """
    path, size = mirror.path(), mirror.size()
    if (
        size - start < LEAST
        or (os.cpu_count() or 1) < 2
        or "fork" not in multiprocessing.get_all_start_methods()
    ):
        yield from _run(mirror.entries(start), begin())
        return
    middle = start + (size - start) // 2
    other = _Other(path, middle, begin)
    try:
        yield from _run(_before(mirror.entries(start), middle), begin())
        last = middle - 1
        for pair in other.pairs():
            last = pair[0]
            yield pair
        if not other.ended:
            yield from _run(mirror.entries(last + 1), begin())
    finally:
        other.close()


def _run(entries: Iterator[Entry], work: Callable[[Entry], T]) -> Iterator[Pair[T]]:
    for entry in entries:
        if entry.relay:  # else it was deleted; whether that was let go is for verify.py
            yield entry.index, work(entry)


def _before(entries: Iterator[Entry], end: int) -> Iterator[Entry]:
    for entry in entries:
        if entry.index >= end:
            return
        yield entry


class _Other:
    """The other process, and a thread that takes what it says, so that it never waits for us."""

    def __init__(self, path: str, start: int, begin: Callable[[], Callable[[Entry], T]]) -> None:
        self._batches: list[bytes] = []
        self.ended = False
        context = multiprocessing.get_context("fork")
        self._ear, mouth = context.Pipe(duplex=False)
        self._process = context.Process(target=_speak, args=(path, start, begin, mouth), daemon=True)
        self._process.start()
        mouth.close()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def _hear(self) -> None:
        try:
            while data := self._ear.recv_bytes():
                self._batches.append(data)
            self.ended = True
        except (EOFError, OSError):
            return  # it is gone: its rest is done here

    def pairs(self) -> Iterator[Pair[Any]]:
        """All that it opened."""
        self._thread.join()
        for at, data in enumerate(self._batches):
            self._batches[at] = b""
            yield from pickle.loads(data)  # noqa: S301 -- from our own fork, through a pipe that has no name

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._ear.close()


def _speak(path: str, start: int, begin: Callable[[], Callable[[Entry], T]], mouth: Connection) -> None:
    batch: list[Pair[T]] = []
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=5)) as database:
        for pair in _run(Mirror(database).entries(start), begin()):
            batch.append(pair)
            if len(batch) == TOGETHER:
                mouth.send_bytes(pickle.dumps(batch))
                batch = []
    if batch:
        mouth.send_bytes(pickle.dumps(batch))
    mouth.send_bytes(b"")
