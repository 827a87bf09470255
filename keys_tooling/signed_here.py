"""What the commands of one folder signed with its key file: a copy of that file signs elsewhere.

Rules of this house:
- a statement is written down before it is posted; one that was never posted does no harm here;
- who may write in this folder may write this file: it tells of a copied key, not of a folder that a thief writes in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from keys_tooling.keyfiles import PRIVATE, read_public, refusing, sync_folder
from schemas.directory_statement import statement_hash
from schemas.keyfile import LIMIT
from schemas.signing import Signed

SIGNED = "signed.txt"
KEPT = 20_000
"""Hashes that are kept, of 44 bytes each, so that the file is within LIMIT. An operational key signs fewer."""


def record(folder: Path, statements: Iterable[Signed]) -> None:
    """Write down what a command here is about to post. Raises Refusal FILE, DISK_FULL."""
    add_lines(folder, SIGNED, map(statement_hash, statements), KEPT)


def recorded(folder: Path) -> frozenset[str]:
    """Hashes of the statements that commands here signed. Raises Refusal FILE, TOO_BIG."""
    if not (folder / SIGNED).exists():
        return frozenset()
    return frozenset(read_public(folder / SIGNED, LIMIT).decode("ascii", "replace").split())


def add_lines(folder: Path, name: str, lines: Iterable[str], kept: int) -> None:
    """Put lines at the end of a file of which the last `kept` stay. Raises Refusal FILE, DISK_FULL."""
    path, part = folder / name, folder / f".{name}.part"
    with refusing():
        known = path.read_bytes().decode("ascii", "replace").split() if path.exists() else []
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(part, flags, PRIVATE), "wb") as file:
            os.fchmod(file.fileno(), PRIVATE)
            file.write("".join(f"{line}\n" for line in [*known, *lines][-kept:]).encode("ascii", "replace"))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(folder)
