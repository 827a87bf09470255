"""The sealed audit record: readable by IG officers, never by the relay (PROTOCOL.md S1-S6).

Two kinds share one form. A *sender's* record is wrapped to each officer by HPKE. A *relay's* record is wrapped
under epoch keys: symmetric keys that live at most a minute in the relay and are themselves wrapped once by HPKE to
the officers of one agency (an epoch object, stored beside the log).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

import nacl.bindings
import nacl.exceptions
from pydantic import Field, model_validator

from schemas.canonical import b64, unb64
from schemas.envelope import WRAP_SIZE, Frozen, Hash32, Id16, read_canonical
from schemas.errors import Refusal
from schemas.hashing import Frames, framed, labelled
from schemas.padding import RECORD_SMALLEST, pad

MAGIC = b"FPR1"
HEAD_LIMIT = 8 * 1024
BODY_LIMIT = 96 * 1024
EPOCH_WRAP_SIZE = 48
TAG_SIZE = 16
MAX_OFFICERS = 64


class Head(Frozen):
    """The clear head (S1).

    hpke, a sender's record: `ctx` is the mid, `to` the officers' key ids. epoch, the relay's: `ctx` is the leaf tag,
    `to` the tags of epoch keys. Both lists are sorted and name nobody twice, so that there is one spelling.
    """

    ctx: Id16 | Hash32
    kc: Hash32
    to: tuple[Id16 | Hash32, ...] = Field(min_length=1, max_length=MAX_OFFICERS)
    v: Annotated[int, Field(ge=1, le=1)]
    w: Literal["hpke", "epoch"]

    @model_validator(mode="after")
    def _has_one_spelling(self) -> Self:
        if list(self.to) != sorted(set(self.to)):
            raise ValueError("a reader stands twice, or out of order")
        context, reader = (22, 43) if self.w == "hpke" else (43, 22)
        if len(self.ctx) != context or any(len(to) != reader for to in self.to):
            raise ValueError("ids of the other kind of record")
        return self


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
            head = read_canonical(Head, head_bytes, HEAD_LIMIT)
            body = frames.frame(BODY_LIMIT)
            size = WRAP_SIZE if head.w == "hpke" else EPOCH_WRAP_SIZE
            wraps = tuple(frames.take(size) for _ in head.to)
            frames.end()
        except Refusal as error:
            raise Refusal("RECORD") from error
        return cls(head_bytes, head, body, wraps)


def record_hash(record: bytes) -> bytes:
    """H("fenpost/v1/rec", record): what a leaf and a header's `ar` commit to."""
    return labelled("fenpost/v1/rec", record)


def commitment(ctx: str, rk: bytes) -> str:
    return b64(labelled("fenpost/v1/rec-commit", ctx.encode("ascii"), key=rk))


def wrap_info(rh: bytes, kid: str) -> bytes:
    """The HPKE info that binds a wrap to its record and its officer."""
    return b"fenpost/v1/rec-wrap\x00" + rh + unb64(kid, 32)


def epoch_info(epoch_id: bytes, kid: str) -> bytes:
    """The HPKE info that binds an epoch key to its epoch and its officer."""
    return b"fenpost/v1/epoch-wrap\x00" + epoch_id + unb64(kid, 32)


def epoch_tag(rh_seed: bytes, epoch_key: bytes) -> str:
    """How an officer who holds the epoch key finds her wrap; to anyone else it is 16 random bytes (S5)."""
    return b64(labelled("fenpost/v1/epoch-tag", rh_seed, key=epoch_key, size=TAG_SIZE))


def aead_seal(key: bytes, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
    """XChaCha20-Poly1305-IETF."""
    return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, aad, nonce, key)


def aead_open(key: bytes, nonce: bytes, aad: bytes, sealed: bytes, code: str) -> bytes:
    """Raises Refusal `code`."""
    if len(sealed) < nacl.bindings.crypto_aead_xchacha20poly1305_ietf_ABYTES:
        # PyNaCl answers this with a ValueError of its own.
        raise Refusal(code)
    try:
        return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, aad, nonce, key)
    except (nacl.exceptions.CryptoError, nacl.exceptions.ValueError) as error:
        raise Refusal(code) from error


def seal_body(rk: bytes, rh: bytes, plain: bytes) -> bytes:
    """Raises Refusal TOO_BIG for facts that no reader would take."""
    key = labelled("fenpost/v1/rec-key", rh, key=rk)
    nonce = labelled("fenpost/v1/rec-nonce", rh, key=rk, size=24)
    body = aead_seal(key, nonce, rh, pad(plain, RECORD_SMALLEST))
    if len(body) > BODY_LIMIT:
        raise Refusal("TOO_BIG")
    return body


def seal_epoch_record(
    ctx: str, plain: bytes, epoch_keys: tuple[bytes, ...], rk: bytes, blanks: tuple[str, ...]
) -> bytes:
    """Seal a relay's record under epoch keys (S5).

    Args:
        ctx: the leaf tag, base64url.
        plain: what happened, canonical JSON.
        epoch_keys: 32 bytes for each agency concerned; one given twice counts once, or equal rows would show
            that two parties are one.
        rk: 32 fresh random bytes, given to the submitter and then forgotten.
        blanks: random tags that stand for nobody, so that the number of agencies does not show.
    """
    seed = ctx.encode("ascii")
    rows = sorted([(epoch_tag(seed, key), key) for key in {*epoch_keys}] + [(blank, b"") for blank in blanks])
    readers = ",".join(f'"{tag}"' for tag, _ in rows)
    # Canonical as it stands: base64url needs no escapes. The relay makes two of these for every message.
    head = f'{{"ctx":"{ctx}","kc":"{commitment(ctx, rk)}","to":[{readers}],"v":1,"w":"epoch"}}'.encode(
        "ascii"
    )
    rh = labelled("fenpost/v1/rec-head", head)
    wraps = b"".join(wrap_epoch(key, rh, rk) if key else _blank_wrap(rk, tag, rh) for tag, key in rows)
    return MAGIC + framed(head) + framed(seal_body(rk, rh, plain)) + wraps


def wrap_epoch(epoch_key: bytes, rh: bytes, rk: bytes) -> bytes:
    nonce = labelled("fenpost/v1/epoch-nonce", rh, key=epoch_key, size=24)
    return aead_seal(epoch_key, nonce, rh, rk)


def _blank_wrap(rk: bytes, tag: str, rh: bytes) -> bytes:
    # Keyed by the record's own secret, so that nobody without it can tell a blank from a wrap.
    return labelled("fenpost/v1/epoch-blank", tag.encode("ascii") + rh, key=rk, size=EPOCH_WRAP_SIZE)


def veil_record(record: bytes, tag: bytes, rk: bytes) -> bytes:
    """The sender's sealed record as the log keeps it: closed once more under the relay record's key (S7).

    Args:
        record: the sender's sealed record, as uploaded.
        tag: the leaf's 32-byte tag.
        rk: the key of the relay's record of the same leaf, which its officers open first.

    The heads of sender's records name officers, so a stored log without this veil would show who talks to whom.
    schemas.opening.unveil_record is the inverse.
    """
    key, nonce = veil_keys(tag, rk)
    return aead_seal(key, nonce, tag, record)


def veil_keys(tag: bytes, rk: bytes) -> tuple[bytes, bytes]:
    """The veil's key and nonce; rk is drawn for one record only, so neither ever repeats."""
    return (
        labelled("fenpost/v1/rec-outer", tag, key=rk),
        labelled("fenpost/v1/rec-outer-nonce", tag, key=rk, size=24),
    )
