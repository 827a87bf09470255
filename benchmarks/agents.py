"""The cycle with real agents on the same machine: case system -> agent -> relay -> agent -> case system -> taken on.

Two agents and a relay, each a process; this process plays both case systems over the loopback REST.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from benchmarks.partnership import DESK, Bench, found, session
from keys_tooling.ceremony import Member
from schemas.canonical import Json
from schemas.keyfile import QUICK, lock

FLIGHT = 8
PATIENCE = 60.0
CONCERN: Json = {
    "type": "child.concern",
    "v": 1,
    "rag": "RED",
    "rag_why": "A measurement, about nobody",
    "person_ref": "qWeRtY0123456789abcdef",
    "child": {"legal_name": "Wrenna Brambleworth", "age": 11},
    "concern": [{"text": "A mark on the arm", "kind": "fact", "said_by_role": "class teacher"}],
    "impact_on_child": "Does not want to go home",
    "parents_told": False,
    "what_should_change": "That somebody sees Wren",
    "reply_to": {"desk": DESK},
}
LAW: Json = {"b6": "6ea:safeguarding", "b9": "9g", "s1": ["s1:18"], "why_no": "C", "conf": "public_interest"}


@dataclass(frozen=True, slots=True)
class Desk:
    """One running agent, as its case system sees it."""

    process: subprocess.Popen[bytes]
    url: str
    token: str

    async def ask(self, http: aiohttp.ClientSession, method: str, path: str, value: Json = None) -> Json:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with http.request(method, self.url + path, json=value, headers=headers) as answer:
            body: Json = await answer.json()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {body}")
            return body


def start_agent(bench: Bench, member: Member, folder: Path) -> Desk:
    """Write an agent's folder, and run the agent."""
    folder.mkdir(parents=True)
    passphrase = secrets.token_urlsafe(18)
    secret_files = {
        "passphrase": passphrase.encode() + b"\n",
        "agent.fpk": lock(
            member.agent.to_json(), member.agent.HOLDS, passphrase.encode(), QUICK, secrets.token_bytes
        ),
    }
    for name, data in secret_files.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
    (folder / "partnership.json").write_bytes(bench.partnership.to_bytes())
    words = ["--dir", str(folder)]
    run = [sys.executable, "-m", "agent"]
    subprocess.run(
        [*run, "init", *words, "--passphrase-file", str(folder / "passphrase")],
        check=True,
        capture_output=True,
    )
    with (folder / "agent.log").open("ab") as log:
        process = subprocess.Popen([*run, "run", *words], stdout=log, stderr=log)
    port, end = folder / "agent.port", time.monotonic() + PATIENCE
    while not port.exists():
        if time.monotonic() > end or process.poll() is not None:
            raise RuntimeError(f"the agent did not start:\n{(folder / 'agent.log').read_text()[-2000:]}")
        time.sleep(0.05)
    host, number = port.read_text().split()
    return Desk(process, f"http://{host}:{number}", (folder / "api.token").read_text().strip())


async def cycle(sender: Desk, recipient: Desk, to: Json, count: int) -> float:
    """Messages a second, from the case system's POST until the other one has taken each on."""
    start = time.perf_counter()
    todo = iter(range(count))
    async with session() as http:

        async def send() -> None:
            for _ in todo:
                form = {
                    "kind": "child.concern",
                    "payload": CONCERN,
                    "to": [to],
                    "purpose": "CHILD_PROT",
                    "law": LAW,
                }
                await sender.ask(http, "POST", "/v1/messages", form)

        async def take() -> None:
            taken, end = 0, time.monotonic() + PATIENCE + count
            while taken < count:
                if time.monotonic() > end:
                    raise RuntimeError(f"only {taken} of {count} arrived")
                items = (await recipient.ask(http, "GET", "/v1/inbox"))["items"]
                for item in items:
                    await recipient.ask(http, "POST", f"/v1/inbox/{item['id']}/take-on", {"role": "duty"})
                taken += len(items)
                if not items:
                    await asyncio.sleep(0.02)

        await asyncio.gather(take(), *(send() for _ in range(FLIGHT)))
    return count / (time.perf_counter() - start)


def measure(count: int) -> dict[str, float]:
    """The rate, and what relay and agent hold in memory while they idle, in MB."""
    with tempfile.TemporaryDirectory(prefix="fenpost-bench-") as name:
        folder = Path(name)
        bench = found(folder / "relay", int(time.time()))
        bench.start()
        agents: list[Desk] = []
        try:
            for who, member in (("sender", bench.sender), ("recipient", bench.recipient)):
                agents.append(start_agent(bench, member, folder / who))
            time.sleep(2)
            idle = {
                "relay.idle.rss_mb": _resident(bench.process),
                "agent.idle.rss_mb": max(_resident(desk.process) for desk in agents),
            }
            to = {"agency": bench.recipient.id, "desk": DESK}
            return {"e2e.per_s": asyncio.run(cycle(agents[0], agents[1], to, count)), **idle}
        finally:
            for desk in agents:
                desk.process.send_signal(signal.SIGTERM)
                desk.process.wait(30)
            bench.stop()


def _resident(process: subprocess.Popen[bytes] | None) -> float:
    """Megabytes of a process and of those that it started."""
    if process is None:
        return 0.0
    parent = psutil.Process(process.pid)
    return sum(float(p.memory_info().rss) for p in (parent, *parent.children(recursive=True))) / 1e6
