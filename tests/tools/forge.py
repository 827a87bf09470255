"""Envelopes made by hand, step by step as PROTOCOL.md E2 says, so that any one step can be done wrongly.

It shares no code with `schemas.sealing` but the ciphers. A step is changed by naming it: `forge(header=...)` edits the
header's value before it is printed, `sig=...` the finished signature, and so on. What follows from a step that was
changed is made to fit, so that a forgery fails for one reason only.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import nacl.bindings
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PublicKey, Suite

from schemas.keys import OpeningKey, SigningKey
from tests.tools.vector_world import (
    ALDER,
    BIRCH,
    CEDAR,
    DAY,
    GID,
    GRANT,
    OVERSIGHT,
    STAPLE,
    T0,
    Keys,
    seed,
)

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
PAYLOAD = (
    '{"ask":"Please ring about a safety plan.","contact":{"asked_alone":true,"channels":[{"kind":"call","safe":"yes",'
    '"value":"01632 960123"}],"checked_on":"2027-01-14"},"person":{"area":"Alderton","known_as":"Zoë","person_ref":"gGf3bJ0qT1xWm5Zs"},'
    '"rag":"AMBER","rag_why":"Contact is getting harder.","reply_to":{"desk":"duty"},"strand":["da"],'
    '"type":"referral.universal","v":1,"wishes":{"wants":["To be rung on a Tuesday"]}}'
)
CATEGORIES = ["ask", "contact", "person", "wishes"]
LAW = {
    "pd": "personal", "consent_only": False, "spec": False, "crim": False, "child": False, "adult_at_risk": False,
    "agree": "GIVEN", "agree_by": "SELF", "agree_ver": 1, "b6": "6a", "b9": None, "s1": [], "gw": [],
    "conf": "agreement", "hc": None, "why_no": None, "told": "YES", "told_by": None, "onward": "ASK", "ooh": False,
    "retain": "R3", "vir": [], "rfi": None,
}  # fmt: skip


def same(value):
    return value


def h(label: str, data: bytes, key: bytes = b"", size: int = 32) -> bytes:
    return hashlib.blake2b(label.encode() + b"\0" + data, key=key, digest_size=size).digest()


def b(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def l32(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@cache  # wrapping draws randomness: one wrap for one purpose keeps forgeries alike but for the step that differs
def wrap(public: bytes, info: bytes, secret: bytes) -> bytes:
    halves = (
        MLKEM768PublicKey.from_public_bytes(public[:1184]),
        X25519PublicKey.from_public_bytes(public[1184:]),
    )
    return SUITE.encrypt(secret, MLKEM768X25519PublicKey(*halves), info)


def aead(key: bytes, nonce: bytes, aad: bytes, plain: bytes) -> bytes:
    return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, aad, nonce, key)


def padded(message: bytes, smallest: int) -> bytes:
    plain, room = l32(message), smallest
    while room < len(plain):  # a power of two is enough for samples of at most 64 KiB
        room *= 2
    return plain + bytes(room - len(plain))


@dataclass(frozen=True)
class Forged:
    """An envelope's pieces, and the secrets that open it."""

    header: bytes
    wm: bytes
    body: bytes
    sig: bytes
    wraps: tuple[bytes, ...]
    record: bytes
    inner: bytes
    facts: bytes
    cek: bytes
    rk: bytes
    to: tuple[Keys, ...]

    @property
    def t(self) -> bytes:
        return (
            h("fenpost/v1/header", self.header)
            + h("fenpost/v1/wraps", self.wm)
            + h("fenpost/v1/body", self.body)
        )

    @property
    def eid(self) -> bytes:
        return h("fenpost/v1/eid", self.t)

    @property
    def ar(self) -> bytes:
        return h("fenpost/v1/rec", self.record)

    @property
    def envelope(self) -> bytes:
        return b"FPE1" + l32(self.header) + l32(self.wm) + l32(self.body) + self.sig

    @property
    def upload(self) -> bytes:
        return self.envelope + b"".join(self.wraps) + l32(self.record)

    def delivery(self, position: int, proof: bytes) -> bytes:
        return self.envelope + self.wraps[position] + l32(self.record) + l32(proof)

    def leaf(self) -> bytes:
        return b"\x01" + self.eid + h("fenpost/v1/rec", b"the relay's record of " + self.eid) + self.ar


Edit = Callable[..., object]


def forge(
    name: str = "one",
    to: tuple[tuple[Keys, str], ...] = ((BIRCH, "idva"),),
    *,
    header: Edit = same,
    header_bytes: Edit = text,
    inner: Edit = same,
    inner_bytes: Edit = text,
    pad: Edit = lambda plain: padded(plain, 4096),
    facts: Edit = same,
    record: Edit = same,
    committed: Edit = same,
    wrapped: Edit = same,
    info: bytes = b"fenpost/v1/wrap\0",
    wraps: Edit = same,
    wm: Edit = same,
    body: Edit = same,
    sig: Edit = same,
    signer: SigningKey = ALDER.msg,
    payload: str = PAYLOAD,
    law: dict = LAW,
) -> Forged:
    """An envelope from Alder's duty desk, with one step changed or none. `name` is where its randomness is from."""
    mid, cek, rk = seed(f"{name} mid")[:16], seed(f"{name} cek"), seed(f"{name} rk")
    address = {"from": {"a": ALDER.id, "d": "duty"}, "to": [{"a": keys.id, "d": desk} for keys, desk in to]}
    said = facts({
        **address, "att": [], "author": "worker", "basis": {name: law[name] for name in ("b6", "b9", "gw", "s1")},
        "cat": CATEGORIES, "mid": b(mid), "ph": b(h("fenpost/v1/payload", payload.encode())), "pur": "SUPPORT",
        "ref": b(seed(f"{name} case")), "v": 1,
    })  # fmt: skip
    facts_text = text(said)
    sealed = record(sender_record(b(mid), facts_text, rk, {keys for keys, _ in to}))
    head = header_bytes(header({
        **address, "ar": b(h("fenpost/v1/rec", sealed)), "att": [], "cat": CATEGORIES, "cls": "REFER",
        "exp": T0 + 2 * DAY, "gid": GID, "kc": b(h("fenpost/v1/commit", mid, committed(cek))), "law": law, "mid": b(mid),
        "ovr": None, "pur": "SUPPORT", "rag": "AMBER", "signer": ALDER.msg.kid, "st": b(h("fenpost/v1/status", STAPLE.text + STAPLE.signature)),
        "thr": b(seed(f"{name} thread")[:16]), "ts": T0 + 60, "v": 1,
        "to": [{"a": keys.id, "d": desk, "k": keys.prekey.kid} for keys, desk in to],
    }))  # fmt: skip
    hh = h("fenpost/v1/header", head)
    made = [wrap(k.prekey.public, info + hh + unb(k.prekey.kid), wrapped(cek)) for k, _ in to]
    manifest = wm(
        b"".join(unb(k.prekey.kid) + h("fenpost/v1/w", w) for (k, _), w in zip(to, made, strict=True))
    )
    inside = inner_bytes(inner({
        "att": [], "cp": [], "grant": GRANT.to_json(), "p": payload, "rk": b(rk), "seq": [1] * len(to), "status": STAPLE.to_json(),
    }))  # fmt: skip
    key, nonce = h("fenpost/v1/body-key", hh, cek), h("fenpost/v1/body-nonce", hh, cek, 24)
    sealed_body = body(aead(key, nonce, hh, pad(inside)))
    t = hh + h("fenpost/v1/wraps", manifest) + h("fenpost/v1/body", sealed_body)
    signature = sig(signer.sign_bytes(b"fenpost/v1/envelope\0" + t))
    return Forged(
        head, manifest, sealed_body, signature, tuple(wraps(made)), sealed, inside, facts_text, cek, rk,
        tuple(keys for keys, _ in to),
    )  # fmt: skip


def sender_record(mid: str, facts: bytes, rk: bytes, recipients: set[Keys] | None = None) -> bytes:
    """The sender's record, wrapped to the officers of Alder, the recipients and oversight (S2)."""
    concerned = (ALDER, OVERSIGHT, *(k for k in (BIRCH, CEDAR) if recipients is None or k in recipients))
    officers = sorted((k.ig for k in concerned), key=lambda key: key.kid)
    head = text({
        "ctx": mid, "kc": b(h("fenpost/v1/rec-commit", mid.encode(), rk)), "to": [o.kid for o in officers], "v": 1, "w": "hpke",
    })  # fmt: skip
    rh = h("fenpost/v1/rec-head", head)
    body = aead(
        h("fenpost/v1/rec-key", rh, rk), h("fenpost/v1/rec-nonce", rh, rk, 24), rh, padded(facts, 2048)
    )
    wraps = b"".join(wrap(o.public, b"fenpost/v1/rec-wrap\0" + rh + unb(o.kid), rk) for o in officers)
    return b"FPR1" + l32(head) + l32(body) + wraps


def prekeys(*agencies: Keys) -> dict[str, OpeningKey]:
    return {keys.prekey.kid: keys.prekey for keys in agencies}
