"""A partnership of two agencies and a real relay in a process of its own, for measurements and storms.

The agencies here are keys only: messages are sealed beforehand and requests are signed by hand, so that an agent's
own work is not in the figure.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from keys_tooling.ceremony import Member
from schemas import api
from schemas.canonical import Json, b64
from schemas.directory import Directory
from schemas.hashing import Frames, framed
from schemas.keys import SigningKey
from schemas.partnership import Partnership
from schemas.receipt import Receipt, sign_receipt
from schemas.request import Target, sign_request
from schemas.sealing import Draft, SealedFor, seal
from schemas.sectors import Sector
from schemas.signing import Signed
from tests.simulated_world import World

DESK = "duty"
SECTORS: Mapping[str, Sector] = {"Sender": "health", "Recipient": "health"}
LAW: Json = {
    "adult_at_risk": False,
    "agree": "NOT_SOUGHT",
    "agree_by": None,
    "agree_ver": None,
    "b6": "6ea:safeguarding",
    "b9": "9g",
    "child": True,
    "conf": "public_interest",
    "consent_only": False,
    "crim": False,
    "gw": ["CA89-47"],
    "hc": None,
    "onward": "ASK",
    "ooh": False,
    "pd": "personal",
    "retain": "R3",
    "rfi": None,
    "s1": ["s1:18"],
    "spec": True,
    "told": "YES",
    "told_by": None,
    "vir": [],
    "why_no": "E",
}
"""A RED concern about a child under a statutory duty: it passes by the rule's row 12, and rings nobody's bell."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed message that waits to be sent: its id, its upload bytes and its body hash."""

    eid: str
    upload: bytes = field(repr=False)
    body: str


@dataclass(slots=True)
class Bench:
    """The partnership: its public file, its members, and the folder that the relay runs in."""

    folder: Path
    port: int
    partnership: Partnership
    oversight: Member
    sender: Member
    recipient: Member
    view: Directory
    statements: list[Signed]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- the relay's process

    def start(self) -> int:
        """Start the relay and wait until it listens; returns its process id."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        with (self.folder / "relay.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "broker", "run", "--config", str(self.folder / "relay.toml")],
                stdout=log,
                stderr=log,
                env=environment,
            )
        deadline = time.monotonic() + 30
        while not listens(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"the relay did not start:\n{(self.folder / 'relay.log').read_text()[-2000:]}"
                )
            time.sleep(0.02)
        return self.process.pid

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    # --- messages

    def seal(self, now: int, payload_bytes: int) -> Sealed:
        """One sealed message from sender to recipient, with a payload of this many bytes."""
        key = self.view.prekey(self.recipient.id, now)
        draft = Draft(
            sender=self.sender.id,
            desk=DESK,
            to=(SealedFor(self.recipient.id, DESK, key.kid, key.public),),
            thread=b64(secrets.token_bytes(16)),
            ts=now,
            exp=now + 24 * 3600,
            cls="SAFEGUARD",
            rag="RED",
            purpose="CHILD_PROT",
            categories=("concern",),
            law=LAW,
            payload="x" * payload_bytes,
            subject="s" * 43,
            author="duty",
        )
        officers = self.view.officers({self.sender.id, self.recipient.id}, now)
        sealed = seal(draft, officers, self.sender.agent.msg, secrets.token_bytes)
        return Sealed(sealed.eid, sealed.upload.to_bytes(), b64(sealed.upload.envelope.body_hash))

    def receipt(self, message: Sealed, state: str, now: int) -> Json:
        """The recipient's signed receipt for a message."""
        agent = self.recipient.agent
        value = {
            "a": agent.agency,
            "body": message.body,
            "d": DESK,
            "eid": message.eid,
            "reason": None,
            "role": "duty" if state == "taken-on" else None,
            "signer": agent.msg.kid,
            "state": state,
            "ts": now,
            "v": 1,
        }
        return sign_receipt(Receipt.model_validate(value), agent.msg).to_json()


class Peer:
    """One agency's signed HTTP to the relay, without an agent."""

    def __init__(self, bench: Bench, key: SigningKey, session: aiohttp.ClientSession) -> None:
        self.bench = bench
        self.key = key
        self.session = session
        self.run = secrets.token_bytes(16)

    async def ask(
        self, method: str, path: str, body: bytes = b"", kind: str = api.JSON, query: str = ""
    ) -> tuple[int, bytes]:
        """(status, body) of one signed request."""
        target = Target(method, self.bench.partnership.charter.authority, path, query, kind)
        headers = sign_request(target, body, self.key, int(time.time()), self.run + secrets.token_bytes(16))
        url = self.bench.url + path + (f"?{query}" if query else "")
        async with self.session.request(method, url, data=body, headers=headers) as answer:
            return answer.status, await answer.read()

    async def send(self, uploads: list[bytes]) -> list[dict[str, Json]]:
        """The results of posting these uploads in one request."""
        body = b"".join(framed(upload) for upload in uploads)
        status, answer = await self.ask("POST", api.ENVELOPES, body, api.BINARY)
        if status != 200:
            raise RuntimeError(f"envelopes: {status} {answer[:300]!r}")
        results: list[dict[str, Json]] = orjson.loads(answer)["results"]
        return results

    async def fetch(self, limit: int = 64, wait: int = 0) -> list[str]:
        """The envelope ids of one mailbox page; its deliveries are fetched whole and not opened."""
        status, answer = await self.ask("GET", api.MAILBOX, query=f"limit={limit}&wait={wait}")
        if status != 200:
            raise RuntimeError(f"mailbox: {status} {answer[:300]!r}")
        head = Frames(answer).frame(2**24)
        return [item["eid"] for item in orjson.loads(head)["items"]]

    async def post(self, path: str, value: Json) -> Json:
        status, answer = await self.ask("POST", path, orjson.dumps(value))
        if status != 200:
            raise RuntimeError(f"{path}: {status} {answer[:500]!r}")
        return orjson.loads(answer)


def found(folder: Path, now: int) -> Bench:
    """Found the partnership and write the relay's folder; nothing runs yet."""
    world = World.found(folder, *SECTORS, desks=(DESK,), sectors=SECTORS, now=now)
    sender, recipient = (world.parties[name].member for name in SECTORS)
    founded = world.founded
    return Bench(
        folder / "relay",
        world.port,
        founded.partnership,
        founded.oversight,
        sender,
        recipient,
        world.directory,
        world.statements,
    )


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2):
            return True
    except OSError:
        return False


def session() -> aiohttp.ClientSession:
    """A client for many requests at once on few connections."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=128), timeout=aiohttp.ClientTimeout(total=60)
    )
