"""What an agent takes out of key files at its start, so that it can be erased in time (PROTOCOL.md G16).

Rules of this house:
- a receiving key that stays in a file can open, for ever, what its agency was sent in those weeks: the first ones move
  to the store, and the file is written anew without them;
- a secret is in the store, durably, before the file that brought it is changed; run twice, it changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from agent import ring
from agent.ring import Own
from agent.secretfile import read_secret, sync_folder
from agent.store import Store
from schemas import keyfile
from schemas.canonical import unb64
from schemas.errors import Refusal
from schemas.keyring import AgentKeys
from schemas.keys import LIFE, SigningKey, Use

RENEWALS = "renew-*.fpk"
GONE = ".gone"
HOLDS = "renew"


async def take_up(
    path: Path, passphrase: bytes, keys: AgentKeys, store: Store, now: int, draw: Callable[[int], bytes]
) -> None:
    """Move the first receiving keys, and renew keys that the administrator handed over, into the store.

    Args:
        path: the agent's key file; renew keys lie beside it, under the same passphrase.

    Raises:
        Refusal: FILE, KEYFILE, DISK_FULL, STORE.
    """
    handed = {
        file: _renewal(file, passphrase, keys.agency, now) for file in sorted(path.parent.glob(RENEWALS))
    }
    first = [
        Own(p.key.kid, Use.PREKEY, p.key.seed(), p.nbf, p.nbf + LIFE[Use.PREKEY], p.nbf, p.nbf)
        for p in keys.prekeys  # whatever their age by this clock: what is over is erased when the relay agrees
    ]

    def work(c: Connection) -> None:
        known = {own.kid for own in ring.kept(c)}
        for own in (*first, *handed.values()):
            if own.kid not in known:
                ring.keep(c, own)

    await store.run(work)
    if keys.prekeys:
        _replace(path, keys, passphrase, draw)
    for file in handed:
        file.rename(
            file.with_name(f".{file.name}{GONE}")
        )  # a kill from here on leaves nothing that is read again
    for file in path.parent.glob(f".{RENEWALS}{GONE}"):
        _destroy(file)


def _renewal(file: Path, passphrase: bytes, agency: str, now: int) -> Own:
    said = keyfile.unlock(read_secret(file, keyfile.LIMIT), HOLDS, passphrase)
    if not isinstance(said, dict) or said.get("agency") != agency:
        raise Refusal("KEYFILE", f"{file.name} is for another agency. Ask the administrator for yours.")
    key = SigningKey(unb64(said["renew"], 32))
    return Own(key.kid, Use.RENEW, key.seed(), now, now + LIFE[Use.RENEW], now, 0)


def _replace(path: Path, keys: AgentKeys, passphrase: bytes, draw: Callable[[int], bytes]) -> None:
    """Write the key file without its receiving keys, and overwrite the one before."""
    cost = keyfile.cost_of(read_secret(path, keyfile.LIMIT))
    data = keyfile.lock(keys.without_prekeys().to_json(), keys.HOLDS, passphrase, cost, draw)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # of a start that was killed here: nothing refers to it
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "wb") as before:
        with os.fdopen(
            os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "wb"
        ) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        sync_folder(path.parent)
        _overwrite(before)


def _destroy(file: Path) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "wb") as before:
        _overwrite(before)
    file.unlink()
    sync_folder(file.parent)


def _overwrite(file: BinaryIO) -> None:
    """As far as a program can: a disk that writes elsewhere keeps the old blocks until it needs them."""
    size = os.fstat(file.fileno()).st_size
    file.write(bytes(size))
    file.flush()
    os.fsync(file.fileno())
