"""Our request signatures before http-message-signatures, and its signatures before us."""

import base64
import datetime
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    InvalidSignature,
    MappingKeyResolver,
    PreparedSignature,
    algorithms,
)

from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.request import LIFE, Target, digest_header, read_claim, sign_request, verify_claim
from tests.tools.vector_world import seed

KEY = SigningKey(seed("birch auth"))
COMPONENTS = ("@method", "@authority", "@path", "@query", "content-type", "content-digest")
KEYS = MappingKeyResolver(
    public_keys={KEY.kid: Ed25519PublicKey.from_public_bytes(KEY.public)},
    private_keys={KEY.kid: Ed25519PrivateKey.from_private_bytes(KEY.seed())},
)
Check = tuple[str, Callable[[], None]]


@dataclass
class Message:
    """A request as that library reads one."""

    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


REQUESTS = {
    "a body": (Target("POST", "relay.example", "/v1/receipts", "", "application/json"), b'{"notices":[1]}'),
    "no body": (Target("GET", "relay.example", "/v1/log/records", "", "application/json"), b""),
    "a query": (Target("GET", "relay.example", "/v1/mailbox", "wait=30&limit=64", "application/json"), b""),
    "a port and frames": (
        Target("POST", "127.0.0.1:8440", "/v1/envelopes", "", "application/vnd.fenpost.frames"), bytes(4096)
    ),
}  # fmt: skip


def message(target: Target, headers: dict[str, str]) -> Message:
    query = f"?{target.query}" if target.query else ""
    scheme = "http" if target.authority.startswith("127.") else "https"
    return Message(target.method, f"{scheme}://{target.authority}{target.path}{query}", dict(headers))


def accepted(target: Target, body: bytes, headers: dict[str, str]) -> None:
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=KEYS)
    [result] = verifier.verify(
        message(target, headers),
        expect_tag="fenpost-v1",
        expect_label="fenpost",
        require_components=COMPONENTS,
        body=body,
    )
    assert result.parameters["keyid"] == KEY.kid
    assert tuple(result.covered_components)[:6] == tuple(f'"{name}"' for name in COMPONENTS)
    assert (result.body or b"") == body


def refused_there(target: Target, body: bytes, headers: dict[str, str]) -> None:
    try:
        accepted(target, body, headers)
    except InvalidSignature:
        return
    raise AssertionError("it passed")


def taken_here(target: Target, body: bytes, headers: dict[str, str]) -> None:
    claim = read_claim(headers, int(time.time()))
    assert verify_claim(claim, target, KEY.public, digest_header(body)) == KEY.kid


def refused_here(target: Target, body: bytes, headers: dict[str, str]) -> None:
    try:
        taken_here(target, body, headers)
    except Refusal as refusal:
        if refusal.code == "UNAUTHENTICATED":
            return
        raise
    raise AssertionError("it passed")


def theirs_in_our_order(target: Target, body: bytes, created: int) -> dict[str, str]:
    """Signed by that library's key and put into the message by it: it works the base out again before it does."""
    ours = sign_request(target, body, KEY, created, seed("nonce"))
    params = ours["Signature-Input"].removeprefix("fenpost=")
    unsigned = {name: value for name, value in ours.items() if not name.startswith("Signature")}
    lines = [
        target.method,
        target.authority,
        target.path,
        f"?{target.query}",
        target.content_type,
        unsigned["Content-Digest"],
    ]
    base = [f'"{name}": {value}' for name, value in zip(COMPONENTS, lines, strict=True)] + [
        f'"@signature-params": {params}'
    ]
    prepared = PreparedSignature("\n".join(base).encode(), params, "fenpost", "ed25519")
    sent = message(target, unsigned)
    signature = KEYS.resolve_private_key(KEY.kid).sign(prepared.signature_base)
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=KEYS).apply(
        sent, prepared, signature
    )
    return sent.headers


def theirs_in_their_order(target: Target, body: bytes, created: int) -> dict[str, str]:
    sent = message(target, {"Content-Type": target.content_type, "Content-Digest": digest_header(body)})
    day = datetime.datetime.fromtimestamp(created, datetime.UTC)
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=KEYS).sign(
        sent, key_id=KEY.kid, created=day, expires=day + datetime.timedelta(seconds=LIFE), label="fenpost", tag="fenpost-v1",
        nonce=base64.urlsafe_b64encode(seed("nonce")).decode().rstrip("="), covered_component_ids=COMPONENTS,
        use_existing_digest=True,
    )  # fmt: skip
    return sent.headers


def checks() -> Iterator[Check]:
    """(what is checked, how); a check that raises has failed."""
    now = int(time.time())
    for name, (target, body) in REQUESTS.items():
        headers = sign_request(target, body, KEY, now, seed("nonce"))
        yield f"that library accepts ours: {name}", lambda t=target, b=body, h=headers: accepted(t, b, h)
        elsewhere = Target(target.method, "evil.example", target.path, target.query, target.content_type)
        yield (
            f"it refuses another authority: {name}",
            lambda t=elsewhere, b=body, h=headers: refused_there(t, b, h),
        )
        yield (
            f"it refuses another body: {name}",
            lambda t=target, b=body + b"x", h=headers: refused_there(t, b, h),
        )
        turned = {
            **headers,
            "Signature": headers["Signature"].replace(
                headers["Signature"][10], "A" if headers["Signature"][10] != "A" else "B", 1
            ),
        }
        yield (
            f"it refuses a turned signature: {name}",
            lambda t=target, b=body, h=turned: refused_there(t, b, h),
        )
        yield (
            f"we accept its signature in our order: {name}",
            lambda t=target, b=body: taken_here(t, b, theirs_in_our_order(t, b, now)),
        )
        yield (
            f"and the bytes are the same: {name}",
            lambda t=target, b=body, h=headers: _equal(theirs_in_our_order(t, b, now), h),
        )
        yield (
            f"we refuse its signature in its own order: {name}",
            lambda t=target, b=body: refused_here(t, b, theirs_in_their_order(t, b, now)),
        )
        late = sign_request(target, body, KEY, now - 3600, seed("nonce"))
        yield (
            f"both refuse one of an hour ago: {name}",
            lambda t=target, b=body, h=late: (refused_there(t, b, h), refused_here(t, b, h)),
        )


def _equal(one: dict[str, str], other: dict[str, str]) -> None:
    assert one == other
