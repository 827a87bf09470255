"""Keys of entries, sealed from one officer to another of her agency (PROTOCOL.md U5). Pure.

`secrets` of epochs are keys, or under dual control shares of them; which it is shows in what they open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.canonical import unb64
from schemas.errors import Refusal
from schemas.hashing import Frames, labelled
from schemas.keys import OpeningKey
from schemas.opening import unwrap_key
from schemas.record import aead_open
from schemas.record_sealing import aead_seal
from schemas.sealing import Draw, wrap_key

MAGIC = b"FPH1"
WRAP = 1168
SECRET = 32
NOT_HERS = "This package was not sealed to your key, or it was damaged on its way. Ask for it again."


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys that were passed on: of epochs (id, first entry, secret) and of senders' records (entry, key)."""

    epochs: tuple[tuple[bytes, int, bytes], ...] = field(default=(), repr=False)
    senders: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)

    def to_bytes(self) -> bytes:
        parts = [len(self.epochs).to_bytes(4, "big")]
        parts += [id_ + first.to_bytes(8, "big") + secret for id_, first, secret in self.epochs]
        parts += [index.to_bytes(8, "big") + secret for index, secret in self.senders]
        return b"".join(parts)

    @classmethod
    def parse(cls, data: bytes) -> Keyring:
        """Raises Refusal FORM."""
        frames = Frames(data)
        count = int.from_bytes(frames.take(4), "big")
        if 4 + count * (2 * SECRET + 8) > len(data):
            raise Refusal("FORM")
        epochs = tuple(
            (frames.take(32), int.from_bytes(frames.take(8), "big"), frames.take(SECRET))
            for _ in range(count)
        )
        rest = len(data) - 4 - count * (2 * SECRET + 8)
        if rest % (8 + SECRET):
            raise Refusal("FORM")
        senders = tuple(
            (int.from_bytes(frames.take(8), "big"), frames.take(SECRET)) for _ in range(rest // (8 + SECRET))
        )
        return cls(epochs, senders)


def seal_package(ring: Keyring, hid: str, kid: str, public: bytes, draw: Draw) -> bytes:
    """The package for the officer whose opening key is `public`; `hid` is the handover's id."""
    hk = draw(32)
    wrapped = wrap_key(public, _info(hid, kid), hk)
    return MAGIC + wrapped + aead_seal(hk, _nonce(hid, hk), unb64(hid, 16), ring.to_bytes())


def open_package(package: bytes, hid: str, key: OpeningKey) -> Keyring:
    """What was passed on. Raises Refusal RECORD."""
    try:
        frames = Frames(package)
        if frames.take(4) != MAGIC:
            raise Refusal("FORM")
        hk = unwrap_key(key, _info(hid, key.kid), frames.take(WRAP))
        sealed = frames.take(len(package) - 4 - WRAP)
        return Keyring.parse(aead_open(hk, _nonce(hid, hk), unb64(hid, 16), sealed, "RECORD"))
    except Refusal as refusal:
        raise Refusal("RECORD", NOT_HERS) from refusal


def combined(secrets: list[bytes]) -> Iterator[bytes]:
    """Each secret as it is, for it may be a key; then each two together, for they may be its shares."""
    yield from secrets
    for at, one in enumerate(secrets):
        for other in secrets[:at]:
            yield bytes(a ^ b for a, b in zip(one, other, strict=True))


def _info(hid: str, kid: str) -> bytes:
    return b"fenpost/v1/handover-wrap\x00" + unb64(hid, 16) + unb64(kid, 32)


def _nonce(hid: str, hk: bytes) -> bytes:
    return labelled("fenpost/v1/handover-nonce", unb64(hid, 16), key=hk, size=24)
