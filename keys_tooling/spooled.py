"""Directory statements in a file without a name, for a directory that is larger than the memory it may take.

What stands in it is shown to every agency; the file is gone when nothing refers to it any more, also after a kill.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterable, Sequence
from typing import overload

from schemas.errors import Refusal
from schemas.signing import SIGNATURE_SIZE, Signed


class Statements(Sequence[Signed]):
    """Statements in order, of which only their places are in memory. Only `add` changes it, at its end."""

    def __init__(self, known: Iterable[Signed] = ()) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 -- closed when this goes
        weakref.finalize(self, self._file.close)
        self._ends = array("Q")
        self.add(known)

    def add(self, more: Iterable[Signed]) -> None:
        """Put these after the others. Raises Refusal DISK_FULL."""
        try:
            end = self._file.seek(0, os.SEEK_END)
            for signed in more:
                end += self._file.write(signed.signature + signed.text)
                self._ends.append(end)
            self._file.flush()
        except OSError as error:
            raise Refusal(
                "DISK_FULL",
                "The disk for temporary files is full. Free some space, or name another in TMPDIR.",
            ) from error

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> Signed: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Signed, ...]: ...
    def __getitem__(self, at: int | slice) -> Signed | tuple[Signed, ...]:
        if isinstance(at, slice):
            return tuple(self[index] for index in range(*at.indices(len(self))))
        index = range(len(self))[at]
        start = self._ends[index - 1] if index else 0
        self._file.seek(start)
        data = self._file.read(self._ends[index] - start)
        return Signed(data[SIGNATURE_SIZE:], data[:SIGNATURE_SIZE])
