"""Epoch keys: what the relay seals its records under, for a minute at most (PROTOCOL.md S5, S6).

Rules of this house:
- an epoch key lives in memory only, here and in the calculator while it seals, until its minute is over; what is
  stored is its wraps;
- every agency gets its key at the same moment, whether or not it has anything to record: if keys came when they are
  needed, the stored wraps would show which two agencies had an event together.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from broker.memory import wipe
from schemas.directory import Agency, Directory, Key
from schemas.keys import Use
from schemas.record import epoch_info
from schemas.record_sealing import TAG_SIZE
from schemas.sealing import Draw, wrap_key

LIFE = 60
ALONE = 2
"""References to a key that nothing else holds, as `sys.getrefcount` counts them: the name, and its own argument."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An epoch key wrapped to one officer, as it is stored."""

    epoch: bytes
    agency: str
    first: int
    kid: str
    wrap: bytes


class Epochs:
    """The running epoch. `keys` are by agency; `unsaved` must be stored with the first record under them."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._ends = 0
        self._of = -1
        self.keys: dict[str, bytes] = {}
        self._over: list[bytes] = []
        self.unsaved: list[Wrapped] = []

    def stands(self, now: int, view: Directory) -> bool:
        """Whether the running epoch may seal a record now: its minute is not over and no key changed since."""
        return now < self._ends and self._of == view.size and now >= self._ends - LIFE

    def renew(self, now: int, view: Directory, first: int) -> None:
        """Begin an epoch that covers leaves from `first`."""
        self._end()
        self.unsaved = []
        for agency in view.agencies.values():
            if officers := readers(agency, now):
                key, epoch = self._draw(32), self._draw(32)
                self.keys[agency.id] = key
                secrets = secrets_for(officers, key, self._draw)
                self.unsaved += [
                    Wrapped(
                        epoch, agency.id, first, o.kid, wrap_key(o.public, epoch_info(epoch, o.kid), secret)
                    )
                    for o, secret in zip(officers, secrets, strict=True)
                ]
        self._ends, self._of = now + LIFE, view.size

    def saved(self) -> None:
        self.unsaved = []

    def forget(self, now: int) -> None:
        """Drop the keys of an epoch that is over. Its wraps stay for the turn that may be storing them."""
        if self.keys and not self._ends - LIFE <= now < self._ends:
            self._end()
            self._ends = 0
        self._wipe()

    def _end(self) -> None:
        self._over += self.keys.values()
        self.keys = {}

    def _wipe(self) -> None:
        """Overwrite keys that are over. One that a turn is still sealing under waits for the next look."""
        keys, self._over = self._over, []
        while keys:
            key = keys.pop()
            if sys.getrefcount(key) > ALONE:
                self._over.append(key)
            else:
                wipe(key)

    def sealing(self, agencies: set[str]) -> tuple[tuple[bytes, ...], bytes]:
        """The keys for these agencies, and blank tags that round their number up to a multiple of four."""
        keys = tuple(map(self.keys.__getitem__, sorted(agencies & self.keys.keys())))
        count = -len(keys) % 4 if keys else 4
        return keys, self._draw(TAG_SIZE * count) if count else b""


SHARES = ("share-1", "share-2")
"""How the tags of ig keys begin that open together only (PROTOCOL.md U7)."""


def secrets_for(officers: list[Key], key: bytes, draw: Draw) -> list[bytes]:
    """What is wrapped to each officer: the epoch's key, or under dual control her share of it."""
    kinds = [next((s for s in SHARES if (o.person or "").startswith(s)), "") for o in officers]
    if not set(SHARES) <= set(kinds):  # a vacancy must not make the log unreadable
        return [key] * len(officers)
    one = draw(32)
    of = {SHARES[0]: one, SHARES[1]: bytes(a ^ b for a, b in zip(one, key, strict=True)), "": key}
    return [of[kind] for kind in kinds]


def readers(agency: Agency, now: int) -> list[Key]:
    """An agency's officers: those whose keys stand now. When none does, those whose only fault is their date, since
    an event must be recorded even when an administrator forgot to renew a key."""
    all_keys = [key for key in agency.keys.values() if key.use == Use.IG and key.revoked is None]
    return [key for key in all_keys if key.stands(now)] or all_keys
