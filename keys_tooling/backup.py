"""A backup: key files in one locked file, which a passphrase or a set of shares opens (PROTOCOL.md K18). Pure.

Rules of this house:
- a key file is kept opened, so that whoever restores it needs no passphrase that died with somebody; or, if asked, as
  it stands, under its own;
- what stands outside (names, dates, how many shares) counts only once the inside has confirmed it;
- a wrong passphrase and a changed byte get one answer, after the same work.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, ValidationError

from schemas.canonical import Json, b64, decode, encode, unb64
from schemas.envelope import Frozen, Seconds
from schemas.errors import Refusal
from schemas.hashing import Frames, framed
from schemas.keyfile import LIMIT, Cost, backup_digest, lock, unlock

MAGIC = b"FPB1"
MOST = 2 * LIMIT
HOLDS, SLOT = "backup", "backup-secret"
FileName = Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9_-]{0,63}/)?[a-z0-9][a-z0-9_.-]{0,63}$")]


class Head(Frozen):
    """What stands outside, for whoever has the file in hand."""

    v: Annotated[int, Field(ge=1, le=1)]
    id: Annotated[str, Field(pattern=r"^[A-Z2-7]{4}-[A-Z2-7]{4}$")]
    agency: Annotated[str, Field(max_length=64)] | None
    made: Seconds
    taken: Seconds
    files: tuple[FileName, ...] = Field(min_length=1, max_length=64)
    need: Annotated[int, Field(ge=2, le=16)] | None
    of: Annotated[int, Field(ge=2, le=16)] | None
    set: Annotated[int, Field(ge=0, lt=2**15)] | None


@dataclass(frozen=True, slots=True)
class Kept:
    """One file of a backup: what a key file holds, opened; or its bytes as they were."""

    name: str
    holds: str | None = None
    secrets: Json = field(default=None, repr=False)
    data: bytes = field(default=b"", repr=False)

    def to_json(self) -> dict[str, Json]:
        if self.holds is None:
            return {"data": b64(self.data), "name": self.name}
        return {"holds": self.holds, "name": self.name, "secrets": self.secrets}

    @classmethod
    def from_json(cls, value: Json) -> Kept:
        if set(value) == {"data", "name"}:
            return cls(value["name"], data=unb64(value["data"]))
        return cls(value["name"], value["holds"], value["secrets"])


@dataclass(frozen=True, slots=True)
class Opened:
    """What a backup holds, and the secret that its shares give."""

    head: Head
    files: tuple[Kept, ...]
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup as it lies on a disk, still locked."""

    head: Head
    raw: bytes = field(repr=False)
    sealed: bytes = field(repr=False)
    slot: bytes = field(repr=False)

    @classmethod
    def parse(cls, data: bytes) -> Backup:
        """Raises Refusal BACKUP."""
        try:
            frames = Frames(data)
            if frames.take(4) != MAGIC:
                raise Refusal("FORM")
            raw, sealed, slot = (frames.frame(LIMIT) for _ in range(3))
            frames.end()
            decode(raw, LIMIT)
            return cls(Head.model_validate_json(raw), raw, sealed, slot)
        except (Refusal, ValidationError) as error:
            raise Refusal(
                "BACKUP", "This is no backup, or it was changed or cut off. Find another copy."
            ) from error

    def secret(self, passphrase: bytes) -> bytes:
        """What the shares give too. Raises Refusal BACKUP."""
        if not self.slot:
            raise Refusal("BACKUP", "This backup has no passphrase. It opens with its shares only.")
        try:
            return unb64(unlock(self.slot, SLOT, passphrase), 32)
        except Refusal as error:
            raise Refusal("BACKUP") from error

    def open(self, secret: bytes) -> Opened:
        """Raises Refusal BACKUP."""
        try:
            value = unlock(self.sealed, HOLDS, b64(secret).encode("ascii"))
            if value["head"] != backup_digest(self.raw):
                raise Refusal("FORM")
            files = tuple(map(Kept.from_json, value["files"]))
            if tuple(file.name for file in files) != self.head.files:
                raise Refusal("FORM")
        except (Refusal, KeyError, TypeError) as error:
            raise Refusal("BACKUP") from error
        return Opened(self.head, files, secret)


def make(
    head: Head, opened: Opened, passphrase: bytes | None, cost: Cost, draw: Callable[[int], bytes]
) -> bytes:
    """The bytes of a backup with this head; the secret and files are those of `opened`.

    Args:
        passphrase: opens it besides the shares; None when the shares alone do.

    Raises:
        Refusal: TOO_BIG, KEYFILE.
    """
    raw = encode(head.model_dump(mode="json"))
    value: Json = {"files": [file.to_json() for file in opened.files], "head": backup_digest(raw)}
    if len(encode(value)) > LIMIT - 4096:
        raise Refusal(
            "TOO_BIG", "Together these files are larger than a backup may be. Choose fewer of them."
        )
    sealed = lock(value, HOLDS, b64(opened.secret).encode("ascii"), cost, draw)
    slot = b"" if passphrase is None else lock(b64(opened.secret), SLOT, passphrase, cost, draw)
    return MAGIC + framed(raw) + framed(sealed) + framed(slot)


def new_name(draw: Callable[[int], bytes]) -> str:
    """Eight letters and digits that name a backup aloud, such as KQ7M-24XD."""
    letters = base64.b32encode(draw(5)).decode("ascii")
    return f"{letters[:4]}-{letters[4:]}"
