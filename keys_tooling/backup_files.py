"""Key files into a backup and out of it again.

Rules of this house:
- what goes in has been opened, so that a backup is known to be good when it is made;
- what comes out never overwrites; a restore that was stopped is run again, and passes over what is there already, if
  it is the same;
- a share lies in a file that only its owner may read, or is typed; it is never an argument.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from keys_tooling.backup import Kept
from keys_tooling.console import World
from keys_tooling.keyfiles import NewFiles, check_private, clear_part, new_files, read_public, read_secret
from keys_tooling.partnership import PARTNERSHIP
from keys_tooling.share_pages import words_of
from keys_tooling.shares import Share39, read
from keys_tooling.signed_here import SIGNED
from schemas.errors import Refusal
from schemas.keyfile import LIMIT, Cost, claimed, lock
from schemas.partnership import FILE_LIMIT

PAGE_LIMIT = 64 * 1024
SUFFIX = ".fpk"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore made, and what it found there already."""

    made: tuple[str, ...]
    there: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NewLock:
    """The passphrase and argon2id cost of restored key files."""

    passphrase: bytes = field(repr=False)
    cost: Cost


def names(folder: Path) -> tuple[str, ...]:
    """The key files in a folder and in the relay's below it, the partnership file, and what was signed there."""
    found = [path for level in ("*", "*/*") for path in sorted(folder.glob(level + SUFFIX))]
    found += [folder / name for name in (PARTNERSHIP, SIGNED) if (folder / name).exists()]
    return tuple(path.relative_to(folder).as_posix() for path in found if not path.name.startswith("."))


def gathered(
    folder: Path, chosen: Sequence[str], passphrases: Sequence[bytes], *, keep_locked: bool
) -> tuple[Kept, ...]:
    """These files of a folder, opened with whichever passphrase fits; as they are, if `keep_locked`.

    Raises:
        Refusal: FILE; KEYFILE, naming the file that no passphrase opens.
    """
    return tuple(_kept(folder / name, name, passphrases, keep_locked=keep_locked) for name in chosen)


def _kept(path: Path, name: str, passphrases: Sequence[bytes], *, keep_locked: bool) -> Kept:
    data = read_public(path, FILE_LIMIT if name == PARTNERSHIP else LIMIT)
    if path.suffix != SUFFIX:
        return Kept(name, data=data)
    holds = claimed(data)
    if keep_locked:
        check_private(path.lstat(), name)
        return Kept(name, data=data)
    for passphrase in passphrases:
        try:
            return Kept(name, holds, read_secret(path, holds, passphrase))
        except Refusal as refusal:
            if refusal.code != "KEYFILE":
                raise
    raise Refusal(
        "KEYFILE",
        f"{name} does not open with any passphrase given. Give its own as well (--passphrase-file may be repeated), "
        "choose other files with --file, or keep each under its own passphrase with --keep-locked.",
    )


def restore(folder: Path, kept: Sequence[Kept], new: NewLock | None, world: World) -> Restored:
    """Put files back into a folder; all that are missing, or none.

    Args:
        new: locks what was kept opened; None when nothing was.

    Raises:
        Refusal: EXISTS, naming a file that is there and is another; FILE, DISK_FULL.
    """
    there = tuple(one.name for one in kept if os.path.lexists(folder / one.name))
    for one in kept:
        if one.name in there and not _same(folder / one.name, one, new):
            raise Refusal(
                "EXISTS",
                f"{one.name} is in that folder already and is another one, or has another passphrase. Nothing was "
                "changed. Restore into an empty folder, or move that file away.",
            )
        clear_part(folder / one.name)
    missing = [one for one in kept if one.name not in there]
    with new_files(folder) as files:
        for one in missing:
            _write(files, one, new, world)
    return Restored(tuple(one.name for one in missing), there)


def _write(files: NewFiles, one: Kept, new: NewLock | None, world: World) -> None:
    (files.folder / one.name).parent.mkdir(mode=0o700, exist_ok=True)
    if one.holds is not None:
        if new is None:
            raise TypeError("what was kept opened needs a passphrase")
        files.secret(one.name, lock(one.secrets, one.holds, new.passphrase, new.cost, world.draw))
    elif one.name.endswith(SUFFIX):
        files.secret(one.name, one.data)
    else:
        files.public(one.name, one.data)


def _same(path: Path, one: Kept, new: NewLock | None) -> bool:
    try:
        if one.name == SIGNED:
            return True  # the folder's own goes on where it stands
        if one.holds is None or new is None:
            return read_public(path, LIMIT) == one.data
        return bool(read_secret(path, one.holds, new.passphrase) == one.secrets)
    except Refusal:
        return False


def read_share(path: Path) -> tuple[str, Share39]:
    """A share in a file: its page, or its words alone. Raises Refusal FILE, SHARE."""
    try:
        check_private(path.stat(), path.name)
        text = read_public(path, PAGE_LIMIT).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal("FILE", f"{path.name} cannot be read as text. Check the name of the file.") from error
    return path.name, read(words_of(text), path.name)
