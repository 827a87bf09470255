"""The relay's whole cycle, accept -> collect -> receipt, against the floor relay, in one run.

Pre-sealed messages whose body fills one 4 KiB bucket; the floor is posted the very same upload bytes. Rounds of
relay and floor alternate, so that a machine whose speed drifts drifts for both.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import nacl.signing

from benchmarks import load
from benchmarks.load import Cycle
from benchmarks.partnership import Bench, Peer, Sealed, found, listens, session
from schemas import api
from tests.ports import free_port

PAYLOAD = 3_400
"""Bytes of payload that fill a 4 KiB body with what travels beside it."""


async def relay_cycle(bench: Bench, messages: Sequence[Sealed], flight: int, batch: int) -> Cycle:
    """Drive the real relay through these messages."""
    if bench.process is None:
        raise RuntimeError("the relay is not running")
    now = int(time.time())
    receipts = {m.eid: bench.receipt(m, "taken-on", now) for m in messages}
    async with session() as http:
        sender = Peer(bench, bench.sender.agent.auth, http)
        recipient = Peer(bench, bench.recipient.agent.auth, http)

        async def send(numbers: Sequence[int]) -> None:
            results = await sender.send([messages[n].upload for n in numbers])
            if any(result["status"] != "accepted" for result in results):
                raise RuntimeError(f"not accepted: {results[0]}")

        async def collect() -> int:
            eids = await recipient.fetch(wait=1)
            if not eids:
                return 0
            answer = await recipient.post(api.RECEIPTS, {"receipts": [receipts[eid] for eid in eids]})
            return sum(result["status"] == "recorded" for result in answer["results"])

        return await load.run(len(messages), flight, batch, send, collect, bench.process.pid)


async def floor_cycle(port: int, pid: int, messages: Sequence[Sealed], flight: int, batch: int) -> Cycle:
    """Drive a floor relay through the same bytes."""
    key = nacl.signing.SigningKey(secrets.token_bytes(32))
    url, public = f"http://127.0.0.1:{port}", bytes(key.verify_key).hex()
    async with session() as http:

        async def send(numbers: Sequence[int]) -> None:
            for number in numbers:
                body = messages[number].upload
                signature = key.sign(hashlib.sha256(body).digest()).signature.hex()
                async with http.post(
                    f"{url}/send", data=body, headers={"X-Key": public, "X-Sig": signature}
                ) as answer:
                    await answer.json()

        async def collect() -> int:
            names = await _floor_page(http, url)
            if not names:
                await asyncio.sleep(0.002)
                return 0
            async with http.post(f"{url}/ack", data=b"".join(names)) as answer:
                await answer.read()
            return len(names)

        return await load.run(len(messages), flight, batch, send, collect, pid)


async def _floor_page(http: aiohttp.ClientSession, url: str) -> list[bytes]:
    async with http.get(f"{url}/receive") as answer:
        data = await answer.read()
    names, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 36])
        at += 36 + size
    return names


class FloorProcess:
    """A floor relay in a process of its own."""

    def __init__(self, folder: Path, grouped: bool) -> None:
        self.port = free_port()
        mode = "grouped" if grouped else "single"
        command = [
            sys.executable,
            "-m",
            "benchmarks.floor",
            str(self.port),
            str(folder / f"floor-{self.port}.db"),
            mode,
        ]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 20
        while not listens(self.port):
            if time.monotonic() > deadline:
                raise RuntimeError("the floor relay did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def measure(count: int, rounds: int) -> dict[str, float]:
    """Medians over `rounds` rounds of `count` messages each."""
    with tempfile.TemporaryDirectory(prefix="fenpost-bench-") as name:
        folder = Path(name)
        bench = found(folder / "relay", int(time.time()))
        bench.start()
        try:
            return asyncio.run(_measure(bench, folder, count, rounds))
        finally:
            bench.stop()


async def _measure(bench: Bench, folder: Path, count: int, rounds: int) -> dict[str, float]:
    taken: dict[str, list[Cycle]] = {
        name: [] for name in ("c64", "c8", "batch16", "floor64", "floor8", "single64")
    }
    grouped, single = FloorProcess(folder, True), FloorProcess(folder, False)
    try:
        for _ in range(rounds):
            for name, flight, batch in (("c64", 64, 1), ("c8", 8, 1), ("batch16", 8, 16)):
                taken[name].append(await relay_cycle(bench, _sealed(bench, count), flight, batch))
                if batch == 1:
                    floor = await floor_cycle(
                        grouped.port, grouped.process.pid, _sealed(bench, count), flight, 1
                    )
                    taken[f"floor{flight}"].append(floor)
            messages = _sealed(bench, count // 2)
            taken["single64"].append(await floor_cycle(single.port, single.process.pid, messages, 64, 1))
    finally:
        grouped.stop()
        single.stop()
    return _figures(taken)


def _sealed(bench: Bench, count: int) -> list[Sealed]:
    now = int(time.time())
    return [bench.seal(now, PAYLOAD) for _ in range(count)]


def _figures(taken: dict[str, list[Cycle]]) -> dict[str, float]:
    rate = {name: statistics.median(c.per_s for c in cycles) for name, cycles in taken.items()}
    cpu = {name: statistics.median(c.cpu_s_per_1000 for c in cycles) for name, cycles in taken.items()}
    ratios = [a.per_s / b.per_s for a, b in zip(taken["c64"], taken["floor64"], strict=True)]
    ratios8 = [a.per_s / b.per_s for a, b in zip(taken["c8"], taken["floor8"], strict=True)]
    ratios16 = [a.per_s / b.per_s for a, b in zip(taken["batch16"], taken["floor64"], strict=True)]
    return {
        "relay.cycle.per_s": rate["c64"],
        "relay.cycle.ratio": statistics.median(ratios),
        "relay.cycle.c8.per_s": rate["c8"],
        "relay.cycle.c8.ratio": statistics.median(ratios8),
        "relay.cycle.batch16.per_s": rate["batch16"],
        "relay.cycle.batch16.ratio": statistics.median(ratios16),
        "relay.cpu_s_per_1000": cpu["c64"],
        "floor.cycle.per_s": rate["floor64"],
        "floor.cycle.c8.per_s": rate["floor8"],
        "floor.cycle.single.per_s": rate["single64"],
        "floor.cpu_s_per_1000": cpu["floor64"],
    }
