"""Signatures, each bound to one purpose (PROTOCOL.md K7).

A signature covers purpose || 0x00 || data. Verification returns the verified value or raises; it never answers
with a bool. Verification is libsodium's (through PyNaCl), which refuses small-order keys and malleable signatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import nacl.exceptions
import nacl.signing

from schemas.canonical import Json, b64, decode, encode, unb64
from schemas.errors import Refusal
from schemas.keys import Signer

STATEMENT_LIMIT = 16 * 1024
PUBLIC_SIZE, SIGNATURE_SIZE = 32, 64


class Purpose(StrEnum):
    """Everything that Fenpost signs, in one list."""

    ENVELOPE = "fenpost/v1/envelope"
    RECEIPT = "fenpost/v1/receipt"
    DIRECTORY = "fenpost/v1/dir"
    GRANT = "fenpost/v1/grant"
    STATUS = "fenpost/v1/grant-status"
    WITHDRAW = "fenpost/v1/withdraw"
    NOTICE = "fenpost/v1/notice"
    FRESH = "fenpost/v1/fresh"
    PARTNERSHIP = "fenpost/v1/partnership"
    ENROLMENT = "fenpost/v1/enrolment"
    MINUTES = "fenpost/v1/minutes"
    INVITED = "fenpost/v1/invited"
    OVERRIDE_REQUEST = "fenpost/v1/override-request"
    OVERRIDE_AUTHORISE = "fenpost/v1/override-authorise"
    RECALLED = "fenpost/v1/recalled"
    POLICY = "fenpost/v1/policy-signature"
    NONDISCLOSURE = "fenpost/v1/nondisclosure"
    UNSEALED = "fenpost/v1/unsealed"
    HANDOVER_GIVE = "fenpost/v1/handover-give"
    HANDOVER_TAKE = "fenpost/v1/handover-take"
    EVIDENCE = "fenpost/v1/evidence"
    RETENTION = "fenpost/v1/retention-signature"
    HOLD = "fenpost/v1/hold"
    LIFT = "fenpost/v1/lift"
    LOSS = "fenpost/v1/loss"
    LOSS_ACCEPTED = "fenpost/v1/loss-accepted"
    ROTATE_ROOT = "fenpost/v1/rotate-root"
    EMERGENCY_REVOKE = "fenpost/v1/emergency-revoke"


def sign(key: Signer, purpose: Purpose, data: bytes) -> bytes:
    """64 bytes of Ed25519 over purpose || 0x00 || data."""
    return key.sign_bytes(purpose.encode("ascii") + b"\x00" + data)


class Check(NamedTuple):
    """A signature that is still to be checked: the public key, the bytes that it covers, the signature."""

    public: bytes
    covered: bytes
    signature: bytes

    @classmethod
    def of(cls, public: bytes, purpose: Purpose, data: bytes, signature: bytes) -> Check:
        return cls(public, purpose.encode("ascii") + b"\x00" + data, signature)

    def hold(self) -> None:
        """Raises Refusal SIGNATURE unless it holds."""
        try:
            nacl.signing.VerifyKey(self.public).verify(self.covered, self.signature)
        except (
            nacl.exceptions.BadSignatureError,
            nacl.exceptions.ValueError,
            nacl.exceptions.TypeError,
        ) as error:
            raise Refusal("SIGNATURE") from error


def verify(public: bytes, purpose: Purpose, data: bytes, signature: bytes) -> bytes:
    """Return `data`, now verified.

    Raises:
        Refusal: SIGNATURE.
    """
    Check.of(public, purpose, data, signature).hold()
    return data


@dataclass(frozen=True, slots=True)
class Signed:
    """A clear signed statement as it travels: its canonical text, carried verbatim, and one signature (F7)."""

    text: bytes
    signature: bytes

    @classmethod
    def make(cls, key: Signer, purpose: Purpose, value: Json) -> Signed:
        text = encode(value)
        return cls(text, sign(key, purpose, text))

    def verified(self, public: bytes, purpose: Purpose) -> bytes:
        """The text, once the signature holds; raises Refusal SIGNATURE."""
        return verify(public, purpose, self.text, self.signature)

    def peek(self) -> Json:
        """The value as claimed, not verified: only to learn whose key to verify with."""
        return decode(self.text, STATEMENT_LIMIT)

    def to_json(self) -> dict[str, str]:
        return {"s": b64(self.signature), "t": self.text.decode("ascii")}

    @classmethod
    def from_json(cls, value: Json) -> Signed:
        """Raises Refusal FORM unless `value` is exactly {"s": signature, "t": canonical text}."""
        if not isinstance(value, dict) or set(value) != {"s", "t"}:
            raise Refusal("FORM")
        text, signature = value["t"], value["s"]
        if not isinstance(text, str) or not isinstance(signature, str):
            raise Refusal("FORM")
        return cls.carried(text, signature)

    @classmethod
    def carried(cls, text: str, signature: str) -> Signed:
        """What these two strings of JSON carry. Raises Refusal FORM, TOO_BIG."""
        if not text.isascii():
            raise Refusal("FORM")
        if len(text) > STATEMENT_LIMIT:
            raise Refusal("TOO_BIG")
        return cls(text.encode("ascii"), unb64(signature, SIGNATURE_SIZE))
