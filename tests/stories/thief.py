"""A thief with a copy of an agency's folder, and a program of his own: every key in it, tried at every door."""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import select

from agent import ring
from agent.client import Page, Relay
from agent.forms import Send
from agent.run import Agent
from agent.run import World as Outside
from agent.settings import read_settings
from agent.setup import read_partnership
from agent.tables import sealings
from agent.unlocking import read_keys
from schemas import api
from schemas.canonical import b64
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.envelope import Delivery, Upload
from schemas.errors import Refusal
from schemas.keyfile import unlock
from schemas.keyring import AdminKeys, AgentKeys
from schemas.keys import LIFE, OpeningKey, SigningKey, Use
from schemas.opening import open_delivery
from schemas.partnership import Partnership
from schemas.signing import Signed

OUTSIDE = Outside(time.time, secrets.token_bytes, lambda: 0.0)


class Folder:
    """An agency's folder as whoever has it and its passphrase can read it: the agency, or a thief."""

    def __init__(self, home: Path, passphrase: Path) -> None:
        self.home = home
        self.words = passphrase.read_bytes().strip()
        self.partnership: Partnership = read_partnership(home / "partnership.json")

    def agent(self) -> AgentKeys:
        return read_keys(self.home / "agent.fpk", self.words)

    def admin(self) -> AdminKeys:
        return AdminKeys.from_json(unlock((self.home / "admin.fpk").read_bytes(), "admin", self.words))

    def line(self, key: SigningKey | None = None) -> Relay:
        """The relay, asked with this key, or else with the folder's request key."""
        charter = self.partnership.charter
        return Relay(
            charter.relay, charter.authority, key or self.agent().auth, time.time, secrets.token_bytes
        )

    async def opened(self, line: type[Relay] = Relay) -> Agent:
        """The agent of the folder, with its store, in this process; no other may run from it."""
        return await Agent.open(read_settings(self.home, {}), self.agent(), self.partnership, OUTSIDE, line)

    async def held(self) -> tuple[OpeningKey, ...]:
        """Every receiving key of file and store."""
        agent = await self.opened()
        try:
            own = await agent.store.run(ring.kept)
        finally:
            await agent.close()
        of_file = [prekey.key for prekey in self.agent().prekeys]
        return tuple(
            {key.kid: key for key in (*of_file, *(o.prekey.key for o in own if o.use is Use.PREKEY))}.values()
        )

    async def sealed(self, message: dict[str, Any]) -> bytes:
        """A message of the agency's, sealed with its keys as they are here; nothing is posted."""
        agent = await self.opened()
        try:
            queued = await agent.office.send(Send.model_validate_json(json.dumps(message)))
            wanted = select(sealings.c.upload).where(sealings.c.eid == queued["eid"])
            return bytes(await agent.store.run(lambda c: c.execute(wanted).scalar_one()))
        finally:
            await agent.close()


def copied(home: Path, passphrase: Path, to: Path) -> Folder:
    """The thief's copy of everything that the agency keeps; its settings name his own copy of the passphrase."""
    shutil.copytree(home, to)
    mine = to / "passphrase"
    shutil.copy(passphrase, mine)
    settings = to / "agent.toml"
    settings.write_text(settings.read_text().replace(str(passphrase.resolve()), str(mine.resolve())))
    (to / "agent.port").unlink(missing_ok=True)
    return Folder(to, mine)


async def refused(work: Awaitable[Any]) -> str:
    """The code of the refusal, or "done"."""
    try:
        await work
    except Refusal as refusal:
        return refusal.code
    return "done"


async def said(line: Relay, *signed: Signed) -> list[str]:
    """What the relay answers to directory statements: "recorded", or why not."""
    items = tuple(api.StatementIn(kind="directory", signed=api.SignedJson(**one.to_json())) for one in signed)
    answer = await line.post_statements(api.StatementsRequest(statements=items))
    return [result.code or result.status for result in answer.results]


def adds(chain: Chain, use: Use, key: SigningKey) -> Signed:
    """A key of his own, published in the agency's name."""
    now = int(time.time())
    return chain.add_key(use, key.public, now, now + LIFE[use], now)


async def view_of(folder: Folder, key: SigningKey | None = None) -> Directory:
    """The directory as the relay shows it to whoever may read it."""
    view = Directory(folder.partnership.charter.oversight)
    async with folder.line(key) as line:
        while (page := await line.directory(view.size)).statements:
            for one in page.statements:
                view.apply(Signed.from_json(one.model_dump()))
    return view


async def attempts(thief: Folder, upload: bytes, chain: Chain) -> dict[str, str]:
    """Everything that he can ask for with the agent's keys and the operational key, and each answer."""
    keys, admin, mine = thief.agent(), thief.admin(), SigningKey(secrets.token_bytes(32))
    at = (chain.agency, chain.seq, chain.head)

    def by(signer: Any) -> Chain:
        agency, seq, head = at
        return Chain(agency, signer, seq, head)

    async with thief.line() as agent, thief.line(keys.renew) as renew, thief.line(admin.op) as op:
        tries: dict[str, Callable[[], Awaitable[Any]]] = {
            "send a message": lambda: agent.post_envelopes([upload]),
            "fetch the mail": agent.mailbox,
            "fetch one delivery again": lambda: agent.mailbox(again=secrets.token_urlsafe(32)[:43]),
            "confirm receipt": lambda: agent.post_receipts(api.ReceiptsRequest(receipts=(), notices=(1,))),
            "read the directory": lambda: agent.directory(0),
            "cosign the log": lambda: agent.post_cosignature(1, "x"),
            "log in as an officer": lambda: agent.records(0),
            "read the directory with the renew key": lambda: renew.directory(0),
            "publish a request key with the renew key": lambda: said(
                renew, adds(by(keys.renew), Use.AUTH, mine)
            ),
            "publish a receiving key's signer with the operational key": lambda: said(
                agent, adds(by(admin.op), Use.MSG, mine)
            ),
            "end the agency's new keys": lambda: said(
                agent, by(admin.op).revoke(keys.witness.kid, "lost", int(time.time()), int(time.time()))
            ),
            "take over the operational key": lambda: said(
                agent, by(admin.op).rotate_op(mine, int(time.time()))
            ),
            "ask with the operational key itself": op.mailbox,
        }
        return {name: await refused(work()) for name, work in tries.items()}


async def knock(thief: Folder) -> list[tuple[float, str]]:
    """He asks again and again, until he has been refused ten times: when each request began, and its answer."""
    found: list[tuple[float, str]] = []
    async with thief.line() as line:
        while sum(code != "done" for _, code in found) < 10:
            at = time.time()
            found.append((at, await refused(line.directory(2**40))))
            await asyncio.sleep(0.1)
    return found


class Lying(Relay):
    """A relay that hands out what no relay may: deliveries that a thief signed."""

    hands_out: tuple[bytes, ...] = ()
    desk = ""

    async def mailbox(self, wait: int = 0, limit: int = api.PAGE_ITEMS, again: str | None = None) -> Page:
        page, found = (
            await super().mailbox(0, limit, again),
            [Delivery.parse(data) for data in self.hands_out],
        )
        items = tuple(api.PageItem(eid=b64(one.envelope.eid), d=self.desk, state="queued") for one in found)
        return Page(page.head.model_copy(update={"items": items}), self.hands_out)


def delivery_of(upload: bytes, agency: str) -> bytes:
    """What a relay would hand to one recipient, without a proof: the log holds nothing of it."""
    parsed = Upload.parse(upload)
    place = next(at for at, row in enumerate(parsed.envelope.header.to) if row.a == agency)
    return Delivery(parsed.envelope, parsed.wraps[place], parsed.record, b"{}").to_bytes()


def opens(delivery: bytes, keys: tuple[OpeningKey, ...]) -> bool:
    """Whether any of these keys opens it."""
    for key in keys:
        with suppress(Refusal):
            open_delivery(Delivery.parse(delivery), key)
            return True
    return False
