"""Keys: what is refused at registration, what verifies, and secrets that never show themselves."""

import copy
import json
import pickle
import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
import structlog
from cryptography.exceptions import UnsupportedAlgorithm

from schemas import opening, sealing
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keyring import AdminKeys, AgentKeys, OfficerKeys, Prekey, RelayKeys
from schemas.keys import (
    ED25519,
    XWING,
    OpeningKey,
    PublicKey,
    SigningKey,
    check_public,
    hybrid_public,
    kid_of,
)
from schemas.mldsa import MldsaKey
from schemas.opening import unwrap_key
from schemas.sealing import Draft, SealedFor, wrap_key
from schemas.signing import Purpose, sign, verify
from tests.tools.vector_world import ALDER, BIRCH, T0, seed

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
# Every encoding of a point of small order on edwards25519: the eight, and the spellings that are not reduced.
SMALL_ORDER = [
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
]
# X25519's: 0, 1, p-1, two of order eight, and 0 and 1 again unreduced; each also with the ignored top bit.
SMALL_U = [
    value.to_bytes(32, "little")
    for value in (
        0, 1, P - 1, P, P + 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    )
]  # fmt: skip


def top_bit(u: bytes) -> bytes:
    return u[:31] + bytes([u[31] | 0x80])


# --- registration


@pytest.mark.parametrize("public", SMALL_ORDER, ids=lambda p: p.hex()[:8] + p.hex()[-2:])
def test_a_signing_key_of_small_order_is_refused(public: bytes):
    with pytest.raises(Refusal, match="KEY"):
        check_public(ED25519, public)


@pytest.mark.parametrize("public", SMALL_ORDER, ids=lambda p: p.hex()[:8] + p.hex()[-2:])
def test_a_signature_under_a_key_of_small_order_is_refused(public: bytes):
    """With such a key, R = the key and S = 0 satisfy the equation for one message in eight."""
    for n in range(16):
        for r in SMALL_ORDER[:4]:
            with pytest.raises(Refusal, match="SIGNATURE"):
                verify(public, Purpose.GRANT, str(n).encode(), r + bytes(32))


@pytest.mark.parametrize(
    "u", SMALL_U + [top_bit(u) for u in SMALL_U], ids=lambda u: u.hex()[:6] + u.hex()[-2:]
)
def test_a_prekey_whose_curve_half_is_of_small_order_is_refused(u: bytes):
    public = BIRCH.prekey.public[:1184] + u
    with pytest.raises(Refusal, match="KEY"):
        check_public(XWING, public)
    with pytest.raises(Refusal, match="KEY"):
        wrap_key(public, b"info", bytes(32))


def test_an_ml_kem_half_that_is_not_reduced_is_refused():
    public = BIRCH.prekey.public
    unreduced = b"\xff\x0f" + public[2:]  # the first coefficient is 4095, and the modulus 3329
    for other in (b"\xff" * 1184 + public[1184:], unreduced, public[:-1], public + b"\0", b""):
        with pytest.raises(Refusal, match="KEY"):
            check_public(XWING, other)
        with pytest.raises(Refusal, match="KEY"):
            hybrid_public(other)


@pytest.mark.parametrize("value", [3328, 3329, 4095])
@pytest.mark.parametrize("at", [0, 1, 2, 3, 255, 256, 383, 384, 511, 512, 766, 767])
def test_every_coefficient_of_an_ml_kem_half_is_below_the_modulus(at: int, value: int):
    """The registration's own check says what the library says that reads the key (FIPS 203 section 7.2)."""
    packed = int.from_bytes(BIRCH.prekey.public[:1152], "little")
    other = packed & ~(0xFFF << 12 * at) | value << 12 * at
    public = other.to_bytes(1152, "little") + BIRCH.prekey.public[1152:]
    if value < 3329:
        hybrid_public(public)
        check_public(XWING, public)
        return
    for check in (hybrid_public, partial(check_public, XWING)):
        with pytest.raises(Refusal, match="KEY"):
            check(public)


def test_what_registration_says_of_any_coefficients_is_what_the_library_says():
    drawn = random.Random(768)
    for _ in range(200):
        values = [drawn.choice((0, 1, 2047, 2048, 3327, 3328)) for _ in range(768)]
        if drawn.random() < 0.5:
            values[drawn.randrange(768)] = drawn.randrange(3329, 4096)
        packed = sum(value << 12 * at for at, value in enumerate(values)).to_bytes(1152, "little")
        public = packed + BIRCH.prekey.public[1152:]
        assert refused(partial(check_public, XWING, public)) == refused(partial(hybrid_public, public))
        assert refused(partial(check_public, XWING, public)) == (max(values) > 3328)


def refused(check: Callable[[], object]) -> bool:
    try:
        check()
    except Refusal as refusal:
        return refusal.code == "KEY"
    return False


def test_a_refused_key_is_refused_again_and_a_good_one_is_not_confused_with_it():
    """Parsed keys are remembered: the memory goes by the whole key."""
    public = BIRCH.prekey.public
    for _ in range(2):
        hybrid_public(public)
        with pytest.raises(Refusal, match="KEY"):
            hybrid_public(b"\xff" * 1184 + public[1184:])


def test_a_key_id_tells_the_algorithms_apart():
    assert kid_of(ED25519, bytes(32)) != kid_of(XWING, bytes(32))
    assert PublicKey(ED25519, ALDER.msg.public).kid == ALDER.msg.kid
    assert len(ALDER.msg.kid) == 43


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(size: int):
    for kind in (SigningKey, OpeningKey):
        with pytest.raises(Refusal, match="KEY"):
            kind(bytes(size))


# --- signatures


def test_a_signature_with_the_order_added_is_refused():
    signature = sign(ALDER.msg, Purpose.GRANT, b"data")
    for times in (1, 2, 7):
        scalar = int.from_bytes(signature[32:], "little") + times * L
        with pytest.raises(Refusal, match="SIGNATURE"):
            verify(ALDER.msg.public, Purpose.GRANT, b"data", signature[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65)], ids=len)
def test_a_signature_of_another_form_is_refused(signature: bytes):
    with pytest.raises(Refusal, match="SIGNATURE"):
        verify(ALDER.msg.public, Purpose.GRANT, b"data", signature)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), b"\xff" * 32], ids=len)
def test_a_verifier_of_another_form_is_refused(public: bytes):
    with pytest.raises(Refusal, match="SIGNATURE"):
        verify(public, Purpose.GRANT, b"data", sign(ALDER.msg, Purpose.GRANT, b"data"))


# --- wraps


@pytest.mark.parametrize("size", [0, 1, 1119, 1120, 1135, 1136, 1167, 1169, 3000])
def test_a_wrap_of_another_size_does_not_open(size: int):
    with pytest.raises(Refusal, match="CANNOT_OPEN"):
        unwrap_key(BIRCH.prekey, b"info", bytes(size))


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)], ids=len)
def test_a_wrap_of_another_secret_than_32_bytes_does_not_open(secret: bytes):
    wrapped = wrap_key(BIRCH.prekey.public, b"info", secret)
    with pytest.raises(Refusal, match="CANNOT_OPEN"):
        unwrap_key(BIRCH.prekey, b"info", wrapped)


def test_a_wrap_opens_for_its_key_and_its_info_only():
    wrapped = wrap_key(BIRCH.prekey.public, b"info", seed("secret"))
    assert unwrap_key(BIRCH.prekey, b"info", wrapped) == seed("secret")
    for key, info in (
        (ALDER.prekey, b"info"),
        (BIRCH.prekey, b"infO"),
        (BIRCH.prekey, b""),
        (BIRCH.ig, b"info"),
    ):
        with pytest.raises(Refusal, match="CANNOT_OPEN"):
            unwrap_key(key, info, wrapped)


def test_wrapping_twice_gives_two_wraps():
    assert len({wrap_key(BIRCH.prekey.public, b"info", bytes(32)) for _ in range(8)}) == 8


# --- self-test


def test_this_machine_passes_the_self_test():
    sealing.self_test(secrets.token_bytes)
    opening.self_test(secrets.token_bytes)


class Lacking:
    """A suite on a machine whose library does not know the hybrid."""

    def encrypt(self, *_: object) -> bytes:
        raise UnsupportedAlgorithm("no ML-KEM")


class Classical:
    """A suite that quietly wraps with X25519 alone: its wraps are shorter."""

    def encrypt(self, *_: object) -> bytes:
        return bytes(80)


@pytest.mark.parametrize("suite", [Lacking(), Classical()])
def test_a_machine_without_the_hybrid_does_not_start(monkeypatch: pytest.MonkeyPatch, suite: object):
    monkeypatch.setattr(sealing, "SUITE", suite)
    for test in (sealing.self_test, opening.self_test):
        with pytest.raises(Refusal, match="SELF_TEST"):
            test(secrets.token_bytes)


# --- secrets

SEED = seed("a secret that must not show")


@dataclass
class Holder:
    key: object


def traces(data: bytes) -> list[str]:
    return [data.hex(), repr(data)[2:-1], b64(data), data.decode("latin-1"), str(list(data))[1:-1]]


def rings() -> list[object]:
    signing, hybrid = SigningKey(SEED), OpeningKey(SEED)
    return [
        signing,
        hybrid,
        AgentKeys("ag1x", signing, signing, signing, signing, signing, (Prekey(hybrid, 0),), SEED, SEED),
        AdminKeys("ag1x", signing, 0, ""),
        OfficerKeys(hybrid, signing),
        MldsaKey(SEED),
        RelayKeys(signing, MldsaKey(SEED), signing),
    ]


@pytest.mark.parametrize("secret", rings(), ids=lambda r: type(r).__name__)
def test_a_secret_never_shows_itself(secret: object):
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!s:>200}",
        f"{secret!r}",
        "%s %r" % (secret, secret),  # noqa: UP031 - this too is a way to print
    ]
    shown += [
        str([secret]),
        repr({"key": secret}),
        repr(Holder(secret)),
        json.dumps({"key": secret}, default=str),
    ]
    for render in (
        structlog.processors.JSONRenderer(),
        structlog.processors.KeyValueRenderer(),
        structlog.processors.LogfmtRenderer(),
        structlog.dev.ConsoleRenderer(colors=False),
    ):
        shown.append(str(render(None, "info", {"event": "x", "key": secret})))
    for text in shown:
        assert not [trace for trace in traces(SEED) if trace in text]


@pytest.mark.parametrize("kind", [SigningKey, OpeningKey])
def test_a_secret_is_neither_pickled_nor_copied(kind: type):
    key = kind(SEED)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled"):
            attempt(key)
    assert not hasattr(key, "__dict__")


def test_a_refusal_repeats_nothing_of_what_was_refused():
    with pytest.raises(Refusal) as caught:
        RelayKeys.from_json({"log": b64(SEED), "keys_log": "her address"})
    assert "address" not in str(caught.value)
    assert b64(SEED) not in str(caught.value)


def test_a_draft_hides_what_a_person_wrote():
    draft = Draft(
        "ag1x", "duty", (SealedFor("ag1x", "duty", "k", b"public"),), "t", T0, T0 + 1, "REFER", "RED", "SUPPORT", (), {},
        "a person's words", "case 4711", "worker",
    )  # fmt: skip
    assert "words" not in repr(draft)
    assert "4711" not in repr(draft)


def test_labels_part_what_they_hash():
    assert labelled("fenpost/v1/a", b"b") != labelled("fenpost/v1/ab", b"")
    assert labelled("fenpost/v1/a", b"b") != labelled("fenpost/v1/a", b"b", key=bytes(32))
