"""The sealed audit record: readable by IG officers, never by the relay (PROTOCOL.md S1-S6).

Two kinds share one form. A *sender's* record is wrapped to each officer by HPKE. A *relay's* record is wrapped
under epoch keys: symmetric keys that live at most a minute in the relay and are themselves wrapped once by HPKE to
the officers of one agency (an epoch object, stored beside the log).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import nacl.bindings
import nacl.exceptions

from schemas.canonical import unb64
from schemas.envelope import WRAP_SIZE
from schemas.errors import Refusal
from schemas.hashing import Frames, labelled
from schemas.record_sealing import AEAD_TAG, BODY_LIMIT, EPOCH_WRAP_SIZE, MAGIC

HEAD_LIMIT = 8 * 1024
MAX_OFFICERS = 96
"""Readers of one record, of either kind: a header's most recipients, the sender and oversight, rounded up as blanks
round the relay's (S5), and room for agencies that have more than one officer. Their wraps must fit a record's size."""

_ID, _HASH = rb"[A-Za-z0-9_-]{21}[AQgw]", rb"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]"


def _heads(ctx: bytes, reader: bytes, kind: bytes) -> re.Pattern[bytes]:
    return re.compile(
        rb'\{"ctx":"(%b)","kc":"(%b)","to":\["(%b(?:","%b)*)"\],"v":1,"w":"(%b)"\}'
        % (ctx, _HASH, reader, reader, kind)
    )


_HPKE, _EPOCH = _heads(_ID, _HASH, b"hpke"), _heads(_HASH, _ID, b"epoch")
"""Canonical JSON of two flat forms: whatever is spelled otherwise is no head."""


class Head(NamedTuple):
    """The clear head (S1).

    hpke, a sender's record: `ctx` is the mid, `to` the officers' key ids. epoch, the relay's: `ctx` is the leaf tag,
    `to` the tags of epoch keys. Both lists are sorted and name nobody twice, so that there is one spelling.
    """

    ctx: str
    kc: str
    to: tuple[str, ...]
    w: str

    @classmethod
    def parse(cls, data: bytes) -> Head:
        """Read the one spelling that a head has. Raises Refusal RECORD."""
        found = _HPKE.fullmatch(data) or _EPOCH.fullmatch(data)
        if found is None:
            raise Refusal("RECORD")
        ctx, kc, listed, w = (part.decode("ascii") for part in found.groups())
        to = tuple(listed.split('","'))
        if len(to) > MAX_OFFICERS or list(to) != sorted(set(to)):
            raise Refusal("RECORD")
        return cls(ctx, kc, to, w)


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """A parsed record: head, ciphertext and the wraps of its key, one per entry of head.to."""

    head_bytes: bytes
    head: Head
    body: bytes
    wraps: tuple[bytes, ...]

    @property
    def rh(self) -> bytes:
        return labelled("fenpost/v1/rec-head", self.head_bytes)

    @classmethod
    def parse(cls, data: bytes) -> SealedRecord:
        """Raises Refusal RECORD for anything that is not exactly one sealed record."""
        try:
            frames = Frames(data)
            if frames.take(4) != MAGIC:
                raise Refusal("FORM")
            head_bytes = frames.frame(HEAD_LIMIT)
            head = Head.parse(head_bytes)
            body = frames.frame(BODY_LIMIT)
            size = WRAP_SIZE if head.w == "hpke" else EPOCH_WRAP_SIZE
            wraps = tuple(frames.take(size) for _ in head.to)
            frames.end()
        except Refusal as error:
            raise Refusal("RECORD") from error
        return cls(head_bytes, head, body, wraps)


def wrap_info(rh: bytes, kid: str) -> bytes:
    """The HPKE info that binds a wrap to its record and its officer."""
    return b"fenpost/v1/rec-wrap\x00" + rh + unb64(kid, 32)


def epoch_info(epoch_id: bytes, kid: str) -> bytes:
    """The HPKE info that binds an epoch key to its epoch and its officer."""
    return b"fenpost/v1/epoch-wrap\x00" + epoch_id + unb64(kid, 32)


def aead_open(key: bytes, nonce: bytes, aad: bytes, sealed: bytes, code: str) -> bytes:
    """Raises Refusal `code`."""
    if len(sealed) < AEAD_TAG:
        # PyNaCl answers this with a ValueError of its own.
        raise Refusal(code)
    try:
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, key)
    except (nacl.exceptions.CryptoError, nacl.exceptions.ValueError) as error:
        raise Refusal(code) from error
