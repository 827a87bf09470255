"""Withdrawals raced against fetches over real HTTP, with a relay in a process of its own.

A message that rests on an agreement waits at the relay. Somebody withdraws the agreement, and within 20 milliseconds
somebody fetches, or a long poll that was open already is woken, or a page is only half read. Whoever's request began
after the withdrawal was acknowledged must not find the message; nor may any page that the relay read after the
withdrawal, which a page's own checkpoint tells.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from schemas import api
from schemas.hashing import Frames
from schemas.signing import Signed
from tests.simulated_world import World

SENDER, RECIPIENT = "Peacock", "IDVAS"
SPREAD = 0.020
"""Seconds before or after each other that the two sides of a race begin, at most."""
BATCH = 32
POLLS = 8


@dataclass(frozen=True, slots=True)
class Fetched:
    """One page: when its request began, what was in it, and how large the log was when the relay read it."""

    began: float
    eids: frozenset[str]
    size: int


@dataclass(slots=True)
class Race:
    """A message, its agreement, and when its withdrawal was acknowledged."""

    eid: str
    grant: Signed
    acknowledged: float = 0.0
    size: int = 0


Ending = Callable[[World, Race], Awaitable[None]]


@dataclass(slots=True)
class Tally:
    """What many races showed."""

    races: int = 0
    fetches: int = 0
    before: int = 0
    released_after: list[str] = field(default_factory=list)

    def judge(self, races: list[Race], pages: list[Fetched]) -> None:
        self.races += len(races)
        self.fetches += len(pages)
        for race in races:
            for page in pages:
                if race.eid not in page.eids:
                    continue
                self.before += 1
                if page.began > race.acknowledged or (race.size and page.size >= race.size):
                    self.released_after.append(race.eid)


def found(folder: Path) -> World:
    """A partnership whose clock is the machine's at this moment."""
    return World.found(folder, SENDER, RECIPIENT, now=time.time())


@contextlib.contextmanager
def relay(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """The real relay in its own process."""
    folder = world.folder / "relay"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with (folder / "relay.log").open("ab") as log:
        command = [sys.executable, "-m", "broker", "run", "--config", str(folder / "relay.toml")]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextlib.asynccontextmanager
async def session(world: World) -> AsyncIterator[aiohttp.ClientSession]:
    """Connections to the relay, once it answers."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{world.port}", connector=connector) as http:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get("/healthz") as answer:
                    if answer.status in (200, 421):
                        break
            if time.monotonic() > deadline:
                raise AssertionError("the relay did not start")
            await asyncio.sleep(0.05)
        yield http


async def prepared(world: World, http: aiohttp.ClientSession, count: int, size: int = 400) -> list[Race]:
    """Messages that rest on an agreement each, waiting at the relay."""
    world.clock.now = time.time()
    grants = [world.grant(SENDER, RECIPIENT, cat=["ask", "contact"]) for _ in range(count)]
    statuses = [world.status(SENDER, grant) for grant in grants]
    for kind, statements in (("grant", grants), ("status", statuses)):
        answer = await world.post_statements(http, SENDER, *((kind, s) for s in statements))
        assert {r["status"] for r in answer.json()["results"]} == {"recorded"}, answer.body
    sealed = [
        world.seal(SENDER, RECIPIENT, grant=g, status=s, payload=json.dumps({"ask": "x" * size}))
        for g, s in zip(grants, statuses, strict=True)
    ]
    answer = await world.post_envelopes(http, SENDER, *sealed)
    results = answer.json()["results"]
    assert {r["status"] for r in results} == {"accepted"}, answer.body
    return [Race(r["eid"], g) for r, g in zip(results, grants, strict=True)]


async def fetch(world: World, http: aiohttp.ClientSession, wait: int = 0) -> Fetched:
    """One page; one that was broken off by a withdrawal is asked for again, as an agent does."""
    while True:
        began = time.perf_counter()
        try:
            answer = await world.call(http, RECIPIENT, "GET", api.MAILBOX, f"wait={wait}&limit=64")
        except aiohttp.ClientError:
            continue
        assert answer.status == 200, answer.body
        return read(answer.body, began)


def read(body: bytes, began: float) -> Fetched:
    head = api.MailboxHead.model_validate_json(next(iter(Frames(body).frames(2**24))))
    return Fetched(began, frozenset(item.eid for item in head.items), int(head.checkpoint.split("\n")[1]))


async def narrow(world: World, race: Race) -> None:
    """A later version of the agreement that no longer is for this message."""
    claims = race.grant.peek()
    fewer = world.grant(
        SENDER, RECIPIENT, gid=claims["gid"], ev=claims["ev"], nbf=claims["nbf"], exp=claims["exp"],
        ver=2, limited=True, cat=["contact"],
    )  # fmt: skip
    result = await _said(world, SENDER, ("grant", fewer))
    assert result["status"] == "recorded", result
    race.acknowledged = time.perf_counter()


async def withdraw(world: World, race: Race) -> None:
    """Withdraw by the sender or, as often, by the recipient whom she told."""
    who = secrets.choice((SENDER, RECIPIENT))
    result = await _said(world, who, ("withdraw", world.withdrawal(who, race.grant)))
    assert (result["status"], result["stopped"]) == ("recorded", 1), result
    race.acknowledged = time.perf_counter()


async def _said(world: World, who: str, statement: tuple[str, Signed]) -> dict[str, Any]:
    """By a connection of its own: one that carried a page may be broken off with it."""
    async with world.session() as own:
        answer = await world.post_statements(own, who, statement)
    (result,) = answer.json()["results"]
    return result


async def log_size(http: aiohttp.ClientSession, world: World) -> int:
    headers = {"Host": f"127.0.0.1:{world.port}"}
    async with http.get(api.CHECKPOINT, headers=headers) as answer:
        return int((await answer.text()).split("\n")[1])


async def fetch_races(world: World, http: aiohttp.ClientSession, count: int, tally: Tally) -> None:
    """Fetches that begin up to 20 ms before or after the withdrawal."""
    races = await prepared(world, http, count)
    draw = secrets.SystemRandom()

    async def one(race: Race) -> Fetched:
        ahead = draw.uniform(-SPREAD, SPREAD)
        start = draw.uniform(0, 2 * SPREAD)
        withdrawing = asyncio.create_task(_after(start + max(0.0, -ahead), withdraw(world, race)))
        page = await _after(start + max(0.0, ahead), fetch(world, http))
        await withdrawing
        return page

    tally.judge(races, await asyncio.gather(*(one(race) for race in races)))
    assert not (await fetch(world, http)).eids
    await _forget_notices(world, http)


async def poll_races(world: World, http: aiohttp.ClientSession, count: int, tally: Tally) -> None:
    """Long polls that are open when the message comes, and are woken while it is withdrawn."""
    draw = secrets.SystemRandom()
    polls = [asyncio.create_task(fetch(world, http, wait=5)) for _ in range(POLLS)]
    await asyncio.sleep(0.05)
    races = await prepared(world, http, count)
    polls += [
        asyncio.create_task(_after(draw.uniform(0, SPREAD), fetch(world, http, wait=5)))
        for _ in range(POLLS // 2)
    ]
    await asyncio.gather(*(_after(draw.uniform(0, SPREAD), withdraw(world, race)) for race in races))
    size = await log_size(http, world)
    for race in races:
        race.size = size
    late = [asyncio.create_task(fetch(world, http, wait=5)) for _ in range(2)]
    await asyncio.sleep(0.02)
    # Wakes whoever still polls; what was withdrawn must not come with it.
    answer = await world.post_envelopes(http, SENDER, world.seal(SENDER, RECIPIENT))
    assert answer.json()["results"][0]["status"] == "accepted"
    tally.judge(races, await asyncio.gather(*polls, *late))
    await _clear(world, http)


async def page_races(
    world: World, http: aiohttp.ClientSession, count: int, tally: Tally, end: Ending = withdraw
) -> None:
    """Pages that are half read when what is in them is withdrawn: they break off, and the next page is without it."""
    races = await prepared(world, http, count, size=60_000)
    reader, writer = await _half_read(world)
    await asyncio.gather(*(end(world, race) for race in races))
    rest = await asyncio.wait_for(_rest(reader), 60)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    whole = count * 60_000
    tally.judge(races, [await fetch(world, http)])
    # What lies in the two systems' socket buffers was sent; of a page of megabytes that is not the whole.
    assert rest < whole, "a page that held what was withdrawn was sent to its end"
    await _forget_notices(world, http)


async def _half_read(world: World) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A request for a page of which only the first bytes are read."""
    key = world.parties[RECIPIENT].member.agent.auth
    world.clock.now = time.time()
    headers = world.signed_headers(key, "GET", api.MAILBOX, "limit=64&wait=0")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # a reader far away, on a thin line
    connection.connect(("127.0.0.1", world.port))
    reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
    lines = [f"GET {api.MAILBOX}?limit=64&wait=0 HTTP/1.1", f"Host: 127.0.0.1:{world.port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    status = await reader.readline()
    assert b" 200 " in status, status
    return reader, writer


async def _rest(reader: asyncio.StreamReader) -> int:
    size = 0
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            size += len(piece)
    return size


async def _after(seconds: float, work):
    await asyncio.sleep(seconds)
    return await work


async def _clear(world: World, http: aiohttp.ClientSession) -> None:
    """End what waits, so that the next race begins with an empty mailbox."""
    world.clock.now = time.time()
    page = await world.mailbox(http, RECIPIENT)
    receipts = [world.receipt(RECIPIENT, delivery, "taken-on") for delivery in page.deliveries]
    if receipts:
        await world.post_receipts(http, RECIPIENT, *receipts)
    await _forget_notices(world, http)


async def _forget_notices(world: World, http: aiohttp.ClientSession) -> None:
    for who in (SENDER, RECIPIENT):
        while notices := (await world.mailbox(http, who)).head.notices:
            await world.post_receipts(http, who, notices=tuple(notice.id for notice in notices))
