"""A relay that really runs, with two logs of more than a tile; what programs that we did not write ask it over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.partnership import Bench, Peer, found, session
from schemas import api
from schemas.chain import Chain
from schemas.checkpoint import LogProof, own_note
from schemas.directory_statement import statement_leaf
from schemas.hashed import Hashed
from schemas.keys import SigningKey, Use
from schemas.merkle import inclusion_proof, leaf_hash

EARLY, LATE = 270, 61
"""Messages before and after the older checkpoint; about as many statements."""
TILE = 256


@contextmanager
def running_logs() -> Iterator[tuple[Path, Path]]:
    """The paths of plans (tlog.go) for both logs of a relay that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="fenpost-interop-") as name:
        folder = Path(name)
        bench = found(folder / "relay", int(time.time()))
        bench.start()
        try:
            plans = folder / "plan.json", folder / "keys.json"
            for path, made in zip(plans, (_grown, _keys_grown), strict=True):
                path.write_text(json.dumps(asyncio.run(made(bench))), encoding="ascii")
            yield plans
        finally:
            bench.stop()


async def _grown(bench: Bench) -> dict[str, object]:
    charter = bench.partnership.charter
    async with session() as http:
        peer = Peer(bench, bench.sender.agent.auth, http)
        results = await _send(bench, peer, EARLY)
        older = _checkpoint(bench, api.CHECKPOINT)
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


async def _keys_grown(bench: Bench) -> dict[str, object]:
    """The directory's log. The relay gives no proofs of it, so one is made here, and its entries to members only."""
    partnership = bench.partnership
    async with session() as http:
        peer = Peer(bench, bench.sender.agent.auth, http)
        await _publish(bench, peer, EARLY)
        older = _checkpoint(bench, api.KEYS_CHECKPOINT)
        await _publish(bench, peer, LATE)
        bundles = await _bundles(peer, len(bench.statements))
    leaves = [statement_leaf(signed) for signed in bench.statements]
    hashed = Hashed(map(leaf_hash, leaves))
    note = own_note(_checkpoint(bench, api.KEYS_CHECKPOINT), partnership.keys_log_key)
    hashes = tuple(inclusion_proof(100, hashed.size, hashed.read))
    return {
        "Prefix": bench.url + api.KEYS,
        "Vkey": partnership.charter.keys_log,
        "Mldsa": partnership.keys_log_mldsa_key.text(),
        "Older": older,
        "Proof": LogProof(leaves[100], 100, hashes, note).to_bytes().decode(),
        "Leaf": base64.b64encode(leaves[100]).decode("ascii"),
        "Index": 100,
        "Bundles": bundles,
    }


async def _publish(bench: Bench, peer: Peer, count: int) -> None:
    """The sender's administrator publishes so many request keys."""
    admin = bench.sender.admin
    mine = bench.view.agencies[admin.agency]
    chain, now = Chain(admin.agency, admin.op, mine.seq, mine.head), int(time.time())
    while count:
        many = min(api.BATCH_STATEMENTS, count)
        said = [
            chain.add_key(Use.AUTH, SigningKey(secrets.token_bytes(32)).public, now, now + 86_400, now)
            for _ in range(many)
        ]
        body = {"statements": [{"kind": "directory", "signed": one.to_json()} for one in said]}
        results = (await peer.post(api.STATEMENTS, body))["results"]
        if {one["status"] for one in results} != {"recorded"}:
            raise RuntimeError(f"statements: {results[0]}")
        for one in said:
            bench.view.apply(one)
        bench.statements += said
        count -= many


async def _bundles(peer: Peer, size: int) -> dict[str, str]:
    found = {}
    for number in range(-(-size // TILE)):
        width = min(TILE, size - number * TILE)
        path = f"tile/entries/{number:03d}" + ("" if width == TILE else f".p/{width}")
        status, body = await peer.ask("GET", f"{api.KEYS}/{path}")
        if status != 200:
            raise RuntimeError(f"{path}: {status}")
        found[path] = base64.b64encode(body).decode("ascii")
    return found


def _checkpoint(bench: Bench, path: str) -> str:
    with urllib.request.urlopen(bench.url + path, timeout=10) as answer:
        text: bytes = answer.read()
    return text.decode()
