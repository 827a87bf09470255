"""Signing with a key that lives on a PKCS#11 token (PROTOCOL.md K18). Needs the extra `token`.

Rules of this house:
- the key never leaves the token; the PIN is asked for, or read from a file of its owner's, and never written anywhere;
- what the token gives is verified under the public key that the key file names, before anybody uses it;
- each thing that can be wrong with a token has its own sentence. A token that is asked too often with a wrong PIN locks
  itself: so a wrong one is never tried twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import nacl.exceptions
import nacl.signing

from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.token_place import TokenPlace

if TYPE_CHECKING:
    import pkcs11

EDWARDS25519 = bytes.fromhex("06032b6570")
"""DER of id-Ed25519 (RFC 8410), as PKCS#11's CKA_EC_PARAMS."""
POINT = b"\x04\x20"
"""DER of an octet string of 32 bytes: what CKA_EC_POINT begins with."""
SAYS = {
    "NoSuchToken": "The token is not there. Put it in, and try again.",
    "TokenNotPresent": "The token is not there. Put it in, and try again.",
    "TokenNotRecognised": "What is put in is not a token that this library knows. Check which one it is.",
    "DeviceRemoved": "The token was taken out. Nothing was signed. Put it in, and try again.",
    "PinIncorrect": "That is not the token's PIN. It is not tried again: too many wrong ones lock the token.",
    "PinInvalid": "That is not a PIN that this token could have. Nothing was tried.",
    "PinLenRange": "That is not a PIN that this token could have: it is too short or too long.",
    "PinLocked": "The token is locked after too many wrong PINs. Whoever has its SO-PIN can unlock it.",
    "PinExpired": "The token's PIN has expired. Set a new one with the token's own program.",
    "UserPinNotInitialized": "The token has no PIN yet. Set one with the token's own program.",
    "NoSuchKey": "The token does not have this key. Check that it is the right token.",
    "MultipleObjectsReturned": "The token has two keys under one id. Remove the wrong one with its own program.",
    "MultipleTokensReturned": "Two tokens answer to that name. Take one of them out.",
    "MechanismInvalid": "This token cannot sign with Ed25519. Use another one.",
    "TokenWriteProtected": "The token does not take a new key: it is write-protected.",
    "DeviceMemory": "The token has no room for another key.",
}
LABEL = "fenpost"
GONE = "The token stopped answering. Nothing was signed. Put it in again, and try again."


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs with tokens. `pin` gives a token's PIN, and is told what the token calls itself."""

    pin: Callable[[str], str] = field(repr=False)

    def sign(self, place: TokenPlace, data: bytes) -> bytes:
        """64 bytes of Ed25519, verified. Raises Refusal TOKEN."""
        with self._session(place.module, place.label, place.serial) as session:
            from pkcs11 import Mechanism, ObjectClass

            # The library's types say that not every key signs; that of a found private key is known only when it runs.
            key: Any = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=bytes.fromhex(place.id))
            signature = bytes(key.sign(data, mechanism=Mechanism.EDDSA))
        try:
            nacl.signing.VerifyKey(place.public).verify(data, signature)
        except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError) as error:
            raise Refusal(
                "TOKEN", "The token signed with another key than this file names. Check which one it is."
            ) from error
        return signature

    def make(self, module: str, label: str, name: bytes) -> TokenPlace:
        """A new key in the token, made there. `name` becomes its CKA_ID. Raises Refusal TOKEN, EXISTS."""
        with self._session(module, label, None, write=True) as session:
            from pkcs11 import Attribute, KeyType, Mechanism

            _check_free(session, name)
            curve = session.create_domain_parameters(
                KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: EDWARDS25519}, local=True
            )
            public, _ = curve.generate_keypair(
                mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                store=True,
                id=name,
                label=LABEL,
                private_template=_hidden(),
            )
            point = bytes(public[Attribute.EC_POINT]).removeprefix(POINT)
            serial = session.token.serial.decode("ascii", "replace")
        return TokenPlace(module, label, serial, name.hex(), point)

    def take(self, module: str, label: str, name: bytes, key: SigningKey) -> TokenPlace:
        """Put a key that was in a file into the token, and never out again. Raises Refusal TOKEN, EXISTS."""
        with self._session(module, label, None, write=True) as session:
            from pkcs11 import Attribute, KeyType, ObjectClass

            _check_free(session, name)
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.PRIVATE_KEY,
                    Attribute.KEY_TYPE: KeyType.EC_EDWARDS,
                    Attribute.TOKEN: True,
                    Attribute.SIGN: True,
                    Attribute.ID: name,
                    Attribute.LABEL: LABEL,
                    Attribute.EC_PARAMS: EDWARDS25519,
                    Attribute.VALUE: key.seed(),
                    **_hidden(),
                }
            )
            serial = session.token.serial.decode("ascii", "replace")
        return TokenPlace(module, label, serial, name.hex(), key.public)

    @contextmanager
    def _session(
        self, module: str, label: str, serial: str | None, *, write: bool = False
    ) -> Iterator[pkcs11.Session]:
        try:
            import pkcs11
            from pkcs11.exceptions import PKCS11Error
        except ImportError:
            raise Refusal(
                "TOKEN", "Nothing here speaks to tokens. Install Fenpost with its extra 'token'."
            ) from None
        try:
            token = _library(pkcs11, module).get_token(
                token_label=label, **({} if serial is None else {"token_serial": serial.encode("ascii")})
            )
            with token.open(user_pin=self.pin(label), rw=write) as session:
                yield session
        except PKCS11Error as error:
            raise Refusal("TOKEN", SAYS.get(type(error).__name__, GONE)) from error


def _hidden() -> dict[Any, bool]:
    from pkcs11 import Attribute

    return {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True}


def _check_free(session: pkcs11.Session, name: bytes) -> None:
    from pkcs11 import Attribute, ObjectClass

    if list(session.get_objects({Attribute.ID: name, Attribute.CLASS: ObjectClass.PRIVATE_KEY})):
        raise Refusal("EXISTS", "The token has a key under this name already. Nothing was changed.")


def _library(pkcs11: Any, module: str) -> Any:
    try:
        library = pkcs11.lib(module)
        library.reinitialize()  # tokens that were put in since it was loaded are found only so
    except (pkcs11.exceptions.PKCS11Error, RuntimeError) as error:
        raise Refusal(
            "TOKEN", "The token's library cannot be loaded. Install it, or check its path."
        ) from error
    return library
