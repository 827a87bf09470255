"""A partnership that is seized: its relay and two agents as processes of their own, every word in it sown with a token.

    seized = Seized.of(folder)            # runs it, then stops the agents; the relay goes on
    seized.relay_files(), seized.memories()

What a person writes (every free field of every form, case references, reasons, names of files, how agreement was
asked) holds the token; so one search says whether any of it got out.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from click.testing import CliRunner

from keys_tooling.audit_main import audit
from keys_tooling.ceremony import make_agency, make_officer
from keys_tooling.console import World as Outside
from keys_tooling.enrolment import make_enrolment
from schemas import api
from schemas.canonical import b64
from schemas.directory_statement import Flags
from schemas.errors import Refusal
from schemas.invite import enrolling, invite_key
from schemas.keyfile import QUICK, lock
from schemas.messages.catalogue import CLASSES, parse_payload
from schemas.override import authorise_override, request_override
from tests.agent.agencies import EVIDENCE, MESSAGE, RESPONSE, folder_of
from tests.broker.leads import People, post_override, risky
from tests.canaries import new_token, sown
from tests.messages.samples import FULL, LEAST
from tests.simulated_world import PASSPHRASE, SteppedClock, World
from tests.tools.override_world import core_for, reason_record
from tests.town import clean_environment, until

DAY = 24 * 3600
PATIENT = 120.0
"""Seconds that anything here may take on a machine that has much else to do; usual is one or two."""
DUMPING = Path(__file__).parent / "tools" / "dumping"
ROOT = Path(__file__).parents[1]


class WallClock(SteppedClock):
    """The time of day: processes of their own look at it too."""

    def __init__(self) -> None:
        super().__init__(time.time())

    def __call__(self) -> float:
        return time.time()


def is_payload(value: Any) -> bool:
    try:
        parse_payload(json.dumps(value))
    except Refusal:
        return False
    return True


@dataclass(slots=True)
class Seized:
    """Everything that a search may look at. `rks` are the keys of single records that the relay answered with."""

    folder: Path
    world: World
    token: str
    sown: dict[str, int] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    rks: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: Path) -> Seized:
        # People's keys count a day after they were published, and chains are never dated backwards.
        founded = int(time.time()) - 2 * DAY
        world = World.found(folder / "world", "Peacock", "IDVAS", "Harbour", now=founded)
        people = People.of(world)
        world.clock = WallClock()
        seized = cls(folder, world, new_token(secrets.token_bytes))
        for name in ("memory", "tmp"):
            (folder / name).mkdir()
        try:
            seized.start("relay", "broker", "run", "--config", folder / "world" / "relay" / "relay.toml")
            until((seized.relay_folder / "relay.port").exists, "the relay listens", PATIENT)
            asyncio.run(seized.play(people))
        except BaseException:
            seized.stop_all()
            raise
        return seized

    # --- places

    @property
    def relay_folder(self) -> Path:
        return self.folder / "world" / "relay"

    def relay_files(self) -> list[Path]:
        """All that the relay wrote: its folder, its log, its temporary files."""
        files = [self.folder / "relay.log", *self.relay_folder.rglob("*"), *(self.folder / "tmp").rglob("*")]
        return [path for path in files if path.is_file()]

    def metrics(self) -> Path:
        """What the relay's operator sees, as a file."""
        port = re.search(rb'"admin_port": ?(\d+)', (self.folder / "relay.log").read_bytes())
        assert port is not None
        kept = self.folder / "metrics.txt"
        with urllib.request.urlopen(f"http://127.0.0.1:{int(port[1])}/metrics", timeout=5) as answer:
            kept.write_bytes(answer.read())
        return kept

    def backup(self) -> Path:
        """A backup made as an operator makes it: through the database."""
        kept = self.folder / "backup.db"
        live, copy = (sqlite3.connect(path) for path in (self.relay_folder / "relay.db", kept))
        with contextlib.closing(live), contextlib.closing(copy):
            live.backup(copy)
        return kept

    def memories(self) -> list[Path]:
        """What a core file of the relay and of each process that it started would hold."""
        relay = self.running["relay"].pid
        pids = [relay, *children(relay)]
        for pid in pids:
            (self.folder / "memory" / f"{pid}.done").unlink(missing_ok=True)
            os.kill(pid, signal.SIGUSR1)
        until(
            lambda: all((self.folder / "memory" / f"{pid}.done").exists() for pid in pids),
            "memory is written",
        )
        return [self.folder / "memory" / f"{pid}.memory" for pid in pids]

    def dumpable(self) -> dict[int, str]:
        """For each process of the relay, whether the kernel lets others of its user look in ("0": no)."""
        return {int(path.stem): path.read_text() for path in (self.folder / "memory").glob("*.done")}

    # --- processes

    def start(self, who: str, module: str, *words: str | Path) -> None:
        environment = clean_environment() | {
            "PYTHONPATH": os.pathsep.join([str(DUMPING), str(ROOT)]),
            "MEMORY_FOLDER": str(self.folder / "memory"),
            "TMPDIR": str(self.folder / "tmp"),
        }
        with (self.folder / f"{who}.log").open("ab") as log:
            self.running[who] = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, words)],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, cwd=self.folder,
            )  # fmt: skip

    def stop(self, who: str) -> None:
        process = self.running.pop(who)
        process.send_signal(signal.SIGTERM)
        process.wait(60)

    def stop_all(self) -> None:
        for who in [*self.running]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop(who)

    # --- what happens there

    async def play(self, people: People) -> None:
        async with self.world.session() as http:
            await self._forms(http)
            await self._invited(http)
            await self._overrides(http, people)
            await self._agencies(http)
            await self._new_epoch(http)

    async def _invited(self, http: aiohttp.ClientSession) -> None:
        """An invitation, and the enrolment that came with it."""
        world, secret = self.world, secrets.token_bytes(16)
        oversight, mark = world.parties["oversight"].id, invite_key(secret).kid
        invite = {"act": "invite", "mark": mark, "until": world.now + DAY}
        made = await world.call(http, "oversight", "POST", api.INVITES, body=json.dumps(invite).encode())
        assert made.status == 200, made.body
        member = make_agency(world.now, secrets.token_bytes, (make_officer(secrets.token_bytes)[1],))
        flags = Flags(public_authority=False, s16la_member=False, cda_relevant=False)
        found = make_enrolment(member, oversight, "Cormorant House", ("intake",), flags, world.now)
        said = enrolling(secret, found.to_bytes().decode("ascii"), oversight)
        body = io.BytesIO(json.dumps(said.model_dump()).encode())
        async with http.post(api.ENROLMENTS, data=body, headers={"Content-Type": api.JSON}) as answer:
            assert answer.status == 200, await answer.read()

    async def _forms(self, http: aiohttp.ClientSession) -> None:
        """One message of every form: some wait, one is taken on, one rests on an agreement, one is refused."""
        world, uploads = self.world, []
        for kind in CLASSES:
            payload, self.sown[kind] = sown(FULL.get(kind) or LEAST[kind], self.token, is_payload)
            uploads.append(world.seal("Peacock", "Harbour", payload=json.dumps(payload), **self._about(kind)))
        # Many at once: this is what brings the relay to start its calculator.
        for _ in range(3):
            uploads += [
                world.seal("Peacock", "Harbour", payload=f'{{"ask":"{self.token}"}}', **self._about("more"))
                for _ in range(40)
            ]
        for at in range(0, len(uploads), 40):
            answer = await world.post_envelopes(http, "Peacock", *uploads[at : at + 40])
            results = answer.json()["results"]
            assert {one["status"] for one in results} == {"accepted"}, results
            self.rks += [one["rk"] for one in results]
        page = await world.mailbox(http, "Harbour", "wait=0&limit=2")
        await world.post_receipts(http, "Harbour", world.receipt("Harbour", page.deliveries[0], "taken-on"))
        grant = world.grant("Peacock", "Harbour")
        status = world.status("Peacock", grant)
        await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
        resting = world.seal("Peacock", "Harbour", grant=grant, status=status, **self._about("resting"))
        assert (await world.post_envelopes(http, "Peacock", resting)).status == 200
        await world.post_statements(http, "Harbour", ("withdraw", world.withdrawal("Harbour", grant)))
        refused = world.seal("Peacock", "Harbour", grant=grant, status=status, **self._about("refused"))
        assert (await world.post_envelopes(http, "Peacock", refused)).status == 403

    def _about(self, what: str) -> dict[str, Any]:
        """What a sender's record says besides codes."""
        return {"subject": f"{self.token} case of {what}", "author": f"{self.token} author"}

    async def _overrides(self, http: aiohttp.ClientSession, people: People) -> None:
        """A message that waits for a lead, one that is released, and the reason in words."""
        waits, goes = (risky(self.world, "Harbour", **self._about("held")) for _ in range(2))
        for sealed in (waits, goes):
            await self.world.post_envelopes(http, "Peacock", sealed)
        header = goes.upload.envelope.header
        oid = b64(secrets.token_bytes(16))
        record = reason_record(self.world, "Peacock", oid, f"{self.token} is in danger")
        core = core_for(self.world, header, people.keys["author"], record, oid)
        request = request_override(core, people.keys["author"])
        signed = authorise_override(request, people.keys["lead"], core.ts)
        said = await post_override(self.world, http, signed, record)
        assert said[0] == "recorded", said

    async def _agencies(self, http: aiohttp.ClientSession) -> None:
        """Two real agents, with everything that a worker may type."""
        del http
        homes = {name: folder_of(self.world, name) for name in ("Peacock", "IDVAS")}
        for name, home in homes.items():
            self.start(name, "agent", "run", "--dir", home)
        desks = {name: Desk(home) for name, home in homes.items()}
        for desk in desks.values():
            await desk.ready()
        token, to = self.token, self.world.parties["IDVAS"].id
        async with aiohttp.ClientSession() as session:
            peacock, idvas = (desks[name].using(session) for name in ("Peacock", "IDVAS"))
            evidence = EVIDENCE | {
                "words_used": f"{token} may I?",
                "asked_on": day(-1),
                "valid_until": day(60),
            }
            given = {"to": [to], "purposes": ["SUPPORT"], "categories": CATEGORIES, "evidence": evidence}
            gid = (await peacock.ok("POST", "/v1/consent", given))["gid"]
            message, _ = sown(MESSAGE | {"reply_to": {"desk": "intake"}}, token, is_payload)
            form = {
                "kind": "referral.universal",
                "payload": message,
                "to": [{"agency": to, "desk": "intake"}],
            }
            sent = await peacock.ok("POST", "/v1/messages", form | {"gid": gid, "case_ref": f"{token} case"})
            (homes["Peacock"] / "OUT" / f"{token}.json").write_text(
                json.dumps(form | {"gid": gid, "case_ref": f"{token} file"})
            )
            first = await idvas.first()
            assert token in json.dumps(await idvas.ok("GET", f"/v1/inbox/{first['id']}"))
            await idvas.ok(
                "POST", f"/v1/inbox/{first['id']}/take-on", {"role": "idva", "case_ref": f"{token} theirs"}
            )
            answer, _ = sown(RESPONSE | {"first_contact_by": day(3)}, token, is_payload)
            back = {"kind": "referral.response", "payload": answer, "answers": first["id"], "gid": gid}
            await idvas.ok("POST", "/v1/messages", back)
            unshared = {
                "case_ref": f"{token} kept", "purpose": "SUPPORT", "categories": ["person"], "to": [{"agency": to}],
                "to_others": f"{token} outside", "why": "could_endanger_person", "because": f"{token} because",
                "risk_if_shared": f"{token} shared", "risk_if_not": f"{token} not", "decided_by": "lead",
                "persons_view": f"{token} view", "review_on": day(30),
            }  # fmt: skip
            await peacock.ok("POST", "/v1/nondisclosures", unshared)
            await peacock.reach(sent["mid"], "taken-on")
        until(
            lambda: not (homes["Peacock"] / "OUT" / f"{token}.json").exists(),
            "the dropped file was taken",
            PATIENT,
        )
        for name in homes:
            self.stop(name)

    def begin_epoch(self) -> None:
        """End the running epoch and begin another, which has its whole minute before it."""

        async def begin() -> None:
            async with self.world.session() as http:
                await self._new_epoch(http)

        asyncio.run(begin())

    async def _new_epoch(self, http: aiohttp.ClientSession) -> None:
        """A key that changes ends every epoch; an event begins the next. Then some turns of other work go by."""
        from keys_tooling.ceremony import make_officer
        from schemas.chain import Chain
        from schemas.keys import Use

        own, now = self.world.parties["Harbour"], int(time.time())
        _, card = make_officer(secrets.token_bytes)
        view = self.world.directory.agencies[own.id]
        chain = Chain(own.id, own.admin.op, view.seq, view.head)
        signed = chain.add_key(Use.IG_AUTH, card.auth, now - 60, now + 86_400, now, "ig")
        await self.world.post_statements(http, "Harbour", ("directory", signed))
        self.world.take(signed)
        for _ in range(20):
            await self.world.post_envelopes(http, "Peacock", self.world.seal("Peacock", "Harbour"))

    def officer(self, name: str) -> Path:
        """An officer's folder after a day's work: pulled, read, asked."""
        home = self.folder / f"officer-{name}"
        home.mkdir(mode=0o700)
        keys = self.world.parties[name].officer
        sealed = lock(keys.to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
        for path, data in (
            (home / "officer.fpk", sealed),
            (self.folder / "officer.pass", PASSPHRASE + b"\n"),
        ):
            path.touch(0o600)
            path.write_bytes(data)
        outside = Outside(self.world.clock, secrets.token_bytes)
        partnership = ("--partnership", str(self.relay_folder / "partnership.json"))
        for words in (("pull", *partnership), ("retention", "holds"), ("read",)):
            secret = ("--passphrase-file", str(self.folder / "officer.pass"))
            done = CliRunner().invoke(audit, [*words, "--dir", str(home), *secret, "--json"], obj=outside)
            assert done.exit_code in (0, 1), (done.output, done.exception)
        return home


CATEGORIES = ["ask", "contact", "needs", "person", "response", "wishes", "reasons", "access"]


def day(offset: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(time.time() + offset * 86_400))


def children(pid: int) -> list[int]:
    """The processes that this one started, and theirs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                found += [int(path.parent.name), *children(int(path.parent.name))]
    return found


@dataclass(slots=True)
class Desk:
    """A case system at an agent that is a process of its own."""

    home: Path
    session: aiohttp.ClientSession | None = None

    async def ready(self) -> None:
        end = time.monotonic() + PATIENT
        while not (self.home / "agent.port").exists():
            assert time.monotonic() < end, "the agent does not listen"
            await asyncio.sleep(0.05)

    def using(self, session: aiohttp.ClientSession) -> Desk:
        return Desk(self.home, session)

    async def ok(self, method: str, path: str, value: Any = None) -> Any:
        assert self.session is not None
        host, port = (self.home / "agent.port").read_text().split()
        headers = {"Authorization": f"Bearer {(self.home / 'api.token').read_text().strip()}"}
        data = None if value is None else json.dumps(value).encode()
        url = f"http://{host}:{port}{path}"
        async with self.session.request(method, url, data=data, headers=headers) as response:
            answer = json.loads(await response.read())
            assert response.status < 300, answer
            return answer

    async def first(self) -> Any:
        """Wait for something in the inbox."""
        items = await self._until("/v1/inbox", lambda answer: answer["items"])
        return items[0]

    async def reach(self, mid: str, state: str) -> None:
        """Wait until a sent message has this state at its first desk."""
        await self._until(f"/v1/messages/{mid}", lambda answer: answer["desks"][0]["state"] == state)

    async def _until(self, path: str, found: Callable[[Any], Any]) -> Any:
        end = time.monotonic() + PATIENT
        while not (there := found(await self.ok("GET", path))):
            assert time.monotonic() < end, f"nothing came of {path}"
            await asyncio.sleep(0.1)
        return there


def files_below(folder: Path, *but: str) -> Iterator[Path]:
    """Every file below a folder, but what lies in these of its own folders."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.relative_to(folder).parts[0] not in but:
            yield path
