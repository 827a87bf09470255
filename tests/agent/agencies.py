"""Agents of a simulated world: a folder made by the real `init`, and an agent run in this process on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from agent.client import Relay
from agent.run import Agent
from agent.run import World as Outside
from agent.settings import Settings
from agent.setup import init, read_partnership
from agent.unlocking import read_keys
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from tests.simulated_world import PASSPHRASE, World

MESSAGE = {
    "type": "referral.universal",
    "v": 1,
    "rag": "AMBER",
    "rag_why": "Things got worse this week.",
    "ask": "Please ring and offer an appointment.",
    "strand": ["da"],
    "person": {"person_ref": "pUx7cR0vQm2dLk9sTfWz4A", "known_as": "Robin", "area": "Peterborough"},
    "wishes": {"wants": ["to talk to somebody who knows the courts"]},
    "contact": {
        "checked_on": "2026-11-20",
        "asked_alone": True,
        "channels": [{"kind": "call", "safe": "yes", "value": "07700900123"}],
    },
    "reply_to": {"desk": "intake"},
}
RESPONSE = {
    "type": "referral.response",
    "v": 1,
    "outcome": "accepted",
    "wish_replies": [{"wish": 1, "answer": "we_will", "what": "An appointment on Tuesday."}],
    "first_contact_by": "2026-11-24",
    "reply_to": {"desk": "intake"},
}
EVIDENCE = {
    "state": "GIVEN",
    "agree_by": "SELF",
    "how_asked": "face_to_face",
    "asked_on": "2026-11-20",
    "alone_when_asked": True,
    "told": ["who_will_see_it", "why", "how_to_withdraw"],
    "words_used": "May we pass this on to the service?",
    "valid_until": "2027-01-20",
}
CATEGORIES = ["ask", "contact", "needs", "person", "response", "wishes"]


def folder_of(world: World, name: str) -> Path:
    """The folder of a party's agent, made on first use as its administrator and `init` would."""
    home, mould = world.folder / name, world.mould
    if home.exists():
        return home
    alike = mould is not None and mould.founded is world.founded and name in mould.parties
    if mould is None or not alike or mould.parties[name].member is not world.parties[name].member:
        return initialised(world, name, home)
    made = mould.folder / name
    if not made.exists():
        initialised(mould, name, made)
    shutil.copytree(made, home)
    settings = home / "agent.toml"
    settings.write_text(settings.read_text().replace(str(made.resolve()), str(home.resolve())))
    return home


def initialised(world: World, name: str, home: Path) -> Path:
    home.mkdir(mode=0o700)
    keys = world.parties[name].member.agent
    put(home / "agent.fpk", lock(keys.to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))
    put(home / "passphrase", PASSPHRASE + b"\n")
    (home / "partnership.json").write_bytes(world.founded.partnership.to_bytes())
    # `init` runs a loop of its own, so it gets a thread of its own when a test's loop is running.
    with contextlib.suppress(RuntimeError):
        asyncio.get_running_loop()
        run_in_thread(init, home, home / "passphrase", secrets.token_bytes)
        return home
    init(home, home / "passphrase", secrets.token_bytes)
    return home


def run_in_thread(work: Callable[..., Any], *args: Any) -> Any:
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(work, *args).result()


def put(path: Path, data: bytes) -> None:
    path.touch(0o600)
    path.write_bytes(data)


async def open_agent(world: World, name: str, line: type[Relay] = Relay, **changes: Any) -> Agent:
    """A party's agent, not yet started."""
    home = folder_of(world, name)
    values = {"settle": 0.0, "wait": 1, "folders": False, "directory_every": 30.0, **changes}
    settings = Settings(home=home, **values)
    keys = read_keys(home / "agent.fpk", PASSPHRASE)
    partnership = read_partnership(home / "partnership.json")
    outside = Outside(world.clock, secrets.token_bytes, lambda: 0.0)
    return await Agent.open(settings, keys, partnership, outside, line)


class Caller:
    """A case system: the agent's REST face with its token."""

    def __init__(self, agent: Agent, http: aiohttp.ClientSession) -> None:
        self.agent = agent
        self._http = http
        token = (agent.settings.home / "api.token").read_text().strip()
        self.headers = {"Authorization": f"Bearer {token}"}

    async def ask(self, method: str, path: str, value: Any = None, **headers: str) -> tuple[int, Any]:
        data = value if isinstance(value, bytes | io.BytesIO | None) else json.dumps(value).encode()
        url = f"http://127.0.0.1:{self.agent.port}{path}"
        async with self._http.request(
            method, url, data=data, headers={**self.headers, **headers}
        ) as response:
            return response.status, json.loads(await response.read())

    async def ok(self, method: str, path: str, value: Any = None) -> Any:
        status, answer = await self.ask(method, path, value)
        assert status < 300, answer
        return answer

    async def until(self, mid: str, state: str) -> Any:
        """Wait until a sent message has this state at its first desk."""

        async def reached() -> Any:
            answer = await self.ok("GET", f"/v1/messages/{mid}")
            return answer if answer["desks"][0]["state"] == state else None

        return await eventually(reached)

    async def first_in(self) -> Any:
        """Wait for something in the inbox."""

        async def there() -> Any:
            items = (await self.ok("GET", "/v1/inbox"))["items"]
            return items[0] if items else None

        return await eventually(there)


async def eventually(ready: Callable[[], Awaitable[Any]], patience: float = 60.0) -> Any:
    """What `ready` gives, once it gives something; the patience is for a machine that has much else to do."""
    end = time.monotonic() + patience
    while not (found := await ready()):
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.02)
    return found


@contextlib.asynccontextmanager
async def quiet(world: World, name: str, line: type[Relay] = Relay, **changes: Any) -> AsyncIterator[Agent]:
    """An agent whose loops do not run: a test takes each step itself. Its directory is fresh when there is a relay."""
    agent = await open_agent(world, name, line, **changes)
    try:
        with contextlib.suppress(Refusal):
            await agent.book.refresh()
        yield agent
    finally:
        await agent.close()


@contextlib.asynccontextmanager
async def running(world: World, name: str, **changes: Any) -> AsyncIterator[Caller]:
    """A running agent of a party, and its case system."""
    agent = await open_agent(world, name, **changes)
    await agent.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Caller(agent, http)
    finally:
        await agent.close()


def form(to: str, /, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "referral.universal",
        "payload": MESSAGE,
        "to": [{"agency": to, "desk": "intake"}],
        "case_ref": "case-77",
        **changes,
    }


def agreement(to: str, /, **changes: Any) -> dict[str, Any]:
    return {"to": [to], "purposes": ["SUPPORT"], "categories": CATEGORIES, "evidence": EVIDENCE, **changes}
