"""Opening: what only a holder of private keys can do (PROTOCOL.md E9-E12, S4, S6).

The relay may not import this module; an import contract holds it to that.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag

from schemas.canonical import Json, decode, unb64
from schemas.envelope import BODY_LIMIT, Delivery, Envelope, wrap_hash
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import OpeningKey
from schemas.padding import RECORD_SMALLEST, unpad
from schemas.record import SealedRecord, aead_open, epoch_info, wrap_info
from schemas.record_sealing import BODY_LIMIT as RECORD_BODY_LIMIT
from schemas.record_sealing import commitment, epoch_tag, veil_keys
from schemas.sealing import SUITE, Draw, key_commitment, payload_hash, wrap_key, wrap_label
from schemas.sealing import self_test as sealing_test
from schemas.signing import Signed

GOSSIP = 4
"""Checkpoints in a message: the newest two of each log (L16)."""
INNER = frozenset({"att", "cp", "grant", "p", "rk", "seq", "status"})
"""The members of an inner message; one that rests on an override has that too."""


def unwrap_key(key: OpeningKey, info: bytes, wrapped: bytes) -> bytes:
    """The 32 secret bytes of a wrap.

    Raises:
        Refusal: CANNOT_OPEN.
    """
    try:
        secret = SUITE.decrypt(wrapped, key.private, info)
    except (InvalidTag, ValueError) as error:
        raise Refusal("CANNOT_OPEN") from error
    if len(secret) != 32:
        raise Refusal("CANNOT_OPEN")
    return secret


def self_test(draw: Draw) -> None:
    """Prove at start that this machine can wrap and unwrap (K6). Raises Refusal SELF_TEST."""
    sealing_test(draw)
    key, secret, info = OpeningKey(draw(32)), draw(32), b"fenpost/v1/self-test"
    try:
        opened = unwrap_key(key, info, wrap_key(key.public, info, secret))
    except Refusal as error:
        raise Refusal("SELF_TEST") from error
    if opened != secret:
        raise Refusal("SELF_TEST")


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened message: its payload text, the sender's record, and what travelled beside it."""

    payload: str = field(repr=False)
    facts: dict[str, Any] = field(repr=False)
    grant: Signed | None
    status: Signed | None
    checkpoints: tuple[str, ...]
    seq: tuple[int, ...]
    override: Signed | None = None


def open_delivery(delivery: Delivery, key: OpeningKey) -> Opened:
    """Open a delivery with the prekey that its wrap names (E10, E11; recipient rules 6 and 7).

    Raises:
        Refusal: CANNOT_OPEN, COMMITMENT, PADDING, FORM, RECORD, RECORD_DIFFERS.
    """
    envelope = delivery.envelope
    cek = unwrap_key(key, wrap_label(envelope.hh, key.kid), delivery.wrap)
    if not hmac.compare_digest(key_commitment(envelope.header.mid, cek), envelope.header.kc):
        raise Refusal("COMMITMENT")
    inner = _inner(envelope, cek)
    record = SealedRecord.parse(delivery.record)
    if record.head.w != "hpke":  # wraps that no officer could open
        raise Refusal("RECORD")
    facts = open_record(record, unb64(inner["rk"], 32), envelope.header.mid)
    check_facts(envelope, facts, inner["p"])
    return Opened(
        payload=inner["p"],
        facts=facts,
        grant=_signed(inner["grant"]),
        status=_signed(inner["status"]),
        checkpoints=tuple(inner["cp"]),
        seq=tuple(inner["seq"]),
        override=_signed(inner.get("override")),
    )


def open_record(record: SealedRecord, rk: bytes, ctx: str) -> dict[str, Any]:
    """The facts of a sealed record, opened with its key (S4).

    Raises:
        Refusal: RECORD when the key is not the committed one, the context differs, or it does not open.
    """
    if record.head.ctx != ctx or not hmac.compare_digest(commitment(ctx, rk), record.head.kc):
        raise Refusal("RECORD")
    rh = record.rh
    key = labelled("fenpost/v1/rec-key", rh, key=rk)
    nonce = labelled("fenpost/v1/rec-nonce", rh, key=rk, size=24)
    try:
        facts = decode(
            unpad(aead_open(key, nonce, rh, record.body, "RECORD"), RECORD_SMALLEST), RECORD_BODY_LIMIT
        )
    except Refusal as error:
        raise Refusal("RECORD") from error
    if not isinstance(facts, dict):
        raise Refusal("RECORD")
    return facts


def record_key(record: SealedRecord, keys: Iterable[OpeningKey]) -> bytes:
    """The record key of a sender's record, by an officer's key. Raises Refusal RECORD when none of `keys` fits."""
    rh = record.rh
    for key in keys:
        if record.head.w == "hpke" and key.kid in record.head.to:
            wrapped = record.wraps[record.head.to.index(key.kid)]
            return unwrap_key(key, wrap_info(rh, key.kid), wrapped)
    raise Refusal("RECORD", "This record is not sealed to any key held here.")


def epoch_record_key(record: SealedRecord, epoch_key: bytes) -> bytes | None:
    """The record key of a relay's record, or None when this epoch key is not among its wraps (S6)."""
    tag = epoch_tag(record.head.ctx.encode("ascii"), epoch_key)
    if record.head.w != "epoch" or tag not in record.head.to:
        return None
    nonce = labelled("fenpost/v1/epoch-nonce", record.rh, key=epoch_key, size=24)
    return aead_open(epoch_key, nonce, record.rh, record.wraps[record.head.to.index(tag)], "RECORD")


def open_epoch(epoch_id: bytes, wrapped: bytes, key: OpeningKey) -> bytes:
    """The 32-byte epoch key of an epoch object wrapped to this officer."""
    return unwrap_key(key, epoch_info(epoch_id, key.kid), wrapped)


def unveil_record(veiled: bytes, tag: bytes, rk: bytes) -> bytes:
    """The sender's sealed record out of a log's veil (S7), by the key of the relay's record of the same leaf.

    Raises:
        Refusal: RECORD.
    """
    key, nonce = veil_keys(tag, rk)
    return aead_open(key, nonce, tag, veiled, "RECORD")


def check_facts(envelope: Envelope, facts: dict[str, Any], payload: str) -> None:
    """Raises Refusal RECORD_DIFFERS unless the sender's record says what the message says (recipient rule 7)."""
    header = envelope.header
    expected: Json = {
        "v": 1,
        "att": [],
        "mid": header.mid,
        "to": [{"a": r.a, "d": r.d} for r in header.to],
        "from": {"a": header.sender.a, "d": header.sender.d},
        "cat": list(header.cat),
        "pur": header.pur,
        "ph": payload_hash(payload),
        "basis": {
            "b6": header.law.b6,
            "b9": header.law.b9,
            "gw": list(header.law.gw),
            "s1": list(header.law.s1),
        },
    }
    texts = [facts.get("author"), facts.get("ref")]
    if set(facts) != {*expected, "author", "ref"} or not all(isinstance(text, str) for text in texts):
        raise Refusal("RECORD_DIFFERS")
    if any(facts[name] != value for name, value in expected.items()):
        raise Refusal("RECORD_DIFFERS")


def _inner(envelope: Envelope, cek: bytes) -> dict[str, Any]:
    key = labelled("fenpost/v1/body-key", envelope.hh, key=cek)
    nonce = labelled("fenpost/v1/body-nonce", envelope.hh, key=cek, size=24)
    inner = decode(unpad(aead_open(key, nonce, envelope.hh, envelope.body, "CANNOT_OPEN")), BODY_LIMIT)
    if not isinstance(inner, dict) or set(inner) != INNER | ({"override"} if envelope.header.ovr else set()):
        raise Refusal("FORM")
    if not isinstance(inner["p"], str) or not isinstance(inner["rk"], str):
        raise Refusal("FORM")
    if not isinstance(inner["cp"], list) or not all(isinstance(note, str) for note in inner["cp"][:GOSSIP]):
        raise Refusal("FORM")
    if len(inner["cp"]) > GOSSIP or inner["att"] != []:
        raise Refusal("FORM")
    _check_sequence(inner["seq"], len(envelope.header.to))
    return inner


def _check_sequence(numbers: Json, recipients: int) -> None:
    if not isinstance(numbers, list) or len(numbers) not in (0, recipients):
        raise Refusal("FORM")
    if any(type(number) is not int or number < 1 for number in numbers):
        raise Refusal("FORM")


def _signed(value: Json) -> Signed | None:
    return None if value is None else Signed.from_json(value)


def own_row(delivery: Delivery, held: Iterable[str]) -> int:
    """The position of the recipient row that this delivery's wrap belongs to (recipient rule 3).

    Raises:
        Refusal: NOT_FOR_US when no row names a key in `held`, WRAPS when the wrap is not the one in the manifest.
    """
    mine = set(held)
    rows = [(at, digest) for at, (kid, digest) in enumerate(delivery.envelope.manifest()) if kid in mine]
    if not rows:
        raise Refusal("NOT_FOR_US")
    for position, digest in rows:
        if digest == wrap_hash(delivery.wrap):
            return position
    raise Refusal("WRAPS")
