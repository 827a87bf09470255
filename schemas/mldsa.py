"""ML-DSA-44 (FIPS 204): the log's second signature, which a quantum computer does not forge (PROTOCOL.md L17).

One signature takes about a millisecond, so it is never made for each turn of the relay.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import labelled

MLDSA_TYPE = b"\x06"
MLDSA_PUBLIC = 1312
MLDSA_SIGNATURE = 2420


class MldsaKey:
    """An ML-DSA-44 signing key, kept as its 32-byte seed, that masks itself (K5).

    Raises:
        Refusal: KEY for a seed of another length; SELF_TEST where the installed library cannot do it.
    """

    __slots__ = ("_key", "_seed", "kid", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise Refusal("KEY")
        try:
            self._key = MLDSA44PrivateKey.from_seed_bytes(seed)
        except UnsupportedAlgorithm as error:
            raise Refusal("SELF_TEST") from error
        self._seed = seed
        self.public = self._key.public_key().public_bytes_raw()
        self.kid = b64(labelled("fenpost/v1/kid", MLDSA_TYPE + self.public))

    def sign_bytes(self, data: bytes) -> bytes:
        """2420 bytes, with fresh randomness in them; the library lets other threads run meanwhile."""
        return self._key.sign(data)

    def seed(self) -> bytes:
        """The 32 secret bytes, for a key file only."""
        return self._seed

    def __repr__(self) -> str:
        return f"MldsaKey({self.kid})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("secrets are not pickled")


def verify_mldsa(public: bytes, data: bytes, signature: bytes) -> None:
    """Raises Refusal SIGNATURE, KEY, SELF_TEST."""
    try:
        _public(public).verify(signature, data)
    except InvalidSignature as error:
        raise Refusal("SIGNATURE") from error


@lru_cache(maxsize=16)
def _public(public: bytes) -> MLDSA44PublicKey:
    try:
        return MLDSA44PublicKey.from_public_bytes(public)
    except ValueError as error:
        raise Refusal("KEY") from error
    except UnsupportedAlgorithm as error:
        raise Refusal("SELF_TEST") from error
