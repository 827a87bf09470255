"""The directory as the relay has committed it, with its own log's head."""

from __future__ import annotations

from schemas.directory import Directory
from schemas.keys import SigningKey


class View:
    """`directory` is never changed in place: a turn changes a copy, which takes its place after the commit."""

    def __init__(self, directory: Directory, origin: str, key: SigningKey, note: str) -> None:
        self.directory = directory
        self.origin = origin
        self.key = key
        self.note = note

    def adopt(self, directory: Directory, note: str) -> None:
        self.directory, self.note = directory, note
