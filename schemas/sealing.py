"""Sealing: how an agency makes an envelope, and anyone wraps a key to an officer (PROTOCOL.md E2, E6-E8, S2).

Rules of this house:
- one suite: HPKE (RFC 9180) with ML-KEM-768 + X25519 (0x647a), HKDF-SHA256, ChaCha20-Poly1305; there is no
  classical fallback, and a machine that lacks it refuses to start (self_test);
- randomness comes in through `draw`, so that a caller decides where it is from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from schemas.canonical import Json, b64, encode, unb64
from schemas.envelope import (
    BODY_LIMIT,
    MAX_LIFE,
    RECORD_LIMIT,
    WRAP_SIZE,
    Envelope,
    Upload,
    manifest_row,
    parse_header,
)
from schemas.errors import Refusal
from schemas.hashing import framed, labelled
from schemas.keys import OpeningKey, SigningKey, hybrid_public
from schemas.padding import pad
from schemas.record import MAX_OFFICERS, wrap_info
from schemas.record_sealing import MAGIC, aead_seal, commitment, record_hash, seal_body
from schemas.signing import Purpose, Signed, sign

Draw = Callable[[int], bytes]
SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def wrap_key(public: bytes, info: bytes, secret: bytes) -> bytes:
    """HPKE base mode: 1120 bytes of encapsulation, then ciphertext and tag; a 32-byte key gives 1168 bytes (E7).

    Raises:
        Refusal: KEY when the public key is malformed or yields no secret.
    """
    try:
        return SUITE.encrypt(secret, hybrid_public(public), info)
    except ValueError as error:
        raise Refusal("KEY") from error


def self_test(draw: Draw) -> None:
    """Prove at start that this machine can wrap (K6). Raises Refusal SELF_TEST."""
    try:
        key = OpeningKey(draw(32))
        wrapped = wrap_key(key.public, b"fenpost/v1/self-test", draw(32))
    except (UnsupportedAlgorithm, Refusal, ValueError) as error:
        raise Refusal("SELF_TEST") from error
    if len(wrapped) != WRAP_SIZE:
        raise Refusal("SELF_TEST")


@dataclass(frozen=True, slots=True)
class Officer:
    """An IG officer's opening key, as published."""

    kid: str
    public: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SealedFor:
    """One recipient desk and the prekey chosen for it."""

    agency: str
    desk: str
    kid: str
    public: bytes = field(repr=False)


def seal_record(ctx: str, plain: bytes, officers: tuple[Officer, ...], rk: bytes) -> bytes:
    """Seal a sender's audit record to officers (S2); they are ordered by key id.

    Raises:
        Refusal: OFFICERS for none or more than a record has room for, KEY for a malformed key.
    """
    if len(officers) > MAX_OFFICERS:
        raise Refusal(
            "OFFICERS", "These agencies have more IG officers than a record names. Send to fewer at a time."
        )
    if not officers:
        raise Refusal("OFFICERS")
    ordered = sorted(officers, key=lambda officer: officer.kid)
    head = encode(
        {"ctx": ctx, "kc": commitment(ctx, rk), "to": [o.kid for o in ordered], "v": 1, "w": "hpke"}
    )
    rh = labelled("fenpost/v1/rec-head", head)
    wraps = b"".join(wrap_key(o.public, wrap_info(rh, o.kid), rk) for o in ordered)
    return MAGIC + framed(head) + framed(seal_body(rk, rh, plain)) + wraps


@dataclass(frozen=True, slots=True)
class Draft:
    """All that a sender decides before sealing. Times are Unix seconds.

    `law` is the header's law block; `payload` the printed message; `subject` a keyed per-case reference that only
    the sender can resolve; `author` the key id or role of who wrote it; `seq` the running number of this message
    between the two agencies, one for each of `to`, or nothing when the sender does not count.
    """

    sender: str
    desk: str
    to: tuple[SealedFor, ...]
    thread: str
    ts: int
    exp: int
    cls: str
    rag: str
    purpose: str
    categories: tuple[str, ...]
    law: Json
    payload: str = field(repr=False)
    subject: str = field(repr=False)
    author: str
    grant: Signed | None = None
    status: Signed | None = None
    checkpoints: tuple[str, ...] = ()
    seq: tuple[int, ...] = ()
    override: tuple[str, Signed] | None = None
    """The hash and the statement of the override that it rests on (O8)."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed upload, with the ids that the sender keeps."""

    upload: Upload
    mid: str
    eid: str


def new_id(draw: Draw) -> str:
    """16 random bytes in base64url, drawn again while they start with "-": people type ids after a command's name."""
    text = b64(draw(16))
    while text.startswith("-"):
        text = b64(draw(16))
    return text


def payload_hash(payload: str) -> str:
    """Raises Refusal NOT_CANONICAL for half a character, which has no bytes."""
    try:
        return b64(labelled("fenpost/v1/payload", payload.encode("utf-8")))
    except UnicodeEncodeError as error:
        raise Refusal("NOT_CANONICAL") from error


def status_hash(status: Signed) -> str:
    return b64(labelled("fenpost/v1/status", status.text + status.signature))


def key_commitment(mid: str, cek: bytes) -> str:
    return b64(labelled("fenpost/v1/commit", unb64(mid, 16), key=cek))


def wrap_label(hh: bytes, kid: str) -> bytes:
    """The HPKE info that binds a wrap to its whole header and its key."""
    return b"fenpost/v1/wrap\x00" + hh + unb64(kid, 32)


def record_facts(draft: Draft, mid: str) -> dict[str, Json]:
    """What the sender's audit record says; the recipient compares it with the message (S3)."""
    law = draft.law
    return {
        "att": [],
        "author": draft.author,
        "basis": {"b6": law["b6"], "b9": law["b9"], "gw": law["gw"], "s1": law["s1"]},
        "cat": list(draft.categories),
        "from": {"a": draft.sender, "d": draft.desk},
        "mid": mid,
        "ph": payload_hash(draft.payload),
        "pur": draft.purpose,
        "ref": draft.subject,
        "to": [{"a": r.agency, "d": r.desk} for r in draft.to],
        "v": 1,
    }


def seal(draft: Draft, officers: tuple[Officer, ...], signer: SigningKey, draw: Draw) -> Sealed:
    """Seal a draft into an upload (E2).

    Raises:
        Refusal: FORM when the draft does not make a valid header, NOT_CANONICAL when a text in it has no bytes,
            KEY for a malformed prekey, TOO_BIG.
    """
    mid, cek, rk = new_id(draw), draw(32), draw(32)
    record = seal_record(mid, encode(record_facts(draft, mid)), officers, rk)
    header = encode(_header(draft, mid, signer.kid, key_commitment(mid, cek), b64(record_hash(record))))
    parse_header(header)
    hh = labelled("fenpost/v1/header", header)
    wraps = tuple(wrap_key(r.public, wrap_label(hh, r.kid), cek) for r in draft.to)
    wm = b"".join(manifest_row(r.kid, w) for r, w in zip(draft.to, wraps, strict=True))
    body = seal_message(cek, hh, encode(_inner(draft, rk)))
    if len(body) > BODY_LIMIT or len(record) > RECORD_LIMIT:
        raise Refusal("TOO_BIG")
    unsigned = Envelope(header, wm, body, b"")
    envelope = Envelope(header, wm, body, sign(signer, Purpose.ENVELOPE, unsigned.transcript))
    return Sealed(Upload(envelope, wraps, record), mid, b64(envelope.eid))


def seal_message(cek: bytes, hh: bytes, inner: bytes) -> bytes:
    key = labelled("fenpost/v1/body-key", hh, key=cek)
    nonce = labelled("fenpost/v1/body-nonce", hh, key=cek, size=24)
    return aead_seal(key, nonce, hh, pad(inner))


def _header(draft: Draft, mid: str, signer: str, kc: str, ar: str) -> dict[str, Json]:
    grant = None if draft.grant is None else draft.grant.peek()["gid"]
    return {
        "ar": ar,
        "att": [],
        "cat": list(draft.categories),
        "cls": draft.cls,
        "exp": min(draft.exp, draft.ts + MAX_LIFE),
        "from": {"a": draft.sender, "d": draft.desk},
        "gid": grant,
        "kc": kc,
        "law": draft.law,
        "mid": mid,
        "ovr": None if draft.override is None else draft.override[0],
        "pur": draft.purpose,
        "rag": draft.rag,
        "signer": signer,
        "st": None if draft.status is None else status_hash(draft.status),
        "thr": draft.thread,
        "to": [{"a": r.agency, "d": r.desk, "k": r.kid} for r in draft.to],
        "ts": draft.ts,
        "v": 1,
    }


def _inner(draft: Draft, rk: bytes) -> dict[str, Json]:
    override = {} if draft.override is None else {"override": draft.override[1].to_json()}
    return {
        **override,
        "att": [],
        "cp": list(draft.checkpoints),
        "grant": None if draft.grant is None else draft.grant.to_json(),
        "p": draft.payload,
        "rk": b64(rk),
        "seq": list(draft.seq),
        "status": None if draft.status is None else draft.status.to_json(),
    }
