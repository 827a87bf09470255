"""The relay is killed while it publishes heads and takes cosignatures: no head ever takes back what one showed before."""

import asyncio
import secrets
import signal
import time
from pathlib import Path

from agent.client import Relay
from benchmarks.partnership import Bench, Peer, found, session
from schemas.checkpoint import Checkpoint
from schemas.errors import Refusal
from schemas.merkle import verify_consistency
from schemas.witness import cosign, open_published, witnesses

KILLS = 12
AWAY = ("RELAY_AWAY", "CONFLICT", "UNAVAILABLE", "TOO_LATE")


async def test_heads_only_grow_when_the_relay_is_killed(tmp_path: Path) -> None:
    bench = found(tmp_path / "relay", int(time.time()))
    messages = [bench.seal(int(time.time()), 1000) for _ in range(600)]
    bench.start()
    stop, seen = asyncio.Event(), list[Checkpoint]()
    try:
        async with session() as http:
            tasks = [
                asyncio.create_task(_write(Peer(bench, bench.sender.agent.auth, http), messages, stop)),
                asyncio.create_task(_witness(bench, seen, stop)),
            ]
            draw = secrets.SystemRandom()
            for _ in range(KILLS):
                await _another(seen)
                await asyncio.sleep(draw.uniform(0.0, 0.3))
                await asyncio.to_thread(bench.stop, signal.SIGKILL)
                await asyncio.to_thread(bench.start)
            await _another(seen)
            stop.set()
            await asyncio.gather(*tasks)
    finally:
        bench.stop()
    print(
        f"\n  {KILLS} kills, {len(seen)} heads cosigned, {seen[-1].size} entries, each head an extension of the one before"
    )
    assert len(seen) > KILLS


async def _another(seen: list[Checkpoint]) -> None:
    """Wait for a head that is newer than those seen."""
    count, deadline = len(seen), time.monotonic() + 60
    while len(seen) == count:
        assert time.monotonic() < deadline, "no newer head was published"
        await asyncio.sleep(0.02)


async def _write(peer: Peer, messages, stop: asyncio.Event) -> None:
    for message in messages:
        while not stop.is_set():
            try:
                await peer.send([message.upload])
                break
            except Exception:  # the relay is away: the same bytes again
                await asyncio.sleep(0.02)


async def _witness(bench: Bench, seen: list[Checkpoint], stop: asyncio.Event) -> None:
    charter, member = bench.partnership.charter, bench.sender
    async with Relay(
        charter.relay, charter.authority, member.agent.auth, time.time, secrets.token_bytes
    ) as relay:
        while not stop.is_set():
            try:
                await _round(bench, relay, seen)
            except Refusal as refusal:
                if refusal.code not in AWAY:
                    raise
            await asyncio.sleep(0.05)


async def _round(bench: Bench, relay: Relay, seen: list[Checkpoint]) -> None:
    partnership, member, now = bench.partnership, bench.sender, int(time.time())
    page = await relay.head()
    asked = open_published(page.asked, partnership.log_key, partnership.log_mldsa_key)
    new = asked.checkpoint
    if seen:
        old = seen[-1]
        assert new.size >= old.size, "a head went back"
        if new.size == old.size:
            assert new.root == old.root
        elif old.size:
            verify_consistency(
                old.size, old.root, new.size, new.root, await relay.consistency(old.size, new.size)
            )
    if member.id not in witnesses(asked, bench.view, now):
        page = await relay.post_cosignature(new.size, cosign(new, member.id, member.agent.witness, now))
        asked = open_published(page.asked, partnership.log_key, partnership.log_mldsa_key)
        assert asked.checkpoint != new or member.id in witnesses(asked, bench.view, now)
    if not seen or new != seen[-1]:
        seen.append(new)
