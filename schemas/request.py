"""Request signatures: a strict profile of RFC 9421 (PROTOCOL.md A1-A6).

One signature, labelled `fenpost`, over method, authority, path, query, content type and content digest, in that
order, with created, expires = created + 60, a 32-byte nonce, the key id, alg and tag. Any other form is refused
without detail. Whether the nonce is new and the key stands is for the relay.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from schemas.canonical import b64, unb64
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import Signer
from schemas.signing import Check

LIFE = 60
MAX_SKEW = 90
NONCE_KEPT = 300
NONCE = 32
"""Bytes of a nonce; the first half is the same for as long as a program runs."""
_COMPONENTS = '("@method" "@authority" "@path" "@query" "content-type" "content-digest")'
_INPUT = re.compile(
    r"fenpost=(?P<params>" + re.escape(_COMPONENTS) + r";created=(?P<created>[1-9][0-9]{0,11})"
    r";expires=(?P<expires>[1-9][0-9]{0,11})"
    r';nonce="(?P<nonce>[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])";keyid="(?P<keyid>[A-Za-z0-9_-]{43})"'
    r';alg="ed25519";tag="fenpost-v1")'
)
_DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:")
_SIGNATURE = re.compile(r"fenpost=:([A-Za-z0-9+/]{85}[AQgw]==):")  # the one spelling of 64 bytes


class Target(NamedTuple):
    """What a request is aimed at. `query` is without its question mark."""

    method: str
    authority: str
    path: str
    query: str
    content_type: str


def digest_header(body: bytes) -> str:
    """Content-Digest (RFC 9530) of a body, also of an empty one."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


def sign_request(target: Target, body: bytes, key: Signer, created: int, nonce: bytes) -> dict[str, str]:
    """The four headers that authenticate a request.

    `nonce` has 32 bytes: 16 that the program drew when it started (A8), and 16 that were never used before.
    """
    digest = digest_header(body)
    params = (
        f'{_COMPONENTS};created={created};expires={created + LIFE};nonce="{b64(nonce)}"'
        f';keyid="{key.kid}";alg="ed25519";tag="fenpost-v1"'
    )
    signature = base64.b64encode(key.sign_bytes(_base(target, digest, params))).decode("ascii")
    return {
        "Content-Type": target.content_type,
        "Content-Digest": digest,
        "Signature-Input": f"fenpost={params}",
        "Signature": f"fenpost=:{signature}:",
    }


class Claim(NamedTuple):
    """A request's well-formed signature, not yet verified."""

    keyid: str
    nonce: bytes
    created: int
    digest: str
    params: str
    signature: bytes

    @property
    def instance(self) -> bytes:
        """What the program drew when it started."""
        return self.nonce[: NONCE // 2]

    def instance_of(self, agency: str) -> str:
        """H("fenpost/v1/instance", what the program drew || agency): how the relay remembers it (A8)."""
        return _instance_of(self.instance, agency)


@lru_cache(maxsize=1024)
def _instance_of(instance: bytes, agency: str) -> str:
    return b64(labelled("fenpost/v1/instance", instance + agency.encode("ascii")))


def read_claim(headers: Mapping[str, str], now: int) -> Claim:
    """The claim in a request's headers, if its form and its time are right (A2, A3).

    Raises:
        Refusal: UNAUTHENTICATED, without detail.
    """
    given = _INPUT.fullmatch(headers.get("Signature-Input", ""))
    signature = _SIGNATURE.fullmatch(headers.get("Signature", ""))
    digest = headers.get("Content-Digest", "")
    if given is None or signature is None or not _DIGEST.fullmatch(digest):
        raise Refusal("UNAUTHENTICATED")
    params, begins, ends, nonce, keyid = given.groups()
    created = int(begins)
    if int(ends) != created + LIFE or abs(now - created) > MAX_SKEW:
        raise Refusal("UNAUTHENTICATED")
    return Claim(keyid, unb64(nonce, NONCE), created, digest, params, binascii.a2b_base64(signature[1]))


def claim_check(claim: Claim, target: Target, public: bytes, body_digest: str) -> Check:
    """What is to be checked before a claim is believed; the body is the one that was signed (A4).

    Raises:
        Refusal: UNAUTHENTICATED.
    """
    if claim.digest != body_digest:
        raise Refusal("UNAUTHENTICATED")
    try:
        return Check(public, _base(target, claim.digest, claim.params), claim.signature)
    except ValueError as error:  # a header that is not text
        raise Refusal("UNAUTHENTICATED") from error


def verify_claim(claim: Claim, target: Target, public: bytes, body_digest: str) -> str:
    """The key id, once the signature holds and the body is the one that was signed (A4).

    Raises:
        Refusal: UNAUTHENTICATED.
    """
    try:
        claim_check(claim, target, public, body_digest).hold()
    except Refusal as refusal:
        raise Refusal("UNAUTHENTICATED") from refusal
    return claim.keyid


def _base(target: Target, digest: str, params: str) -> bytes:
    return (
        f'"@method": {target.method}\n'
        f'"@authority": {target.authority}\n'
        f'"@path": {target.path}\n'
        f'"@query": ?{target.query}\n'
        f'"content-type": {target.content_type}\n'
        f'"content-digest": {digest}\n'
        f'"@signature-params": {params}'
    ).encode()
