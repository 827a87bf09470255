"""Records to be sealed, as a batch of bytes that any process can answer: the sealed record of each.

A draft holds epoch keys and a record's key, as the process that made it does. Whoever seals keeps none of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from broker.memory import wipe
from schemas.canonical import b64
from schemas.hashing import Frames, framed
from schemas.record_sealing import seal_epoch_record

SECRET = 32
BLANK = 22
"""Characters of a blank: 16 bytes in base64url."""


class Draft(NamedTuple):
    """What a relay's record is sealed from: the leaf's tag, what happened, and the keys."""

    tag: bytes
    plain: bytes
    keys: tuple[bytes, ...]
    blanks: tuple[str, ...]
    rk: bytes

    def sealed(self) -> bytes:
        return seal_epoch_record(b64(self.tag), self.plain, self.keys, self.rk, self.blanks)


def packed(drafts: Sequence[Draft]) -> bytes:
    """Two frames for each draft: its secrets, and what happened. Made in one piece: wipe it when it has served."""
    pieces: list[bytes] = []
    for tag, plain, keys, blanks, rk in drafts:
        size = (2 + len(keys)) * SECRET + 1 + len(blanks) * BLANK
        ids = "".join(blanks).encode("ascii")
        pieces += (size.to_bytes(4, "big"), tag, rk, bytes((len(keys),)), *keys, ids)
        pieces += (len(plain).to_bytes(4, "big"), plain)
    return b"".join(pieces)


def unpacked(batch: bytes) -> list[Draft]:
    """Raises Refusal FORM."""
    frames = Frames(batch).frames(len(batch))
    return [_draft(secrets, plain) for secrets, plain in zip(frames, frames, strict=True)]


def answered(batch: bytes) -> bytes:
    """A frame for each draft of a packed batch; the keys that came in it are overwritten."""
    drafts = unpacked(batch)
    answer = b"".join([framed(draft.sealed()) for draft in drafts])
    for draft in drafts:
        wipe(*draft.keys, draft.rk)
    return answer


def read(answer: bytes) -> list[bytes]:
    """What `answered` said. Raises Refusal FORM."""
    return list(Frames(answer).frames(len(answer)))


def _draft(secrets: bytes, plain: bytes) -> Draft:
    parts = Frames(secrets)
    tag, rk, count = parts.take(SECRET), parts.take(SECRET), parts.take(1)[0]
    keys = tuple(parts.take(SECRET) for _ in range(count))
    rest = secrets[2 * SECRET + 1 + count * SECRET :].decode("ascii")
    blanks = tuple(rest[at : at + BLANK] for at in range(0, len(rest), BLANK))
    wipe(secrets)
    return Draft(tag, plain, keys, blanks, rk)
