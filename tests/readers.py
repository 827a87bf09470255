"""Who can read what, found out by trying: a real relay, every party's keys, and all that each can get hold of.

For each party: every page that its keys let it fetch is fetched, every file that it would have is read, and everything
in them is opened that its keys open. For each thing that is stored or sent there is something that only it holds.
Whether that turned up is the whole answer; nothing here says beforehand who may.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from schemas import api
from schemas.audit import Leaf, tag_text
from schemas.canonical import b64, unb64
from schemas.envelope import Delivery
from schemas.errors import Refusal
from schemas.hashing import Frames
from schemas.hold import make_hold
from schemas.keyfile import QUICK, lock
from schemas.keys import OpeningKey, SigningKey
from schemas.nondisclosure import Weighed, seal_undisclosed
from schemas.opening import (
    epoch_record_key,
    open_delivery,
    open_epoch,
    open_record,
    record_key,
    unveil_record,
)
from schemas.override import authorise_override, request_override
from schemas.record import SealedRecord
from schemas.sealing import Sealed
from tests.agent.agencies import quiet
from tests.broker.leads import People, post_override, risky
from tests.keys_tooling.mirrored import pull_served
from tests.simulated_world import AGREED, DESK, PASSPHRASE, World
from tests.tools.override_world import core_for, reason_record

WITH = ("Peacock", "IDVAS")
"""Sender and recipient of everything; Harbour takes no part."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something stored or sent. `token` is in it and nowhere else; `sealed` are bytes of it as others see it."""

    name: str
    token: bytes
    sealed: bytes = b""


@dataclass(slots=True)
class Got:
    """What a party got hold of, and what that comes to once everything is opened that its keys open."""

    data: bytearray = field(default_factory=bytearray)
    read: bytearray = field(default_factory=bytearray)

    def fetched(self, data: bytes) -> None:
        self.data += data
        self.read += data

    def opened(self, value: Any) -> None:
        self.read += value if isinstance(value, bytes) else json.dumps(value).encode()

    def says(self, thing: Thing) -> str:
        if thing.token in self.read:
            return "reads"
        return "sealed" if thing.sealed and thing.sealed in self.data else ""


@dataclass(frozen=True, slots=True)
class Findings:
    """The rows and columns of the map."""

    things: tuple[Thing, ...]
    parties: dict[str, Got]


@dataclass(slots=True)
class Play:
    """One partnership and what happens in it, remembered for whoever took part."""

    world: World
    people: People
    http: aiohttp.ClientSession
    posted: Got = field(default_factory=Got)
    known: dict[str, list[Any]] = field(default_factory=lambda: {"Peacock": [], "IDVAS": []})
    """What an agency's people typed, and what its agent made of the relay's answers."""
    gid: str = ""

    async def run(self) -> tuple[Thing, ...]:
        """Everything that is stored or sent, once."""
        words, subject, reason, weighed = (f"word{secrets.token_hex(8)}" for _ in range(4))
        role = f"role-{secrets.token_hex(6)}"
        grant = self.world.grant(*WITH)
        status = self.world.status("Peacock", grant)
        self.gid = str(grant.peek()["gid"])
        await self.world.post_statements(self.http, "Peacock", ("grant", grant), ("status", status))
        about = {"grant": grant, "status": status, "law": AGREED}
        ended = self.world.seal(*WITH, **about)
        await self._send(ended)
        page = await self.world.mailbox(self.http, "IDVAS")
        receipt = self.world.receipt("IDVAS", page.deliveries[0], "taken-on", role=role)
        await self.world.post_receipts(self.http, "IDVAS", receipt)
        self.known["IDVAS"].append(role)
        waits = self.world.seal(*WITH, payload=json.dumps({"ask": words}), subject=subject, **about)
        self.known["Peacock"] += [words, subject, reason, weighed]
        await self._send(waits)
        refused = self.world.seal(*WITH, **{**about, "law": {**AGREED, "agree": "REFUSED"}})
        await self._send(refused)
        oid, sealed_reason = await self._override(reason)
        nid, sealed_weighed = await self._undisclosed(weighed)
        hid = await self._hold()
        envelope = waits.upload.envelope
        leaf, record = next(
            (leaf, relay) for leaf, relay, _ in await self.entries() if leaf.tag == envelope.eid
        )
        return (
            Thing("that something happened, and when: leaves and checkpoints", leaf.relay_record),
            Thing(
                "who is a member, with which keys",
                b64(self.world.parties["Harbour"].member.agent.msg.public).encode(),
            ),
            Thing("the policy in force", b"role_key_delay_s"),
            Thing("header of a message: who, to whom, when, why, kinds, law", envelope.header.mid.encode()),
            Thing("words of a message", words.encode(), envelope.body[-48:]),
            Thing(
                "sender's record of it: keyed case reference, author",
                subject.encode(),
                waits.upload.record[-48:],
            ),
            Thing("relay's record of it: header, decision", b64(envelope.wm_hash).encode(), record[-48:]),
            Thing("steps of a delivery, and the role that took it on", role.encode()),
            Thing("that a message was refused, and why", refused.upload.envelope.header.mid.encode()),
            Thing("an agreement, in codes, under a random handle", self.gid.encode()),
            Thing("an override: which two keys signed, for what", oid.encode()),
            Thing("the reason of an override, in words", reason.encode(), sealed_reason[-48:]),
            Thing("that an agency decided not to share something", nid.encode()),
            Thing("what it did not share, away from whom, why", weighed.encode(), sealed_weighed[-48:]),
            Thing("a hold for a review, and on which entries", hid.encode()),
        )

    async def _send(self, sealed: Sealed) -> None:
        self.posted.fetched(sealed.upload.to_bytes())
        self.known["Peacock"].append(sealed.upload.envelope.header_bytes)
        answer = await self.world.post_envelopes(self.http, "Peacock", sealed)
        for one in answer.json().get("results", ()):
            if one.get("rk"):
                record = SealedRecord.parse(unb64(one["record"]))
                self.known["Peacock"].append(open_record(record, unb64(one["rk"], 32), record.head.ctx))

    async def _override(self, reason: str) -> tuple[str, bytes]:
        """A message that waited for a lead and was let go."""
        held = risky(self.world, "IDVAS")
        await self._send(held)
        oid = b64(secrets.token_bytes(16))
        record = reason_record(self.world, "Peacock", oid, reason)
        core = core_for(self.world, held.upload.envelope.header, self.people.keys["author"], record, oid)
        request = request_override(core, self.people.keys["author"])
        signed = authorise_override(request, self.people.keys["lead"], core.ts)
        self.posted.fetched(signed.text + record)
        said = await post_override(self.world, self.http, signed, record)
        assert said[0] == "recorded", said
        return oid, record

    async def _undisclosed(self, weighed: str) -> tuple[str, bytes]:
        own, nid = self.world.parties["Peacock"], b64(secrets.token_bytes(16))
        decision = Weighed(
            own.id, ((self.world.parties["IDVAS"].id, DESK),), False, "SUPPORT", ("person",),
            "could_endanger_person", "worker", self.world.now + 86_400, weighed, "words that stay",
        )  # fmt: skip
        officers = self.world.directory.officers({own.id}, self.world.now)
        signed, record = seal_undisclosed(
            decision, nid, self.world.now, officers, own.member.agent.msg, secrets.token_bytes(32)
        )
        self.posted.fetched(signed.text + record)
        item = {"kind": "nondisclosure", "signed": signed.to_json(), "record": b64(record)}
        await self._say(item, own.member.agent.auth)
        self.known["Peacock"].append(nid)
        return nid, record

    async def _hold(self) -> str:
        own, hid = self.world.parties["Peacock"], b64(secrets.token_bytes(16))
        signed = make_hold(own.officer.auth, own.id, hid, ((1, 2),), self.world.now)
        self.posted.fetched(signed.text)
        await self._say({"kind": "hold", "signed": signed.to_json()}, own.officer.auth)
        return hid

    async def _say(self, item: dict[str, Any], key: SigningKey) -> None:
        body = json.dumps({"statements": [item]}).encode()
        answer = await self.world.call(self.http, "Peacock", "POST", api.STATEMENTS, body=body, key=key)
        (result,) = answer.json()["results"]
        assert result["status"] == "recorded", result

    # --- looking

    async def entries(self) -> list[tuple[Leaf, bytes, bytes]]:
        """The whole log as oversight's officer is given it: each leaf, the relay's record, the veiled sender's."""
        key = self.world.parties["oversight"].officer.auth
        answer = await self._get(api.RECORDS, "from=0", key)
        parts = list(Frames(answer or b"").frames(api.UPLOAD_LIMIT))
        pairs = list(zip(parts[::2], parts[1::2], strict=True))
        bundle = await self._get(f"{api.LOG}/tile/entries/000.p/{len(pairs)}", "", None) or b""
        leaves = [Leaf.parse(bundle[at + 2 : at + 99]) for at in range(0, len(bundle), 99)]
        return [(leaf, *pair) for leaf, pair in zip(leaves, pairs, strict=False)]

    async def _get(self, path: str, query: str, key: SigningKey | None) -> bytes | None:
        if key is None:
            answer = await self.world.send(self.http, "GET", path, query, b"", {})
        else:
            answer = await self.world.call(self.http, "Peacock", "GET", path, query, key=key)
        return answer.body if answer.status == 200 else None

    async def look(self, key: SigningKey | None, opening: Sequence[OpeningKey] = ()) -> Got:
        """Every page that this key lets somebody fetch, and all in them that these keys open."""
        got, size = Got(), len(await self.entries())
        digest = self.world.directory.policies.entries[-1].digest
        pages = (
            (api.CHECKPOINT, ""), (f"{api.LOG}/tile/entries/000.p/{size}", ""), (api.DIRECTORY, "after=0"),
            (api.POLICY, f"digest={digest}"), (api.GRANT.format(gid=self.gid), ""), (api.HEAD, ""),
            (api.EPOCHS, "after=-1"), (api.RECORDS, "from=0"), (api.MAILBOX, "wait=0&limit=64"),
        )  # fmt: skip
        epochs: list[api.EpochItem] = []
        for path, query in pages:
            if (body := await self._get(path, query, key)) is None:
                continue
            got.fetched(body)
            if path == api.EPOCHS:
                epochs = list(api.EpochsPage.model_validate_json(body).epochs)
            if path == api.MAILBOX:
                _open_mail(got, body, opening)
        keys = [
            open_epoch(unb64(one.id, 32), unb64(one.wrap), own)
            for one in epochs for own in opening if own.kid == one.kid
        ]  # fmt: skip
        if keys:
            await self.open_log(got, keys, opening)
        return got

    async def open_log(self, got: Got, epoch_keys: Sequence[bytes], officers: Sequence[OpeningKey]) -> None:
        """Whatever of the log these keys open."""
        for leaf, relay, veiled in await self.entries():
            record = SealedRecord.parse(relay)
            for epoch_key in epoch_keys:
                rk = epoch_record_key(record, epoch_key)
                if rk is None:
                    continue
                got.opened(open_record(record, rk, tag_text(leaf.tag)))
                if veiled:
                    sealed = unveil_record(veiled, leaf.tag, rk)
                    got.fetched(sealed)
                    inner = SealedRecord.parse(sealed)
                    with suppress(Refusal):
                        got.opened(open_record(inner, record_key(inner, officers), inner.head.ctx))
                break


def _open_mail(got: Got, body: bytes, opening: Sequence[OpeningKey]) -> None:
    for frame in list(Frames(body).frames(api.MAX_BODY))[1:]:
        delivery = Delivery.parse(frame)
        for key in opening:
            with suppress(Refusal):
                opened = open_delivery(delivery, key)
                got.opened({"facts": opened.facts, "payload": opened.payload})


async def find_out(folder: Path) -> Findings:
    """Play it, and look with everybody's eyes."""
    world = World.found(folder, *WITH, "Harbour")
    people = People.of(world)
    async with world.relay() as running, world.session() as http:
        play = Play(world, people, http)
        things = await play.run()
        parties = {
            "sender's agent": await _agent(play, "Peacock"),
            "recipient's agent": await _agent(play, "IDVAS"),
            "another agency's agent": await _agent(play, "Harbour"),
            "oversight's agent": await _agent(play, "oversight"),
            "sender's officer": await _officer(play, "Peacock"),
            "recipient's officer": await _officer(play, "IDVAS"),
            "another agency's officer": await _officer(play, "Harbour"),
            "oversight's officer": await _officer(play, "oversight"),
            "an administrator": await play.look(world.parties["Peacock"].admin.op),
            "anybody": await play.look(None),
        }
        disk, live = _files(folder / "relay"), Got()
        live.fetched(bytes(play.posted.data))
        await play.open_log(live, list(running.sequencer._epochs.keys.values()), ())
        async with quiet(world, "IDVAS") as agent:  # it collects; then its disk is taken
            await agent.inbox.collect(0)
        laptop = await _laptop(play, folder / "laptop")
    live.fetched(bytes(disk.data))
    parties |= {
        "the relay, running": live,
        "relay's disk or backup": disk,
        "an agent's disk": _files(folder / "IDVAS"),
        "an officer's laptop": laptop,
    }
    return Findings(things, parties)


async def _agent(play: Play, name: str) -> Got:
    own = play.world.parties[name].member.agent
    got = await play.look(own.auth, [prekey.key for prekey in own.prekeys])
    for known in play.known.get(name, ()):
        got.opened(known)
    if name == "Peacock":
        got.fetched(bytes(play.posted.data))
    return got


async def _officer(play: Play, name: str) -> Got:
    keys = play.world.parties[name].officer
    return await play.look(keys.auth, [keys.ig])


async def _laptop(play: Play, home: Path) -> Got:
    """An officer's folder as `fenpost-audit pull` leaves it, without its passphrase."""
    home.mkdir(mode=0o700)
    keys = play.world.parties["Peacock"].officer
    (home / "officer.fpk").write_bytes(
        lock(keys.to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
    )
    await pull_served(play.world, home, "Peacock")
    return _files(home)


def _files(folder: Path) -> Got:
    """A disk: every file, and no passphrase."""
    got = Got()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "passphrase":
            got.fetched(path.read_bytes())
    return got
