"""A small partnership for tests: real keys, a real relay on a loopback port, real signed requests.

    world = World.again(tmp_path, "Peacock", "IDVAS")     # oversight and two members, in the relay's founding file
    async with world.relay() as relay, world.session() as http:
        sealed = world.seal("Peacock", "IDVAS")           # an upload without personal data: the gate lets it pass
        answer = await world.post_envelopes(http, "Peacock", sealed)
        page = await world.mailbox(http, "IDVAS")         # page.head, page.deliveries
        await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", page.deliveries[0], "taken-on"))

Agreements: `grant = world.grant("Peacock", "IDVAS")`, `status = world.status("Peacock", grant)`, posted with
`post_statements`, then `world.seal("Peacock", "IDVAS", grant=grant, status=status)`; `world.withdrawal` ends it.
Everything a test wants to spoil is an argument: `clock`, `law`, `changes` of a draft, the key of a request.

`World.found` draws every key; `World.again` gives each test a copy of the one that was founded alike before, in this
process. A test that wants a second partnership, or strangers of the same names, founds it.

Only schemas and keys_tooling.ceremony are used here; `relay` alone imports the relay.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import create_engine

from keys_tooling.ceremony import Founded, Member, admit, found_partnership, make_agency, make_officer
from schemas import api
from schemas.canonical import b64
from schemas.directory import Directory
from schemas.envelope import Delivery
from schemas.hashing import Frames, framed
from schemas.keyfile import QUICK, lock
from schemas.keyring import AdminKeys, OfficerKeys
from schemas.keys import SigningKey
from schemas.outside import OutsideWitness
from schemas.receipt import Receipt, sign_receipt
from schemas.request import Target, sign_request
from schemas.sealing import Draft, Sealed, SealedFor, seal
from schemas.sectors import Sector
from schemas.signing import Purpose, Signed
from tests.ports import free_port, is_free

NOW = 1_795_305_600
"""The world's first second: 22 November 2026."""
PASSPHRASE = b"four words of a test"
RUN = secrets.token_bytes(16)
"""What every caller here drew at its start, but agents (A8)."""
DESK = "intake"
FLAGS = {"cda_relevant": False, "public_authority": False, "s16la_member": False}

NO_PERSON: Mapping[str, Any] = {
    "pd": "none", "consent_only": False, "spec": False, "crim": False, "child": False, "adult_at_risk": False,
    "agree": "NOT_APPLICABLE", "agree_by": None, "agree_ver": None, "b6": None, "b9": None, "s1": [], "gw": [],
    "conf": None, "hc": None, "why_no": None, "told": "NA", "told_by": None, "onward": "NONE", "ooh": False,
    "retain": "R1", "vir": [], "rfi": None,
}  # fmt: skip
"""A law block for a message about nobody: rule row 2 lets it pass."""
AGREED: Mapping[str, Any] = {
    **NO_PERSON, "pd": "personal", "agree": "GIVEN", "agree_by": "SELF", "agree_ver": 1, "b6": "6a", "told": "YES",
}  # fmt: skip
"""A law block that rests on the person's agreement alone."""


class SteppedClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(slots=True)
class Party:
    """One agency with all its secrets, as its own people hold them between them."""

    name: str
    member: Member
    admin: AdminKeys
    officer: OfficerKeys
    desks: tuple[str, ...] = (DESK,)

    @property
    def id(self) -> str:
        return self.member.id


@dataclass(frozen=True, slots=True)
class Answer:
    """What the relay said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Page:
    """An opened mailbox page."""

    head: api.MailboxHead
    deliveries: tuple[Delivery, ...]

    @classmethod
    def parse(cls, body: bytes) -> Page:
        frames = list(Frames(body).frames(api.MAX_BODY))
        head = api.MailboxHead.model_validate_json(frames[0])
        return cls(head, tuple(Delivery.parse(frame) for frame in frames[1:]))


@dataclass(slots=True)
class World:
    """A founded partnership in `folder`; `parties` by name, "oversight" among them."""

    folder: Path
    clock: SteppedClock
    port: int
    founded: Founded
    parties: dict[str, Party]
    statements: list[Signed] = field(default_factory=list)
    mould: World | None = None
    """What this is a copy of: nobody runs or changes that one."""
    directory: Directory = field(init=False)

    def __post_init__(self) -> None:
        if self.mould is not None:
            self.directory = self.mould.directory.copied()
            return
        self.directory = Directory(self.founded.oversight.id)
        for signed in self.statements:
            self.directory.apply(signed)

    @classmethod
    def found(
        cls,
        folder: Path,
        *names: str,
        desks: tuple[str, ...] = (DESK,),
        flags: dict[str, bool] | None = None,
        sectors: Mapping[str, Sector] | None = None,
        now: float = NOW,
        port: int | None = None,
        outside: tuple[OutsideWitness, ...] = (),
    ) -> World:
        """Found a partnership whose members are `names`, and write the relay's folder to `folder`/relay.

        `sectors` by name; a member that it leaves out is of the sector "other". More than half of `outside` must cosign.
        """
        clock = SteppedClock(now)
        port = port or free_port()
        keys, card = make_officer(secrets.token_bytes)
        authority = f"127.0.0.1:{port}"
        founded = found_partnership(
            "Simulated", f"http://{authority}", authority, "relay.test/log", clock_seconds(clock), secrets.token_bytes, (card,),
            outside, len(outside) // 2 + 1 if outside else 0,
        )  # fmt: skip
        oversight = Party("oversight", founded.oversight, founded.oversight.admin, keys, ())
        world = cls(
            folder, clock, port, founded, {"oversight": oversight}, list(founded.oversight.statements)
        )
        for name in names:
            for signed in world.join(name, desks, flags, (sectors or {}).get(name, "other")):
                world.take(signed)
        world.write_relay_folder()
        return world

    @classmethod
    def again(cls, folder: Path, *names: str, **given: Any) -> World:
        """As `found`, with the keys and the port that were drawn when the same was first asked for in this process."""
        wanted = repr((names, sorted(given.items())))
        mould = MOULDS.get(wanted)
        if mould is None or not is_free(mould.port):
            mould = MOULDS[wanted] = cls.found(lasting_folder(), *names, **given)
        shutil.copytree(mould.folder / "relay", folder / "relay")
        parties = {name: replace(party) for name, party in mould.parties.items()}
        return cls(
            folder, SteppedClock(mould.clock.now), mould.port, mould.founded, parties, list(mould.statements), mould
        )  # fmt: skip

    def join(
        self,
        name: str,
        desks: tuple[str, ...] = (DESK,),
        flags: dict[str, bool] | None = None,
        sector: Sector = "other",
    ) -> list[Signed]:
        """A new agency's statements and oversight's admission, not yet taken into this world's directory."""
        keys, card = make_officer(secrets.token_bytes)
        member = make_agency(self.now, secrets.token_bytes, (card,))
        self.parties[name] = Party(name, member, member.admin, keys, desks)
        oversight = self.parties["oversight"]
        oversight.admin, admission = admit(
            oversight.admin, member.id, name, desks, flags or FLAGS, self.now, sector
        )
        return [*member.statements, admission]

    def take(self, signed: Signed) -> None:
        """Note a statement as recorded."""
        self.directory.apply(signed)
        self.statements.append(signed)

    def write_relay_folder(self) -> Path:
        """Write relay.toml and what it names; gives its path."""
        relay = self.folder / "relay"
        relay.mkdir(parents=True, exist_ok=True)
        (relay / "partnership.json").write_bytes(self.founded.partnership.to_bytes())
        keys = self.founded.relay
        sealed = lock(keys.to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
        (relay / "relay.fpk").write_bytes(sealed)
        (relay / "relay.fpk").chmod(0o600)
        (relay / "passphrase").write_bytes(PASSPHRASE + b"\n")
        (relay / "passphrase").chmod(0o600)
        (relay / "founding.json").write_bytes(self.founded.founding(self.statements).to_bytes())
        settings = relay / "relay.toml"
        settings.write_text(
            '[relay]\npartnership = "partnership.json"\nkey_file = "relay.fpk"\npassphrase_file = "passphrase"\n'
            'founding = "founding.json"\ndatabase = "relay.db"\nanchor = "anchor/heads.json"\n'
            f'listen = "127.0.0.1:{self.port}"\nadmin_listen = "127.0.0.1:0"\n'
        )
        return settings

    # --- the relay and requests to it

    @contextlib.asynccontextmanager
    async def relay(self, **changes: Any) -> AsyncIterator[Any]:
        """Run the relay in this process on its port; `changes` replace entries of its settings."""
        from broker.app import build
        from broker.settings import load

        settings = replace(load(self.folder / "relay" / "relay.toml", {}), **changes)
        if not settings.database.exists():
            settings.database.write_bytes(empty_store())
        running = await build(settings, self.clock, secrets.token_bytes)
        try:
            yield running
        finally:
            await running.close()

    def session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(f"http://127.0.0.1:{self.port}")

    def signed_headers(
        self,
        key: SigningKey,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        content_type: str = api.JSON,
    ) -> dict[str, str]:
        target = Target(method, self.founded.partnership.charter.authority, path, query, content_type)
        return sign_request(target, body, key, self.now, RUN + secrets.token_bytes(16))

    async def call(
        self,
        http: aiohttp.ClientSession,
        party: str,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        content_type: str = api.JSON,
        key: SigningKey | None = None,
    ) -> Answer:
        """A request signed with the party's request key, or with `key`."""
        signer = key or self.parties[party].member.agent.auth
        headers = self.signed_headers(signer, method, path, query, body, content_type)
        return await self.send(http, method, path, query, body, headers)

    async def send(
        self,
        http: aiohttp.ClientSession,
        method: str,
        path: str,
        query: str,
        body: bytes,
        headers: dict[str, str],
    ) -> Answer:
        url = path + (f"?{query}" if query else "")
        async with http.request(
            method, url, data=io.BytesIO(body) if body else None, headers=headers
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def post_envelopes(
        self, http: aiohttp.ClientSession, party: str, *sealed: Sealed | bytes
    ) -> Answer:
        uploads = [s if isinstance(s, bytes) else s.upload.to_bytes() for s in sealed]
        return await self.call(
            http, party, "POST", api.ENVELOPES, body=b"".join(map(framed, uploads)), content_type=api.BINARY
        )

    async def post_receipts(
        self, http: aiohttp.ClientSession, party: str, *receipts: Signed, notices: tuple[int, ...] = ()
    ) -> Answer:
        body = {"receipts": [r.to_json() for r in receipts], "notices": list(notices)}
        return await self.call(http, party, "POST", api.RECEIPTS, body=json.dumps(body).encode())

    async def post_statements(
        self, http: aiohttp.ClientSession, party: str, *pairs: tuple[str, Signed]
    ) -> Answer:
        """Post (kind, statement) pairs."""
        body = {"statements": [{"kind": kind, "signed": signed.to_json()} for kind, signed in pairs]}
        return await self.call(http, party, "POST", api.STATEMENTS, body=json.dumps(body).encode())

    async def mailbox(self, http: aiohttp.ClientSession, party: str, query: str = "wait=0&limit=64") -> Page:
        answer = await self.call(http, party, "GET", api.MAILBOX, query)
        assert answer.status == 200, answer.body
        return Page.parse(answer.body)

    # --- what parties make

    @property
    def now(self) -> int:
        return clock_seconds(self.clock)

    def to(self, *recipients: str, desk: str = DESK) -> tuple[SealedFor, ...]:
        keys = [
            (self.parties[name].id, self.directory.prekey(self.parties[name].id, self.now))
            for name in recipients
        ]
        return tuple(SealedFor(agency, desk, key.kid, key.public) for agency, key in keys)

    def draft(
        self,
        sender: str,
        *recipients: str,
        grant: Signed | None = None,
        status: Signed | None = None,
        law: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Draft:
        """A draft about nobody; with `grant` one that rests on it."""
        nobody = grant is None and law is None
        draft = Draft(
            sender=self.parties[sender].id,
            desk=DESK,
            to=self.to(*recipients),
            thread=b64(secrets.token_bytes(16)),
            ts=self.now,
            exp=self.now + 7 * 24 * 3600,
            cls="ADMIN" if nobody else "REFER",
            rag="AMBER",
            purpose="SUPPORT",
            categories=() if nobody else ("ask",),
            law=dict(law or (NO_PERSON if grant is None else AGREED)),
            payload='{"ask":"a simulated message"}',
            subject=b64(secrets.token_bytes(16)),
            author="worker",
            grant=grant,
            status=status,
        )
        return replace(draft, **changes)

    def seal(self, sender: str, *recipients: str, **changes: Any) -> Sealed:
        """Seal a draft between members with the sender's message key; see `draft` for `changes`."""
        return self.seal_draft(sender, self.draft(sender, *recipients, **changes))

    def seal_draft(self, sender: str, draft: Draft, key: SigningKey | None = None) -> Sealed:
        agencies = {draft.sender, *(r.agency for r in draft.to)}
        officers = self.directory.officers(agencies, self.now)
        return seal(draft, officers, key or self.parties[sender].member.agent.msg, secrets.token_bytes)

    def receipt(
        self, party: str, delivery: Delivery, state: str, *, desk: str = DESK, **changes: Any
    ) -> Signed:
        """The party's signed step on the ladder of a delivery."""
        agent = self.parties[party].member.agent
        receipt = Receipt(
            v=1,
            eid=b64(delivery.envelope.eid),
            a=self.parties[party].id,
            d=desk,
            state=state,
            body=b64(delivery.envelope.body_hash),
            ts=self.now,
            signer=agent.msg.kid,
            role="idva" if state == "taken-on" else None,
            reason="no-authority" if state == "rejected" else None,
        )
        return sign_receipt(receipt.model_copy(update=changes), agent.msg)

    def grant(self, issuer: str, *others: str, key: SigningKey | None = None, **changes: Any) -> Signed:
        """An agreement between the issuer and others, both ways, for a month."""
        agencies = [self.parties[name].id for name in (issuer, *others)]
        consent = key or self.parties[issuer].member.agent.consent
        value = {
            "cat": ["ask"], "ev": b64(secrets.token_bytes(32)), "exp": self.now + 30 * 24 * 3600, "from": agencies,
            "gid": b64(secrets.token_bytes(16)), "iss": agencies[0], "limited": False, "nbf": self.now - 60,
            "pur": ["SUPPORT"], "signer": consent.kid, "to": agencies, "v": 1, "ver": 1, **changes,
        }  # fmt: skip
        return Signed.make(consent, Purpose.GRANT, value)

    def status(self, issuer: str, grant: Signed, **changes: Any) -> Signed:
        """The issuer's staple for a grant, good for a day."""
        consent = self.parties[issuer].member.agent.consent
        value = {
            "exp": self.now + 24 * 3600, "gid": grant.peek()["gid"], "signer": consent.kid, "state": "active",
            "ts": self.now, "v": 1, **changes,
        }  # fmt: skip
        return Signed.make(consent, Purpose.STATUS, value)

    def withdrawal(self, party: str, grant: Signed, **changes: Any) -> Signed:
        """The end of a grant, by any party to it."""
        consent = self.parties[party].member.agent.consent
        value = {
            "by": self.parties[party].id, "gid": grant.peek()["gid"], "signer": consent.kid, "ts": self.now, "v": 1,
            **changes,
        }  # fmt: skip
        return Signed.make(consent, Purpose.WITHDRAW, value)


MOULDS: dict[str, World] = {}


def lasting_folder() -> Path:
    """A folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="fenpost-mould-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def empty_store() -> bytes:
    """What `fenpost-broker db upgrade` leaves; made once, because the migrations are the half of a relay's start."""
    from broker.upgrade import upgrade

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "relay.db")
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            upgrade(connection)
        engine.dispose()
        return path.read_bytes()


def clock_seconds(clock: SteppedClock) -> int:
    return int(clock())
