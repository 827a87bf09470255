"""Where a signing key is that lives on a PKCS#11 token (PROTOCOL.md K18): what a key file holds in place of its secret.

Nothing here is secret: the key itself never leaves the token, and the PIN that opens it is in no file of Fenpost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.canonical import Json, b64, unb64
from schemas.errors import Refusal
from schemas.keys import ED25519, Signer, SigningKey, check_public, kid_of

FIELDS = frozenset({"id", "label", "module", "pub", "serial"})
LONGEST = 1024


@dataclass(frozen=True, slots=True)
class TokenPlace:
    """A key on a token.

    `module` is the path of the token's PKCS#11 library, `label` and `serial` are the token's, `id` is the key's CKA_ID
    in hex, and `public` are the 32 bytes that the key must prove to be.
    """

    module: str
    label: str
    serial: str
    id: str
    public: bytes

    @property
    def kid(self) -> str:
        return kid_of(ED25519, self.public)

    def to_json(self) -> dict[str, Json]:
        return {
            "id": self.id,
            "label": self.label,
            "module": self.module,
            "pub": b64(self.public),
            "serial": self.serial,
        }

    @classmethod
    def from_json(cls, value: Json) -> TokenPlace:
        """Raises Refusal KEYFILE, KEY."""
        if not isinstance(value, dict) or set(value) != FIELDS:
            raise Refusal("KEYFILE")
        if any(not isinstance(text, str) or len(text) > LONGEST for text in value.values()):
            raise Refusal("KEYFILE")
        public = unb64(value["pub"], 32)
        check_public(ED25519, public)
        return cls(value["module"], value["label"], value["serial"], value["id"], public)


Sign = Callable[[TokenPlace, bytes], bytes]
"""How a program has a token sign bytes: 64 bytes, or Refusal TOKEN. agent.tokens has one."""


def tokenless(place: TokenPlace, data: bytes) -> bytes:
    """For programs that reach no token. Raises Refusal TOKEN always."""
    del place, data
    raise Refusal("TOKEN", "This key is on a token, and this command works without one. Use a key in a file.")


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A Signer whose secret is on a token. Nothing is asked of the token before something is to be signed."""

    place: TokenPlace
    sign: Sign = tokenless

    @property
    def kid(self) -> str:
        return self.place.kid

    @property
    def public(self) -> bytes:
        return self.place.public

    def sign_bytes(self, data: bytes) -> bytes:
        """64 bytes. Raises Refusal TOKEN."""
        return self.sign(self.place, data)


def signer_of(value: Json, sign: Sign) -> Signer:
    """A key file's signing key: a seed, or a place on a token. Raises Refusal KEYFILE, KEY, FORM."""
    return (
        TokenKey(TokenPlace.from_json(value), sign)
        if isinstance(value, dict)
        else SigningKey(unb64(value, 32))
    )


def held(key: Signer) -> Json:
    """What a key file holds of a signing key: its seed, or its place on a token."""
    if isinstance(key, TokenKey):
        return key.place.to_json()
    if isinstance(key, SigningKey):
        return b64(key.seed())
    raise TypeError("a key that is neither in a file nor on a token")
