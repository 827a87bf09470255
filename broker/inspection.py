"""Uploads to be looked through, as a batch of bytes that any process can answer: all that is arithmetic about one.

What its header says is read where it is decided on; here the hashes, the sender's record and the signature are held
against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.envelope import Upload
from schemas.errors import Refusal
from schemas.hashing import Frames, framed
from schemas.record import SealedRecord
from schemas.signing import PUBLIC_SIZE, Check, Purpose

HASH = 32
WHOLE, FAULTY = b"\x01", b"\x00"


class Inspected(NamedTuple):
    """What an upload that holds together comes to: its hashes, and the officers whom its record names."""

    eid: bytes
    body_hash: bytes
    wm_hash: bytes
    officers: tuple[str, ...]


def inspect(upload: Upload, public: bytes) -> Inspected:
    """Hold an upload against its own header and its signer's public key.

    Raises:
        Refusal: WRAPS, RECORD, SIGNATURE.
    """
    upload.check()
    envelope = upload.envelope
    head = SealedRecord.parse(upload.record).head
    if head.w != "hpke" or head.ctx != envelope.header.mid:
        raise Refusal("RECORD")
    Check.of(public, Purpose.ENVELOPE, envelope.transcript, envelope.sig).hold()
    return Inspected(envelope.eid, envelope.body_hash, envelope.wm_hash, head.to)


def packed(items: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A frame for each (public key, upload)."""
    return b"".join([framed(public + data) for public, data in items])


def answered(batch: bytes) -> bytes:
    """A frame for each upload of a packed batch: a process apart cannot raise."""
    return b"".join(
        [framed(_answer(item[PUBLIC_SIZE:], item[:PUBLIC_SIZE])) for item in Frames(batch).frames(len(batch))]
    )


def _answer(data: bytes, public: bytes) -> bytes:
    try:
        eid, body, wm, officers = inspect(Upload.read(data), public)
    except Refusal as refusal:
        return FAULTY + refusal.code.encode("ascii")
    return b"".join((WHOLE, eid, body, wm, ",".join(officers).encode("ascii")))


def read(answer: bytes) -> list[Inspected | Refusal]:
    """What `answered` said. Raises Refusal FORM."""
    return [_read(one) for one in Frames(answer).frames(len(answer))]


def _read(one: bytes) -> Inspected | Refusal:
    parts = Frames(one)
    if parts.take(1) == FAULTY:
        return Refusal(one[1:].decode("ascii"))
    hashes = parts.take(HASH), parts.take(HASH), parts.take(HASH)
    return Inspected(*hashes, tuple(one[1 + 3 * HASH :].decode("ascii").split(",")))
