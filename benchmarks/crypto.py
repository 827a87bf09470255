"""Sealing and opening, next to the primitives they rest on (15 KB messages, one core)."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import nacl.bindings
import nacl.signing

from benchmarks.partnership import LAW as CONCERN_LAW
from benchmarks.timing import median_ms, median_us
from schemas.canonical import Json
from schemas.consent import decide
from schemas.directory import Party
from schemas.directory_statement import Flags
from schemas.envelope import Delivery, Header, Upload
from schemas.facts import Facts
from schemas.keys import OpeningKey, SigningKey
from schemas.opening import open_delivery, unwrap_key
from schemas.policy import founding
from schemas.sealing import Draft, Officer, Sealed, SealedFor, seal, wrap_key

AGENCY = "ag1" + "a" * 32
PAYLOAD = "x" * 15_000
PARTY = Party(Flags(public_authority=False, s16la_member=False, cda_relevant=False), "other")
POLICY = founding()
LAW: Json = {
    **CONCERN_LAW,
    "agree": "GIVEN",
    "agree_by": "SELF",
    "agree_ver": 1,
    "b6": "6a",
    "b9": "9a",
    "child": False,
    "conf": "agreement",
    "consent_only": True,
    "s1": [],
    "told": "YES",
    "why_no": None,
}


def _draft(keys: list[OpeningKey]) -> Draft:
    to = tuple(SealedFor(AGENCY, f"desk-{n}", key.kid, key.public) for n, key in enumerate(keys))
    return Draft(
        sender=AGENCY,
        desk="duty",
        to=to,
        thread="A" * 22,
        ts=1_800_000_000,
        exp=1_800_086_400,
        cls="REFER",
        rag="AMBER",
        purpose="SUPPORT",
        categories=("ask", "person"),
        law=LAW,
        payload=PAYLOAD,
        subject="s" * 43,
        author="duty",
    )


def _sealed(recipients: int) -> tuple[Sealed, list[OpeningKey], tuple[Officer, ...], SigningKey, Draft]:
    keys = [OpeningKey(os.urandom(32)) for _ in range(recipients)]
    officers = tuple(Officer(k.kid, k.public) for k in (OpeningKey(os.urandom(32)) for _ in range(3)))
    signer, draft = SigningKey(os.urandom(32)), _draft(keys)
    return seal(draft, officers, signer, os.urandom), keys, officers, signer, draft


def measure(seconds: float) -> dict[str, float]:
    """Figures in milliseconds; `floor.*` are the bare primitives of the same run."""
    figures: dict[str, float] = {}
    for count in (1, 20):
        sealed, keys, officers, signer, draft = _sealed(count)
        figures[f"seal.ms.{count}"] = median_ms(partial(seal, draft, officers, signer, os.urandom), seconds)
    sealed, keys, _, _, _ = _sealed(1)
    upload = Upload.parse(sealed.upload.to_bytes())
    delivery = Delivery(upload.envelope, upload.wraps[0], upload.record, b"").to_bytes()
    figures["open.ms.1"] = median_ms(partial(_open, delivery, keys[0]), seconds)
    figures.update(_primitives(seconds / 4))
    many = _sealed(20)[0].upload.envelope.header
    figures.update(_decisions({1: upload.envelope.header, 20: many}, seconds / 4))
    return figures


def _primitives(seconds: float) -> dict[str, float]:
    key, signer = OpeningKey(os.urandom(32)), nacl.signing.SigningKey(os.urandom(32))
    wrapped = wrap_key(key.public, b"floor", bytes(32))
    signed = signer.sign(bytes(96))
    body, aead = bytes(16_384), nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt
    return {
        "floor.wrap.ms": median_ms(lambda: wrap_key(key.public, b"floor", bytes(32)), seconds),
        "floor.unwrap.ms": median_ms(lambda: unwrap_key(key, b"floor", wrapped), seconds),
        "floor.sign.ms": median_ms(lambda: signer.sign(bytes(96)), seconds),
        "floor.verify.ms": median_ms(lambda: signer.verify_key.verify(signed), seconds),
        "floor.aead16k.ms": median_ms(lambda: aead(body, b"", bytes(24), bytes(32)), seconds),
    }


def _decisions(headers: dict[int, Header], seconds: float) -> dict[str, float]:
    """The rule, and beside it the same call of a rule that decides nothing."""
    figures = {}
    for count, header in headers.items():
        figures[f"consent.decide.us.{count}"] = median_us(partial(_asked, decide, header), seconds)
        figures[f"floor.noop.us.{count}"] = median_us(partial(_asked, id, header), seconds)
    return figures


def _asked(rule: Callable[[Facts], object], header: Header) -> object:
    return rule(Facts(header, "covers", PARTY, (PARTY,) * len(header.to), POLICY, header.ts))


def _open(delivery: bytes, key: OpeningKey) -> object:
    return open_delivery(Delivery.parse(delivery), key)
