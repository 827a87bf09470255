"""Leaves to be made, as a batch of bytes that any process can answer: each leaf with the two records beside it.

A draft holds epoch keys and a record's key, as the process that made it does. Whoever seals keeps none of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from broker.memory import wipe
from schemas.audit import LEAF_SIZE, Leaf
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import Frames
from schemas.record_sealing import TAG_SIZE, record_hash, seal_epoch_record, veil_record

SECRET = 32


class Made(NamedTuple):
    """What the log keeps: the relay's record, the sender's under its veil (nothing where there is none), the leaf."""

    record: bytes
    veiled: bytes
    leaf: bytes


class Draft(NamedTuple):
    """What a leaf is made from.

    `tag` is the leaf's, `ar` its third part (L9), `rk` the key of the relay's record, `keys` those of the epoch under
    which it is sealed, `blanks` the tags that stand for nobody, one after the other, `plain` what happened, and
    `sender` the sender's sealed record, if there is one.
    """

    tag: bytes
    ar: bytes
    rk: bytes
    keys: tuple[bytes, ...]
    blanks: bytes
    plain: bytes
    sender: bytes

    def made(self) -> Made:
        """The leaf is hashed from the very record that is stored."""
        blanks = tuple(b64(self.blanks[at : at + TAG_SIZE]) for at in range(0, len(self.blanks), TAG_SIZE))
        record = seal_epoch_record(b64(self.tag), self.plain, self.keys, self.rk, blanks)
        veiled = veil_record(self.sender, self.tag, self.rk) if self.sender else b""
        return Made(record, veiled, Leaf(self.tag, record_hash(record), self.ar).to_bytes())


def packed(drafts: Sequence[Draft]) -> bytes:
    """Three frames for each draft: its secrets, what happened, the sender's record. Made in one piece: wipe it when it
    has served."""
    pieces: list[bytes] = []
    for tag, ar, rk, keys, blanks, plain, sender in drafts:
        size = (3 + len(keys)) * SECRET + 1 + len(blanks)
        pieces += (size.to_bytes(4, "big"), tag, ar, rk, bytes((len(keys),)), *keys, blanks)
        pieces += (len(plain).to_bytes(4, "big"), plain, len(sender).to_bytes(4, "big"), sender)
    return b"".join(pieces)


def unpacked(batch: bytes) -> list[Draft]:
    """Raises Refusal FORM."""
    frames = Frames(batch).frames(len(batch))
    return [_draft(*three) for three in zip(frames, frames, frames, strict=True)]


def answered(batch: bytes) -> bytes:
    """What is made of a packed batch: the sizes of all records, then what they measure. The keys that came in it are
    overwritten."""
    drafts = unpacked(batch)
    made = [draft.made() for draft in drafts]
    for draft in drafts:
        wipe(*draft.keys, draft.rk)
    sizes = [len(record) for one in made for record in (one.record, one.veiled)]
    return b"".join((struct.pack(f">{len(sizes)}I", *sizes), *(part for one in made for part in one)))


def read(answer: bytes, count: int) -> list[Made]:
    """What `answered` said of so many drafts. Raises Refusal FORM."""
    at, found = 8 * count, list[Made]()
    if len(answer) < at:
        raise Refusal("FORM")
    sizes = struct.unpack_from(f">{2 * count}I", answer)
    for record, veiled in zip(sizes[::2], sizes[1::2], strict=True):
        middle, end = at + record, at + record + veiled
        found.append(Made(answer[at:middle], answer[middle:end], answer[end : end + LEAF_SIZE]))
        at = end + LEAF_SIZE
    if at != len(answer):
        raise Refusal("FORM")
    return found


def _draft(secrets: bytes, plain: bytes, sender: bytes) -> Draft:
    parts = Frames(secrets)
    tag, ar, rk, count = parts.take(SECRET), parts.take(SECRET), parts.take(SECRET), parts.take(1)[0]
    keys = tuple(parts.take(SECRET) for _ in range(count))
    blanks = secrets[(3 + count) * SECRET + 1 :]
    wipe(secrets)
    return Draft(tag, ar, rk, keys, blanks, plain, sender)
