"""What an agent takes out of key files, at its start and later, so that it can be erased in time (PROTOCOL.md G16).

Rules of this house:
- a receiving key that stays in a file can open, for ever, what its agency was sent in those weeks: the first ones move
  to the store, and the file is written anew without them;
- a secret is in the store, durably, before the file that brought it is changed; run twice, it changes nothing;
- a running agent keeps no passphrase: what is laid beside its key file is opened with what it reads where it did then.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection

from agent import ring
from agent.clock import Clock
from agent.logs import log
from agent.ring import Own
from agent.secretfile import read_secret, sync_folder
from agent.store import Store, note
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

    A renew key that does not open stays where it is, and is noted: it keeps nobody from starting.

    Raises:
        Refusal: FILE, KEYFILE, DISK_FULL, STORE.
    """
    handed = {}
    for file in _laid(path.parent):
        try:
            handed[file] = _renewal(file, passphrase, keys.agency, now)
        except Refusal as refusal:
            await _refused(store, now, refusal.code)
    first = [
        Own(p.key.kid, Use.PREKEY, p.key.seed(), p.nbf, p.nbf + LIFE[Use.PREKEY], p.nbf, p.nbf)
        for p in keys.prekeys  # whatever their age by this clock: what is over is erased when the relay agrees
    ]

    await _keep(store, (*first, *handed.values()))
    if keys.prekeys:
        _replace(path, keys, passphrase, draw)
    _done_with(path.parent, handed)


class Handed:
    """Renew keys that the administrator lays beside the key file of an agent that runs.

    Args:
        folder: where the key file is.
        passphrase: reads it once more; None where somebody typed it, and then they wait for the agent's next start.
    """

    def __init__(
        self, folder: Path, passphrase: Callable[[], bytes] | None, agency: str, store: Store, clock: Clock
    ) -> None:
        self._folder, self._passphrase = folder, passphrase
        self._agency, self._store, self._clock = agency, store, clock
        self._refused = set[tuple[str, int, int]]()

    async def look(self) -> bool:
        """Take up what lies there and was not refused before; whether there was any. Raises Refusal STORE, DISK_FULL.

        One that cannot be opened stays, and is noted in the journal once: it may be half copied, or another agency's.
        """
        found = {}
        for file in _laid(self._folder) if self._passphrase is not None else ():
            mark = _mark(file)
            if mark is None or mark in self._refused:
                continue
            now = int(self._clock())
            try:
                found[file] = await asyncio.to_thread(self._opened, file, now)
            except Refusal as refusal:
                self._refused.add(mark)
                await _refused(self._store, now, refusal.code)
        if found:
            await _keep(self._store, found.values())
            await asyncio.to_thread(_done_with, self._folder, found)
        return bool(found)

    def _opened(self, file: Path, now: int) -> Own:
        if self._passphrase is None:
            raise Refusal("KEYFILE")
        return _renewal(file, self._passphrase(), self._agency, now)


async def _refused(store: Store, now: int, code: str) -> None:
    log.warning("renew-key-refused", code=code)
    await store.run(lambda c: note(c, now, "renew-key-refused", code))


def _laid(folder: Path) -> list[Path]:
    return sorted(folder.glob(RENEWALS))


def _mark(file: Path) -> tuple[str, int, int] | None:
    """What tells a file from itself once it was written anew; None when it has gone."""
    try:
        found = file.lstat()
    except FileNotFoundError:
        return None
    return file.name, found.st_ino, found.st_mtime_ns


async def _keep(store: Store, keys: Iterable[Own]) -> None:
    """Put into the store what is not there yet."""

    def work(c: Connection) -> None:
        known = {own.kid for own in ring.kept(c)}
        for own in keys:
            if own.kid not in known:
                ring.keep(c, own)

    await store.run(work)


def _done_with(folder: Path, handed: Iterable[Path]) -> None:
    """Destroy files whose keys are in the store, and what a kill left of one."""
    for file in handed:
        file.rename(
            file.with_name(f".{file.name}{GONE}")
        )  # a kill from here on leaves nothing that is read again
    for file in folder.glob(f".{RENEWALS}{GONE}"):
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
