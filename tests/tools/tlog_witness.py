"""A witness written from C2SP tlog-witness and RFC 6962 alone: it shares no code with the project, and keeps its word.

Its tests are the relay's: what it does not cosign, it answers with the status that the format names.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import nacl.exceptions
import nacl.signing
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from tests.ports import free_port


def key_id(name: str, kind: bytes, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + kind + public).digest()[:4]


def consistent(old: int, new: int, proof: list[bytes], old_root: bytes, new_root: bytes) -> bool:
    """RFC 6962 2.1.2 read backwards: rebuild both roots by the recursion that made the proof."""

    def walk(m: int, n: int, whole: bool, rest: list[bytes]) -> tuple[bytes, bytes]:
        if m == n:
            one = old_root if whole else rest.pop(0)
            return one, one
        split = 1
        while 2 * split < n:
            split *= 2
        if m <= split:
            was, now = walk(m, split, whole, rest)
            right = rest.pop(0)
            return was, hashlib.sha256(b"\x01" + now + right).digest()
        was, now = walk(m - split, n - split, False, rest)
        left = rest.pop(0)
        return hashlib.sha256(b"\x01" + left + was).digest(), hashlib.sha256(b"\x01" + left + now).digest()

    if old == new:
        return not proof and old_root == new_root
    rest = list(proof)
    try:
        return walk(old, new, True, rest) == (old_root, new_root) and not rest
    except IndexError:
        return False


def _signed(text: str, tail: str, origin: str, id_: bytes, public: bytes) -> bool:
    for line in tail.splitlines():
        _, name, blob = line.split(" ")
        data = base64.b64decode(blob)
        if name == origin and data[:4] == id_:
            try:
                nacl.signing.VerifyKey(public).verify(text.encode(), data[4:])
            except nacl.exceptions.BadSignatureError:
                return False
            return True
    return False


@dataclass
class TlogWitness:
    """`log` is the verifier key of a log that it knows, `keys` of another; `heads` the newest of each that it
    cosigned, by origin."""

    name: str
    log: str
    clock: object
    mldsa: bool = False
    keys: str = ""
    heads: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[tuple[int, bytes]] = field(default_factory=list)
    """Each answer to a question about `log`: status and body."""
    asked_keys: list[tuple[int, bytes]] = field(default_factory=list)
    """The same of any other log."""
    broken: bytes | None = None
    """What it answers instead about `log`, with 200."""

    def __post_init__(self) -> None:
        self._ed25519 = nacl.signing.SigningKey.generate()
        self._mldsa = MLDSA44PrivateKey.generate()
        self.port = free_port()

    @property
    def head(self) -> tuple[int, bytes]:
        return self._head(self.log.partition("+")[0])

    @property
    def keys_head(self) -> tuple[int, bytes]:
        return self._head(self.keys.partition("+")[0])

    def _head(self, origin: str) -> tuple[int, bytes]:
        return self.heads.get(origin, (0, hashlib.sha256(b"").digest()))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/w"

    @property
    def _public(self) -> tuple[bytes, bytes]:
        if self.mldsa:
            return b"\x06", self._mldsa.public_key().public_bytes_raw()
        return b"\x04", bytes(self._ed25519.verify_key)

    @property
    def vkey(self) -> str:
        kind, public = self._public
        encoded = base64.b64encode(kind + public).decode()
        return f"{self.name}+{key_id(self.name, kind, public).hex()}+{encoded}"

    def cosign(self, text: str, size: int, root: bytes) -> str:
        kind, public = self._public
        now = int(self.clock())  # type: ignore[operator]  # a clock of the tests
        stamp, origin = now.to_bytes(8, "big"), text.partition("\n")[0].encode()
        if self.mldsa:
            name = self.name.encode()
            message = b"subtree/v1\n\0" + bytes([len(name)]) + name + stamp + bytes([len(origin)]) + origin
            signature = self._mldsa.sign(message + bytes(8) + size.to_bytes(8, "big") + root)
        else:
            signature = self._ed25519.sign(f"cosignature/v1\ntime {now}\n{text}".encode()).signature
        blob = base64.b64encode(key_id(self.name, kind, public) + stamp + signature).decode()
        return f"\u2014 {self.name} {blob}\n"

    async def add_checkpoint(self, request: web.Request) -> web.Response:
        data = await request.read()
        about = self.log.partition("+")[0].encode() == data.partition(b"\n\n")[2].partition(b"\n")[0]
        if about and self.broken is not None:
            status, body, kind = 200, self.broken, "text/plain"
        else:
            status, body, kind = self._answer(data)
        (self.asked if about else self.asked_keys).append((status, body))
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    def _answer(self, data: bytes) -> tuple[int, bytes, str]:
        plain = "text/plain"
        head, _, note = data.decode().partition("\n\n")
        first, *proof = head.split("\n")
        word, _, number = first.partition(" ")
        text, _, tail = note.partition("\n\n")
        text += "\n"
        origin, size_text, root_text, *_ = text.split("\n")
        if word != "old" or str(int(number)) != number or len(proof) > 63:
            return 400, b"", plain
        old, size, root = int(number), int(size_text), base64.b64decode(root_text)
        known = {vkey.partition("+")[0]: vkey for vkey in (self.log, self.keys)}
        if not origin or origin not in known:
            return 404, b"", plain
        name, id_, key = known[origin].split("+", 2)
        if not _signed(text, tail, name, bytes.fromhex(id_), base64.b64decode(key)[1:]):
            return 403, b"", plain
        if old > size:
            return 400, b"", plain
        last = self._head(origin)
        if old != last[0]:
            return 409, f"{last[0]}\n".encode(), "text/x.tlog.size"
        hashes = [base64.b64decode(line, validate=True) for line in proof]
        if old == 0 and hashes:
            return 422, b"", plain
        if old and not consistent(old, size, hashes, last[1], root):
            return 422, b"", plain
        self.heads[origin] = (size, root)
        return 200, self.cosign(text, size, root).encode(), plain

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TlogWitness]:
        app = web.Application()
        app.router.add_post("/w/add-checkpoint", self.add_checkpoint)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield self
        finally:
            await runner.cleanup()
