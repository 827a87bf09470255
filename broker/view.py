"""The directory as the relay has committed it, with its own log's head."""

from __future__ import annotations

from schemas.directory import Directory
from schemas.keys import SigningKey
from schemas.policy import Policy


class View:
    """`directory` is never changed in place: a turn changes a copy, which takes its place after the commit.

    `policy` is the one in force; None when it cannot be had.
    """

    def __init__(
        self, directory: Directory, origin: str, key: SigningKey, note: str, policy: Policy | None
    ) -> None:
        self.directory = directory
        self.origin = origin
        self.key = key
        self.note = note
        self.policy = policy

    def adopt(self, directory: Directory, note: str) -> None:
        self.directory, self.note = directory, note
