"""The directory as the relay has committed it, with its own log's head and the policies that it puts in force."""

from __future__ import annotations

from schemas.directory import Directory
from schemas.keys import SigningKey
from schemas.policy import Policy
from schemas.shelf import Shelf


class View:
    """`directory` is never changed in place: a turn changes a copy, which takes its place after the commit."""

    def __init__(self, directory: Directory, origin: str, key: SigningKey, note: str, shelf: Shelf) -> None:
        self.directory = directory
        self.origin = origin
        self.key = key
        self.note = note
        self.shelf = shelf

    def policy(self, now: float) -> Policy | None:
        """The policy in force; None when there is none, or its text is not at hand."""
        return self.shelf.in_force(self.directory.policies, int(now))

    def adopt(self, directory: Directory, note: str) -> None:
        self.directory, self.note = directory, note
