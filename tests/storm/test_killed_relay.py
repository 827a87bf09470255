"""The relay is killed with SIGKILL again and again while it works: what it acknowledged must be there.

This proves survival of a dying process, not of a power cut; synchronous=FULL, which the relay checks at start, is
what a power cut needs.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import time
from pathlib import Path

import aiohttp

from benchmarks.partnership import Bench, Peer, Sealed, found, session
from schemas import api
from schemas.canonical import unb64
from schemas.checkpoint import LogProof, open_checkpoint
from schemas.merkle import Frontier, leaf_hash

KILLS = 40
WRITERS = 4
AWAY = (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError, RuntimeError)


class Ledger:
    """What the relay said it took: eid -> index of its leaf."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, int] = {}
        self.repeats = 0

    def take(self, result: dict) -> None:
        assert result["status"] in ("accepted", "repeat"), result
        index = LogProof.parse(result["proof"].encode()).index
        assert self.acknowledged.setdefault(result["eid"], index) == index
        self.repeats += result["status"] == "repeat"


async def test_nothing_acknowledged_is_lost_when_the_relay_is_killed(tmp_path: Path) -> None:
    bench = found(tmp_path / "relay", int(time.time()))
    now = int(time.time())
    messages = [bench.seal(now, 1000) for _ in range(2500)]
    ledger = Ledger()
    bench.start()
    try:
        async with session() as http:
            stop = asyncio.Event()
            queue = iter(messages)
            writers = [asyncio.create_task(_write(bench, http, queue, ledger, stop)) for _ in range(WRITERS)]
            await _kill_and_restart(bench, KILLS)
            stop.set()
            await asyncio.gather(*writers)
            await _check_log(bench, http, ledger)
            await _check_mailbox(bench, http, ledger, {m.eid: m for m in messages})
    finally:
        bench.stop()
    print(
        f"\n  {KILLS} kills, {len(ledger.acknowledged)} acknowledged, {ledger.repeats} retries found it there, 0 lost"
    )
    assert len(ledger.acknowledged) > KILLS


async def _write(
    bench: Bench, http: aiohttp.ClientSession, queue, ledger: Ledger, stop: asyncio.Event
) -> None:
    peer = Peer(bench, bench.sender.agent.auth, http)
    for message in queue:
        if stop.is_set():
            return
        ledger.take(await _until_answered(peer, message))


async def _until_answered(peer: Peer, message: Sealed) -> dict:
    """Post the same bytes until the relay answers, as an agent's outbox does."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return (await peer.send([message.upload]))[0]
        except AWAY:
            assert time.monotonic() < deadline, "the relay did not come back"
            await asyncio.sleep(0.02)


async def _kill_and_restart(bench: Bench, times: int) -> None:
    draw = secrets.SystemRandom()
    for _ in range(times):
        await asyncio.sleep(draw.uniform(0.05, 0.4))
        await asyncio.to_thread(bench.stop, signal.SIGKILL)
        await asyncio.to_thread(bench.start)


async def _check_log(bench: Bench, http: aiohttp.ClientSession, ledger: Ledger) -> None:
    """Every acknowledged leaf stands at the index that was acknowledged, once, under the signed root."""
    async with http.get(bench.url + api.CHECKPOINT) as answer:
        checkpoint = open_checkpoint(await answer.text(), bench.partnership.log_key)
    leaves = await read_leaves(bench, http, checkpoint.size)
    frontier = Frontier()
    for leaf in leaves:
        frontier = frontier.append(leaf_hash(leaf))
    assert frontier.root() == checkpoint.root
    for eid, index in ledger.acknowledged.items():
        assert leaves[index][1:33] == unb64(eid)
    tags = [leaf[1:33] for leaf in leaves]
    assert len(set(tags)) == len(tags)


async def read_leaves(bench: Bench, http: aiohttp.ClientSession, size: int) -> list[bytes]:
    """All leaves of the log, from its entry tiles (C2SP tlog-tiles)."""
    leaves: list[bytes] = []
    while len(leaves) < size:
        number, width = len(leaves) // 256, min(256, size - len(leaves))
        partial = "" if width == 256 else f".p/{width}"
        async with http.get(f"{bench.url}/v1/log/tile/entries/{number:03d}{partial}") as answer:
            assert answer.status == 200
            data = await answer.read()
        at = 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 2], "big")
            leaves.append(data[at + 2 : at + 2 + length])
            at += 2 + length
    return leaves


async def _check_mailbox(
    bench: Bench, http: aiohttp.ClientSession, ledger: Ledger, sealed: dict[str, Sealed]
) -> None:
    """Every acknowledged message is handed out, and after it was taken on it is not handed out again."""
    peer = Peer(bench, bench.recipient.agent.auth, http)
    seen: list[str] = []
    while eids := await peer.fetch():
        seen += eids
        receipts = [bench.receipt(sealed[eid], "taken-on", int(time.time())) for eid in eids]
        answer = await peer.post(api.RECEIPTS, {"receipts": receipts})
        assert {r["status"] for r in answer["results"]} == {"recorded"}, json.dumps(answer)[:300]
    assert len(seen) == len(set(seen))
    assert set(seen) >= set(ledger.acknowledged)
