"""One ciphertext that opens under two keys: made here, and told apart by the commitment (PROTOCOL.md E8).

XChaCha20-Poly1305 does not commit to its key. Poly1305 is a polynomial over a prime, so with two blocks to spare one can
solve for a ciphertext that both keys authenticate. A sender could then show two recipients two texts in "one" message.
"""

import hmac
import struct

import nacl.bindings
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from schemas.errors import Refusal
from schemas.record import aead_open
from schemas.sealing import key_commitment
from tests.tools.forge import b, forge, h
from tests.tools.recipient import receive
from tests.tools.vector_envelope import NOW, delivered
from tests.tools.vector_world import BIRCH, CEDAR, LOG_KEY, directory, seed

P = 2**130 - 5
MASK = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    state = [
        0x61707865,
        0x3320646E,
        0x79622D32,
        0x6B206574,
        *struct.unpack("<8I", key),
        *struct.unpack("<4I", nonce),
    ]

    def mix(x: list[int], a: int, b: int, c: int, d: int) -> None:
        for one, two, three, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[one] = (x[one] + x[two]) & 0xFFFFFFFF
            word = x[three] ^ x[one]
            x[three] = ((word << turn) | (word >> (32 - turn))) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            mix(state, column, 4 + column, 8 + column, 12 + column)
        for n in range(4):
            mix(state, n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


def poly_key(key: bytes, nonce: bytes) -> tuple[int, int]:
    sub = hchacha20(key, nonce[:16])
    stream = (
        Cipher(algorithms.ChaCha20(sub, bytes(4) + bytes(4) + nonce[16:]), None).encryptor().update(bytes(32))
    )
    r, s = int.from_bytes(stream[:16], "little") & MASK, int.from_bytes(stream[16:], "little")
    return r, s


def blocks(aad: bytes, ciphertext: bytes) -> list[int]:
    def padded(data: bytes) -> bytes:
        return data + bytes(-len(data) % 16)

    data = padded(aad) + padded(ciphertext) + struct.pack("<QQ", len(aad), len(ciphertext))
    return [int.from_bytes(data[at : at + 16] + b"\1", "little") for at in range(0, len(data), 16)]


def collide(aad: bytes, keys: tuple[tuple[bytes, bytes], tuple[bytes, bytes]], size: int) -> bytes:
    """A ciphertext of `size` bytes with a tag that both (key, nonce) accept: its last two blocks are solved for."""
    (r1, s1), (r2, s2) = (poly_key(*pair) for pair in keys)
    front = seed("front") * (size // 32)
    for attempt in range(10_000):
        tag = int.from_bytes(h("try", attempt.to_bytes(4, "big"))[:16], "little")
        base = blocks(aad, front[: size - 32] + bytes(32))
        n = len(base)
        free = (n - 3, n - 2)  # the last block holds the lengths
        base[free[0]] = base[free[1]] = 0
        sums = [sum(block * pow(r, n - at, P) for at, block in enumerate(base)) % P for r in (r1, r2)]
        want = [((tag - s) % 2**128 - total) % P for s, total in zip((s1, s2), sums, strict=True)]
        a, c = (pow(r1, n - at, P) for at in free)
        d, e = (pow(r2, n - at, P) for at in free)
        inverse = pow((a * e - c * d) % P, -1, P)
        x, y = ((want[0] * e - want[1] * c) * inverse) % P, ((a * want[1] - d * want[0]) * inverse) % P
        if x >> 128 == y >> 128 == 1:  # each free block must be sixteen bytes and the bit above them
            last = b"".join((value - 2**128).to_bytes(16, "little") for value in (x, y))
            return front[: size - 32] + last + tag.to_bytes(16, "little")
    raise AssertionError("no collision found")


def test_one_ciphertext_opens_under_two_keys_and_one_commitment_fits():
    mid, hh = b(seed("mid")[:16]), seed("hh")
    keys = (seed("key one"), seed("key two"))
    derived = tuple(
        (h("fenpost/v1/body-key", hh, key), h("fenpost/v1/body-nonce", hh, key, 24)) for key in keys
    )
    sealed = collide(hh, derived, 4096)
    texts = [aead_open(key, nonce, hh, sealed, "CANNOT_OPEN") for key, nonce in derived]
    assert texts[0] != texts[1]
    fits = [hmac.compare_digest(key_commitment(mid, key), key_commitment(mid, keys[0])) for key in keys]
    assert fits == [True, False]


def test_the_collision_is_libsodiums_own_not_a_fault_of_the_sums_here():
    key, nonce = seed("k"), seed("n")[:24]
    sealed = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(b"text", b"aad", nonce, key)
    r, s = poly_key(key, nonce)
    total = 0
    for block in blocks(b"aad", sealed[:-16]):
        total = (total + block) * r % P
    assert ((total + s) % 2**128).to_bytes(16, "little") == sealed[-16:]


def test_a_recipient_who_is_given_the_other_key_shows_nothing():
    """Two recipients, two content keys, one commitment: one of them is refused, whatever the body would open to."""
    to = ((BIRCH, "idva"), (CEDAR, "housing"))
    honest = forge("two", to)
    receive(delivered(honest), BIRCH.id, BIRCH.prekey, directory(), LOG_KEY, NOW)
    split = forge("two", to, wrapped=lambda cek: seed("the other key"))
    with pytest.raises(Refusal, match="COMMITMENT"):
        receive(delivered(split, 1), CEDAR.id, CEDAR.prekey, directory(), LOG_KEY, NOW)
