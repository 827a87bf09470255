"""A key file under another passphrase: the same secrets, a new salt and nonce (PROTOCOL.md K17)."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from keys_tooling.console import World
from keys_tooling.keyfiles import clear_part, read_public, read_secret, replace_secret
from schemas.canonical import Json
from schemas.errors import Refusal
from schemas.keyfile import LIMIT, Cost, claimed, lock


@dataclass(frozen=True, slots=True)
class Locked:
    """A key file that was opened; `before` says that the new passphrase opened it, and not the old one."""

    path: Path
    holds: str
    secrets: Json = field(repr=False)
    before: bool


def opened(path: Path, old: bytes, new: Callable[[], bytes]) -> Locked:
    """A key file, with its old passphrase, or with the new one where a run that was killed has changed it.

    Args:
        path: the file.
        old: the passphrase of files that were not changed.
        new: tells the new one; asked only where the old one does not open the file.

    Raises:
        Refusal: FILE, KEYFILE; whatever `new` raises.
    """
    holds = claimed(read_public(path, LIMIT))
    try:
        return Locked(path, holds, read_secret(path, holds, old), before=False)
    except Refusal as refusal:
        if refusal.code != "KEYFILE":
            raise
    found = Locked(path, holds, read_secret(path, holds, new()), before=True)
    clear_part(path)
    return found


def relock(held: Locked, old: bytes, new: bytes, cost: Cost, world: World) -> None:
    """Lock what a file holds under another passphrase, and put it in the file's place.

    Raises:
        Refusal: KEYFILE (both passphrases are one), EXISTS, FILE, DISK_FULL; the old file stands then.
    """
    if hmac.compare_digest(old, new):
        raise Refusal("KEYFILE", "The new passphrase is the old one. Choose another.")

    def check(path: Path) -> None:
        if read_secret(path, held.holds, new) != held.secrets:
            raise Refusal("KEYFILE")

    replace_secret(held.path, lock(held.secrets, held.holds, new, cost, world.draw), check)
