"""How far an officer's mirror was found whole, kept beside it, so that the next run reads only what is new.

A note for speed and no more: the tree that it names must be one that the log signed, and whoever doubts that the stored
entries before it are still the same verifies the mirror whole.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from schemas.canonical import strict_json
from schemas.errors import Refusal
from schemas.merkle import HASH_SIZE, Frontier

FILE = "verified.json"
LIMIT = 8 * 1024


def kept(folder: Path) -> Frontier:
    """The edge of the entries that were found whole; an empty one when there is no such note, or none that is sound."""
    try:
        value = strict_json((folder / FILE).read_bytes(), LIMIT)
        size, edge = value["size"], tuple(bytes.fromhex(item) for item in value["edge"])
    except (OSError, Refusal, ValueError, TypeError, KeyError):
        return Frontier()
    sound = isinstance(size, int) and size >= 0 and len(edge) == size.bit_count()
    return Frontier(size, edge) if sound and all(len(item) == HASH_SIZE for item in edge) else Frontier()


def keep(folder: Path, frontier: Frontier) -> None:
    """Note that everything before this edge was found whole."""
    fresh = folder / f"{FILE}.new"
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        json.dump({"edge": [item.hex() for item in frontier.edge], "size": frontier.size, "v": 1}, file)
    fresh.replace(folder / FILE)
