"""Keys and key ids (PROTOCOL.md K1-K6).

Rules of this house:
- no key serves two uses, none is derived from another;
- a secret never shows itself: `str`, `repr` and format print only the key id;
- a public key is checked once, when it is registered, and refused for ever after.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, Protocol

import nacl.bindings
import nacl.signing
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey

from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import labelled

ED25519 = "ed25519"
XWING = "x-wing"
TYPE_BYTE = {ED25519: b"\x01", XWING: b"\x02"}
PUBLIC_SIZE = {ED25519: 32, XWING: 1216}
MLKEM_PUBLIC = 1184
_COEFFICIENTS = 1152
# Two coefficients of 12 bits lie in each three bytes; one of q or more, plus _TO_CARRY, reaches the thirteenth bit.
_EACH = _COEFFICIENTS // 3
_TWELVE_BITS = int.from_bytes((2**12 - 1).to_bytes(3, "little") * _EACH, "little")
_TO_CARRY = int.from_bytes((2**12 - 3329).to_bytes(3, "little") * _EACH, "little")
_CARRIED = int.from_bytes((2**12).to_bytes(3, "little") * _EACH, "little")
# The X25519 points of small order and their non-canonical spellings (RFC 7748 section 6.1, Curve25519 list).
_P = 2**255 - 19
_SMALL_ORDER = frozenset(
    (point + offset).to_bytes(32, "little")
    for point in (
        0,
        1,
        _P - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
    for offset in (0, _P)
    if point + offset < 2**255
)


class Use(StrEnum):
    """What a key is for (K1). The value is what a directory statement carries."""

    ROOT = "root"
    OP = "op"
    MSG = "msg"
    AUTH = "auth"
    PREKEY = "prekey"
    IG = "ig"
    IG_AUTH = "ig-auth"
    CONSENT = "consent"
    PERSON = "person"
    WITNESS = "witness"
    LOG = "log"
    POLICY = "policy"
    RENEW = "renew"


RUNNING = (Use.MSG, Use.AUTH, Use.CONSENT, Use.PREKEY, Use.WITNESS)
"""What a running agent uses; it renews them by itself, with its renew key."""
_DAY = 24 * 3600
LIFE = {
    Use.MSG: 90 * _DAY,
    Use.AUTH: 30 * _DAY,
    Use.CONSENT: 90 * _DAY,
    Use.PREKEY: 14 * _DAY,
    Use.WITNESS: 730 * _DAY,
    Use.IG: 365 * _DAY,
    Use.IG_AUTH: 365 * _DAY,
    Use.PERSON: 365 * _DAY,
    Use.POLICY: 730 * _DAY,
    Use.RENEW: 365 * _DAY,
}
"""How long a key of each use lives, in seconds, by K1."""
ALGORITHM = {use: XWING if use in (Use.PREKEY, Use.IG) else ED25519 for use in Use}


def kid_of(alg: str, public: bytes) -> str:
    """The key id (K2): H("fenpost/v1/kid", type || public key) in base64url, 43 characters."""
    return b64(labelled("fenpost/v1/kid", TYPE_BYTE[alg] + public))


def check_public(alg: str, public: bytes) -> None:
    """Check a public key before it is registered (K3).

    Raises:
        Refusal: KEY for a wrong length, a point off the curve or of small order, or a malformed ML-KEM key.
    """
    _check_size(alg, public)
    if alg == ED25519:
        if not nacl.bindings.crypto_core_ed25519_is_valid_point(public):
            raise Refusal("KEY")
        return
    point = public[MLKEM_PUBLIC:]
    if point[:31] + bytes([point[31] & 0x7F]) in _SMALL_ORDER:
        raise Refusal("KEY")
    _check_modulus(public)


def _check_size(alg: str, public: bytes) -> None:
    if len(public) != PUBLIC_SIZE.get(alg):
        raise Refusal("KEY")


class Shape(NamedTuple):
    """A public key that is of its right length, and whose shape is still to be checked."""

    alg: str
    public: bytes

    @classmethod
    def of(cls, alg: str, public: bytes) -> Shape:
        """Raises Refusal KEY for a wrong length: that is not put off, as what the key signs is packed by it."""
        _check_size(alg, public)
        return cls(alg, public)

    def hold(self) -> None:
        """Raises Refusal KEY as check_public."""
        check_public(self.alg, self.public)


def _check_modulus(public: bytes) -> None:
    """The modulus check of an ML-KEM-768 encapsulation key (FIPS 203 section 7.2): all coefficients are below 3329.

    The library makes it too, whenever it reads a key, and derives a matrix besides: a directory has 100,000 keys that
    nobody seals to any more.

    Raises:
        Refusal: KEY.
    """
    packed = int.from_bytes(public[:_COEFFICIENTS], "little")
    even, odd = packed & _TWELVE_BITS, (packed >> 12) & _TWELVE_BITS
    if ((even + _TO_CARRY) | (odd + _TO_CARRY)) & _CARRIED:
        raise Refusal("KEY")


class Signer(Protocol):
    """What signs as one Ed25519 key: a SigningKey out of a file, or a key that lives on a token and never leaves it."""

    @property
    def kid(self) -> str: ...

    @property
    def public(self) -> bytes: ...

    def sign_bytes(self, data: bytes) -> bytes:
        """64 bytes; raises Refusal TOKEN when the token does not sign."""


class SigningKey:
    """An Ed25519 signing key (RFC 8032) that masks itself."""

    __slots__ = ("_key", "kid", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise Refusal("KEY")
        self._key = nacl.signing.SigningKey(seed)
        self.public = bytes(self._key.verify_key)
        self.kid = kid_of(ED25519, self.public)

    def sign_bytes(self, data: bytes) -> bytes:
        """64 bytes; call schemas.signing.sign instead, which names the purpose."""
        return self._key.sign(data).signature

    def seed(self) -> bytes:
        """The 32 secret bytes, for a key file only."""
        return bytes(self._key)

    def __repr__(self) -> str:
        return f"SigningKey({self.kid})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("secrets are not pickled")


class OpeningKey:
    """A hybrid ML-KEM-768 + X25519 private key, kept as its 32-byte X-Wing seed (K4), that masks itself."""

    __slots__ = ("_seed", "kid", "private", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise Refusal("KEY")
        expanded = hashlib.shake_256(seed).digest(96)
        kem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        curve = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._seed = seed
        self.private = MLKEM768X25519PrivateKey(kem, curve)
        self.public = kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        self.kid = kid_of(XWING, self.public)

    def seed(self) -> bytes:
        """The 32 secret bytes, for a key file only."""
        return self._seed

    def __repr__(self) -> str:
        return f"OpeningKey({self.kid})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("secrets are not pickled")


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key with its algorithm; `kid` names it everywhere."""

    alg: str
    raw: bytes

    @property
    def kid(self) -> str:
        return kid_of(self.alg, self.raw)


@lru_cache(maxsize=1024)  # 7 KiB each
def hybrid_public(public: bytes) -> MLKEM768X25519PublicKey:
    """The 1184 + 32 bytes of an X-Wing public key as the library's object.

    Raises:
        Refusal: KEY.
    """
    if len(public) != PUBLIC_SIZE[XWING]:
        raise Refusal("KEY")
    try:
        kem = MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC])
        curve = X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC:])
    except ValueError as error:
        raise Refusal("KEY") from error
    return MLKEM768X25519PublicKey(kem, curve)
