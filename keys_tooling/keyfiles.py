"""Files that hold secrets, and the public ones beside them.

Rules of this house:
- a file is made once: whole, beside its place, then linked into it, which fails where anything is; its mode is set
  whatever the umask, and it is synced together with its folder; so a kill or a full disk leaves no half of one;
- nothing is ever overwritten; a command that fails half-way takes back what it made and nothing else;
- a secret file that others may read is refused, not repaired: it may have been read already.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from schemas.canonical import Json
from schemas.errors import Refusal
from schemas.keyfile import LIMIT, unlock

PRIVATE = 0o600
PUBLIC = 0o644
FOLDER = 0o700
OTHERS = 0o077
FULL = "The disk is full. Free some space, and run it again."


@dataclass(slots=True)
class NewFiles:
    """The files that one command makes in one folder."""

    folder: Path
    made: list[Path] = field(default_factory=list)

    def absent(self, *names: str) -> None:
        """Raises Refusal EXISTS when one of them is there, before any work is done."""
        if any(os.path.lexists(self.folder / name) for name in names):
            raise Refusal("EXISTS")

    def secret(self, name: str, data: bytes) -> Path:
        """Write a file that only its owner may read. Raises Refusal EXISTS, FILE, DISK_FULL."""
        return self._write(name, data, PRIVATE)

    def public(self, name: str, data: bytes) -> Path:
        """Write a file that anybody may read. Raises Refusal EXISTS, FILE, DISK_FULL."""
        return self._write(name, data, PUBLIC)

    def _write(self, name: str, data: bytes, mode: int) -> Path:
        path = self.folder / name
        with refusing(), _part(path.with_name(f".{path.name}.part")) as part:
            os.fchmod(part.file.fileno(), mode)
            part.file.write(data)
            part.file.flush()
            os.fsync(part.file.fileno())
            os.link(part.path, path)
            self.made.append(path)
        with refusing():
            sync_folder(path.parent)
        return path


@dataclass(frozen=True, slots=True)
class _Part:
    """A file on its way, locked by who writes it."""

    path: Path
    file: BinaryIO


@contextmanager
def _part(path: Path) -> Iterator[_Part]:
    handle = _locked(path)
    with os.fdopen(handle, "wb") as file:
        try:
            yield _Part(path, file)
        finally:
            path.unlink()  # under the lock: what stands there is ours


def _locked(path: Path) -> int:
    """A new file at `path` that nobody else writes."""
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            handle, ours = os.open(path, flags | os.O_CREAT | os.O_EXCL, PRIVATE), True
        except FileExistsError:
            try:
                handle, ours = os.open(path, flags), False
            except FileNotFoundError:
                continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise Refusal(
                "EXISTS", "Another command is writing the same file now. Let it end, then look what is there."
            ) from error
        if os.path.lexists(path) and os.path.samestat(os.fstat(handle), path.lstat()):
            if ours:
                return handle
            # Left by a killed command. It may be linked in its place already: take the name, leave the bytes.
            path.unlink()
        os.close(handle)


@contextmanager
def new_files(folder: Path) -> Iterator[NewFiles]:
    """Make files in `folder`, which is made too when missing; all of them, or none.

    Raises:
        Refusal: FILE when the folder is not one, or when others may write in it.
    """
    _make_folder(folder)
    files = NewFiles(folder)
    try:
        yield files
    except BaseException:
        for path in files.made:
            path.unlink(missing_ok=True)
        raise


def replace_secret(path: Path, data: bytes, check: Callable[[Path], None]) -> None:
    """Put a secret file in the place of the one that is there, in one step, once it was read back.

    Args:
        check: is given the new file beside its place, and raises when it is not what it must be.

    Raises:
        Refusal: EXISTS (another command writes it now), FILE, DISK_FULL, and as `check`; the old file stands then.
    """
    part = path.with_name(f".{path.name}.part")
    with refusing(), os.fdopen(_locked(part), "wb") as file:
        try:
            os.fchmod(file.fileno(), PRIVATE)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            check(part)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def clear_part(path: Path) -> None:
    """Take away what a command that was killed while it made this file has left beside it."""
    path.with_name(f".{path.name}.part").unlink(missing_ok=True)


def read_secret(path: Path, holds: str, passphrase: bytes) -> Json:
    """What a key file holds.

    Raises:
        Refusal: FILE when it is missing, a link, or others may read it; KEYFILE when it does not open.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Refusal("FILE", f"{path.name} is not an ordinary file. Name the key file itself.")
            check_private(status, path.name)
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise Refusal("FILE", f"{path.name} cannot be read. Check the folder that you named.") from error
    return unlock(data, holds, passphrase)


def read_public(path: Path, limit: int) -> bytes:
    """A file that was handed over. Raises Refusal FILE, TOO_BIG."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Refusal("FILE", f"{path.name} cannot be read. Check the name of the file.") from error
    if len(data) > limit:
        raise Refusal("TOO_BIG", f"{path.name} is too large to be what was asked for. Check the file.")
    return data


def check_private(status: os.stat_result, name: str) -> None:
    """Raises Refusal FILE when anybody but its owner may read or change the file."""
    if status.st_mode & OTHERS:
        raise Refusal(
            "FILE",
            f"Others on this machine may read {name}. If they may have, make new secrets; "
            "otherwise run: chmod 600 on it, and try again.",
        )


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folder(folder: Path) -> None:
    with refusing():
        if not folder.exists():
            folder.mkdir(mode=FOLDER, parents=True)
            folder.chmod(FOLDER)
            sync_folder(folder.parent)
        status = folder.stat()
    if not stat.S_ISDIR(status.st_mode):
        raise Refusal("FILE", f"{folder.name} is not a folder. Choose another place.")
    if status.st_mode & 0o022:
        raise Refusal(
            "FILE", f"Others may write in the folder {folder.name}. Run: chmod 700 on it, and try again."
        )


@contextmanager
def refusing(full: str = FULL) -> Iterator[None]:
    """What the disk refuses, in our words.

    Args:
        full: what is said when it is full.

    Raises:
        Refusal: EXISTS, DISK_FULL, FILE.
    """
    try:
        yield
    except FileExistsError as error:
        raise Refusal("EXISTS") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise Refusal("DISK_FULL", full) from error
        raise Refusal("FILE", "The files cannot be written there. Check the folder and its owner.") from error
