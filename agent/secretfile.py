"""Reading secrets from disk: key file, passphrase file, token (PROTOCOL.md G8). Nothing here knows what they hold.

A secret that others can read is no secret: such a file is refused, never silently used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import Refusal

PASSPHRASE_LIMIT = 4096
CREDENTIAL = "credential:"
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Where systemd puts what a unit's LoadCredential= and LoadCredentialEncrypted= name: the variable holds a folder."""


def credential(name: str, environment: Mapping[str, str]) -> Path:
    """The file of a systemd credential. Raises Refusal SETTINGS where there is none of this name."""
    folder = environment.get(CREDENTIALS, "")
    if not folder or not name or "/" in name or not (Path(folder) / name).is_file():
        raise Refusal(
            "SETTINGS",
            "The service manager hands over no credential of that name. Check LoadCredential= in the unit.",
        )
    return Path(folder) / name


def read_secret(path: Path, limit: int, *, handed: bool = False) -> bytes:
    """The bytes of a regular file that only its owner can read.

    Args:
        handed: the service manager made it, as a credential.

    Raises:
        Refusal: FILE when it is missing, a link, not a file, too long, or open to group or world.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Refusal("FILE", "A secret file is missing or is a link. Check its path.") from error
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise Refusal("FILE", "A secret file is not a regular file of a sensible size.")
        # What systemd hands to another user than root shows that user's ACL as the group's bits.
        if found.st_mode & (stat.S_IRWXO if handed else stat.S_IRWXG | stat.S_IRWXO):
            raise Refusal(
                "FILE", "A secret file can be read by others. Set it to mode 0600, then start again."
            )
        if found.st_uid not in (os.geteuid(), 0):
            raise Refusal("FILE", "A secret file belongs to somebody else. Make the agent's user its owner.")
        return file.read()


def read_passphrase(path: Path, *, handed: bool = False) -> bytes:
    """The first line of a passphrase file. Raises Refusal FILE, KEYFILE when it is empty."""
    passphrase = read_secret(path, PASSPHRASE_LIMIT, handed=handed).split(b"\n", 1)[0].rstrip(b"\r")
    if not passphrase:
        raise Refusal("KEYFILE", "The passphrase file is empty.")
    return passphrase


def write_new(path: Path, data: bytes) -> None:
    """Write a new 0600 file durably; an existing one is never overwritten. Raises Refusal EXISTS."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refusal("EXISTS", detail=(path.name,)) from error
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
