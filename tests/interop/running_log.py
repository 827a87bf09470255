"""A relay that really runs, with a log of more than a tile; what programs that we did not write then ask it over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.partnership import Bench, Peer, found, session
from schemas import api
from schemas.checkpoint import LogProof

EARLY, LATE = 270, 61
"""Messages before and after the older checkpoint."""


@contextmanager
def running_log() -> Iterator[Path]:
    """The path of a plan (tlog.go) for a relay that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="fenpost-interop-") as name:
        folder = Path(name)
        bench = found(folder / "relay", int(time.time()))
        bench.start()
        try:
            plan = folder / "plan.json"
            plan.write_text(json.dumps(asyncio.run(_grown(bench))), encoding="ascii")
            yield plan
        finally:
            bench.stop()


async def _grown(bench: Bench) -> dict[str, object]:
    charter = bench.partnership.charter
    async with session() as http:
        peer = Peer(bench, bench.sender.agent.auth, http)
        results = await _send(bench, peer, EARLY)
        older = _checkpoint(bench)
        results += await _send(bench, peer, LATE)
    proof = LogProof.parse(results[100].encode())
    return {
        "Prefix": bench.url + api.LOG,
        "Vkey": charter.log,
        "Mldsa": charter.log_mldsa,
        "Older": older,
        "Proof": proof.to_bytes().decode(),
        "Leaf": base64.b64encode(proof.extra).decode("ascii"),
        "Index": proof.index,
    }


async def _send(bench: Bench, peer: Peer, count: int) -> list[str]:
    proofs: list[str] = []
    while len(proofs) < count:
        many = min(50, count - len(proofs))
        uploads = [bench.seal(int(time.time()), 100).upload for _ in range(many)]
        proofs += [str(result["proof"]) for result in await peer.send(uploads)]
    return proofs


def _checkpoint(bench: Bench) -> str:
    with urllib.request.urlopen(bench.url + api.CHECKPOINT, timeout=10) as answer:
        text: bytes = answer.read()
    return text.decode()
