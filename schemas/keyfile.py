"""Key files: secrets at rest (PROTOCOL.md K17).

"FPK1" || L32(head) || nonce || XChaCha20-Poly1305(argon2id(passphrase, salt), aad = head). The head is clear:
version, what the file holds, salt and argon2id cost. Reading and writing files is for the programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import nacl.exceptions
import nacl.pwhash.argon2id
from pydantic import Field, ValidationError

from schemas.canonical import Json, b64, decode, encode, unb64
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.hashing import Frames, framed, labelled
from schemas.record import aead_open
from schemas.record_sealing import aead_seal

MAGIC = b"FPK1"
LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """argon2id's passes and memory in bytes (RFC 9106)."""

    ops: int
    mem: int


MODERATE = Cost(nacl.pwhash.argon2id.OPSLIMIT_MODERATE, nacl.pwhash.argon2id.MEMLIMIT_MODERATE)
"""256 MiB and three passes: about a second on a small machine."""
QUICK = Cost(nacl.pwhash.argon2id.OPSLIMIT_MIN, nacl.pwhash.argon2id.MEMLIMIT_MIN)
"""Only for tests and the demonstration."""


class Head(Frozen):
    v: Annotated[int, Field(ge=1, le=1)]
    holds: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    salt: str
    # Read before anything is authenticated: a hostile file must not cost more than a second or two and 1 GiB.
    ops: Annotated[int, Field(ge=1, le=8)]
    mem: Annotated[int, Field(ge=8192, le=2**30)]


def lock(secrets: Json, holds: str, passphrase: bytes, cost: Cost, draw: Callable[[int], bytes]) -> bytes:
    """The bytes of a key file that holds `secrets` (a canonical JSON value)."""
    if not passphrase:
        raise Refusal("KEYFILE", "The passphrase is empty. Choose one of at least four words.")
    salt = draw(nacl.pwhash.argon2id.SALTBYTES)
    head = encode({"holds": holds, "mem": cost.mem, "ops": cost.ops, "salt": b64(salt), "v": 1})
    nonce = draw(24)
    key = nacl.pwhash.argon2id.kdf(32, passphrase, salt, opslimit=cost.ops, memlimit=cost.mem)
    return MAGIC + framed(head) + nonce + aead_seal(key, nonce, head, encode(secrets))


def backup_digest(head: bytes) -> str:
    """H("fenpost/v1/backup", head of a backup): what its inside confirms of its outside (K18)."""
    return b64(labelled("fenpost/v1/backup", head))


def claimed(data: bytes) -> str:
    """What a key file says that it holds: true once it has opened. Raises Refusal KEYFILE."""
    try:
        return _head(data)[1].holds
    except (Refusal, ValidationError) as error:
        raise Refusal("KEYFILE") from error


def cost_of(data: bytes) -> Cost:
    """What a key file costs to open, to lock its successor alike. Raises Refusal KEYFILE."""
    try:
        head = _head(data)[1]
    except (Refusal, ValidationError) as error:
        raise Refusal("KEYFILE") from error
    return Cost(head.ops, head.mem)


def unlock(data: bytes, holds: str, passphrase: bytes) -> Json:
    """What a key file holds. A wrong passphrase and a changed byte get the same answer.

    Raises:
        Refusal: KEYFILE.
    """
    try:
        head_bytes, head = _head(data)
        start = 4 + 4 + len(head_bytes)
        nonce, sealed = data[start : start + 24], data[start + 24 :]
        if len(nonce) != 24:
            raise Refusal("FORM")
        salt = unb64(head.salt, nacl.pwhash.argon2id.SALTBYTES)
        key = nacl.pwhash.argon2id.kdf(32, passphrase, salt, opslimit=head.ops, memlimit=head.mem)
        if head.holds != holds:
            raise Refusal("FORM")
        return decode(aead_open(key, nonce, head_bytes, sealed, "KEYFILE"), LIMIT)
    except (Refusal, ValidationError, nacl.exceptions.CryptoError) as error:
        raise Refusal("KEYFILE") from error


def _head(data: bytes) -> tuple[bytes, Head]:
    frames = Frames(data)
    if len(data) > LIMIT or frames.take(4) != MAGIC:
        raise Refusal("FORM")
    found = frames.frame(4096)
    decode(found, 4096)
    return found, Head.model_validate_json(found)
