"""Records to be sealed, as a batch of bytes that any process can answer: the sealed record and the veiled one of each.

A draft holds epoch keys and a record's key, as the process that made it does. Whoever seals keeps none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.canonical import b64
from schemas.hashing import Frames, framed
from schemas.record_sealing import seal_epoch_record, veil_record

SECRET = 32
BLANK = 22
"""Characters of a blank: 16 bytes in base64url."""
Sealed = tuple[bytes, bytes]
"""The relay's record, and the sender's under its veil, empty where there is none."""


class Draft(NamedTuple):
    """What a record is sealed from: the leaf's tag, what happened, and the keys; `sender` is the sender's record."""

    tag: bytes
    plain: bytes
    keys: tuple[bytes, ...]
    blanks: tuple[str, ...]
    rk: bytes
    sender: bytes

    def sealed(self) -> Sealed:
        record = seal_epoch_record(b64(self.tag), self.plain, self.keys, self.rk, self.blanks)
        return record, veil_record(self.sender, self.tag, self.rk) if self.sender else b""


def packed(drafts: Sequence[Draft]) -> bytes:
    """Three frames for each draft: its secrets, what happened, the sender's record."""
    frames = []
    for tag, plain, keys, blanks, rk, sender in drafts:
        secrets = b"".join((tag, rk, bytes((len(keys),)), *keys, "".join(blanks).encode("ascii")))
        frames += [framed(secrets), framed(plain), framed(sender)]
    return b"".join(frames)


def unpacked(batch: bytes) -> list[Draft]:
    """Raises Refusal FORM."""
    frames = list(Frames(batch).frames(len(batch)))
    return [_draft(*frames[at : at + 3]) for at in range(0, len(frames), 3)]


def answered(batch: bytes) -> bytes:
    """Two frames for each draft of a packed batch."""
    return b"".join([framed(part) for draft in unpacked(batch) for part in draft.sealed()])


def read(answer: bytes) -> list[Sealed]:
    """What `answered` said. Raises Refusal FORM."""
    frames = list(Frames(answer).frames(len(answer)))
    return list(zip(frames[::2], frames[1::2], strict=True))


def _draft(secrets: bytes, plain: bytes, sender: bytes) -> Draft:
    parts = Frames(secrets)
    tag, rk, count = parts.take(SECRET), parts.take(SECRET), parts.take(1)[0]
    keys = tuple(parts.take(SECRET) for _ in range(count))
    rest = secrets[2 * SECRET + 1 + count * SECRET :].decode("ascii")
    blanks = tuple(rest[at : at + BLANK] for at in range(0, len(rest), BLANK))
    return Draft(tag, plain, keys, blanks, rk, sender)
