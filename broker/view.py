"""The directory as the relay has committed it, with its own log's head and the policies that it puts in force."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.directory import Directory
from schemas.hashed import Hashed
from schemas.keys import SigningKey
from schemas.policy import Policy
from schemas.shelf import Shelf


class View:
    """`directory` is never changed in place: a turn changes a copy, which takes its place after the commit.

    `hashed` are the leaf hashes of its log, as many as `note` signs.
    """

    def __init__(
        self, directory: Directory, origin: str, key: SigningKey, note: str, shelf: Shelf, hashed: Hashed
    ) -> None:
        self.directory = directory
        self.origin = origin
        self.key = key
        self.note = note
        self.shelf = shelf
        self.hashed = hashed

    @property
    def size(self) -> int:
        return self.hashed.size

    def policy(self, now: float) -> Policy | None:
        """The policy in force; None when there is none, or its text is not at hand."""
        return self.shelf.in_force(self.directory.policies, int(now))

    def adopt(self, directory: Directory, note: str, leaves: Sequence[bytes]) -> None:
        """Take up what a turn committed; `leaves` are the hashes of its statements."""
        self.directory, self.note = directory, note
        self.hashed.extend(leaves)
