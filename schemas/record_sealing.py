"""Sealing the relay's record, and the veil over the sender's (PROTOCOL.md S2, S3, S5, S7).

Apart from the form of records, so that a process which only seals loads nothing else.
"""

from __future__ import annotations

from hashlib import blake2b

import nacl.bindings

from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import begun, framed, labelled
from schemas.padding import RECORD_SMALLEST, bucket, pad

MAGIC = b"FPR1"
BODY_LIMIT = 96 * 1024
EPOCH_WRAP_SIZE = 48
TAG_SIZE = 16
AEAD_TAG = 16


def record_hash(record: bytes) -> bytes:
    """H("fenpost/v1/rec", record): what a leaf and a header's `ar` commit to."""
    return labelled("fenpost/v1/rec", record)


def record_hashes() -> blake2b:
    """The state of record_hash before a record, for one who hashes very many: each goes on from a copy."""
    return begun("fenpost/v1/rec")


def commitment(ctx: str, rk: bytes) -> str:
    return b64(labelled("fenpost/v1/rec-commit", ctx.encode("ascii"), key=rk))


def epoch_tag(rh_seed: bytes, epoch_key: bytes) -> str:
    """How an officer who holds the epoch key finds her wrap; to anyone else it is 16 random bytes (S5)."""
    return b64(labelled("fenpost/v1/epoch-tag", rh_seed, key=epoch_key, size=TAG_SIZE))


def epoch_tags(epoch_key: bytes) -> blake2b:
    """The state of epoch_tag's hash before its seed, for one who holds many records against one key."""
    return begun("fenpost/v1/epoch-tag", key=epoch_key, size=TAG_SIZE)


def aead_seal(key: bytes, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
    """XChaCha20-Poly1305-IETF."""
    return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, aad, nonce, key)


def check_size(plain: bytes) -> None:
    """Raises Refusal TOO_BIG for facts that no reader would take."""
    if bucket(4 + len(plain), RECORD_SMALLEST) + AEAD_TAG > BODY_LIMIT:
        raise Refusal("TOO_BIG")


def seal_body(rk: bytes, rh: bytes, plain: bytes) -> bytes:
    """Raises Refusal TOO_BIG."""
    check_size(plain)
    key = labelled("fenpost/v1/rec-key", rh, key=rk)
    nonce = labelled("fenpost/v1/rec-nonce", rh, key=rk, size=24)
    return aead_seal(key, nonce, rh, pad(plain, RECORD_SMALLEST))


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
