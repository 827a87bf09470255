"""The floor relay: the least aiohttp code that does a relay's physical work, to hold the real one against.

One Ed25519 verify, the same bytes and a 97-byte leaf into SQLite (WAL, synchronous=FULL) in one transaction, pages
to receive, a batch to acknowledge. No consent, no schema, no sealing, no proofs. Run as a process of its own:

    python -m benchmarks.floor PORT DATABASE grouped|single
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor

import nacl.signing
from aiohttp import web

Row = tuple[bytes, bytes, bytes]


class Floor:
    """State of one floor relay. `grouped` commits everything that waits in one transaction."""

    def __init__(self, database: str, grouped: bool) -> None:
        self.db = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self.db.execute(f"PRAGMA {pragma}")
        self.db.execute("CREATE TABLE mail (id BLOB PRIMARY KEY, body BLOB, seq INTEGER)")
        self.db.execute("CREATE TABLE log (seq INTEGER PRIMARY KEY, leaf BLOB)")
        self.grouped = grouped
        self.disk = ThreadPoolExecutor(1)
        self.cpu = ThreadPoolExecutor(2)
        self.waiting: list[tuple[Row | list[bytes], asyncio.Future[None]]] = []
        self.wake = asyncio.Event()
        self.seq = 0

    def write(self, batch: list[Row | list[bytes]]) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        arrived = [item for item in batch if isinstance(item, tuple)]
        self.db.executemany("INSERT OR IGNORE INTO mail VALUES (?, ?, ?)", self._numbered(arrived))
        leaves = [(leaf,) for _, _, leaf in arrived]
        ended = [(name,) for item in batch if isinstance(item, list) for name in item]
        leaves += [(hashlib.sha256(name).digest() * 3 + b"\x01",) for (name,) in ended]
        self.db.executemany("INSERT INTO log (leaf) VALUES (?)", leaves)
        self.db.executemany("DELETE FROM mail WHERE id = ?", ended)
        self.db.execute("COMMIT")

    def _numbered(self, rows: list[Row]) -> list[tuple[bytes, bytes, int]]:
        numbered = []
        for name, body, _ in rows:
            self.seq += 1
            numbered.append((name, body, self.seq))
        return numbered

    async def commit(self, item: Row | list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        if not self.grouped:
            await loop.run_in_executor(self.disk, self.write, [item])
            return
        done: asyncio.Future[None] = loop.create_future()
        self.waiting.append((item, done))
        self.wake.set()
        await done

    async def writer(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self.wake.wait()
            self.wake.clear()
            batch, self.waiting = self.waiting, []
            await loop.run_in_executor(self.disk, self.write, [item for item, _ in batch])
            for _, done in batch:
                done.set_result(None)

    async def send(self, request: web.Request) -> web.Response:
        body = await request.read()
        key, signature = bytes.fromhex(request.headers["X-Key"]), bytes.fromhex(request.headers["X-Sig"])
        digest = hashlib.sha256(body).digest()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self.cpu, nacl.signing.VerifyKey(key).verify, digest, signature)
        await self.commit((digest, body, (digest * 4)[:97]))
        return web.json_response({"id": digest.hex()})

    async def receive(self, _request: web.Request) -> web.Response:
        rows = await asyncio.get_running_loop().run_in_executor(self.disk, self._page)
        return web.Response(body=b"".join(len(b).to_bytes(4, "big") + n + b for n, b in rows))

    def _page(self) -> list[tuple[bytes, bytes]]:
        return self.db.execute("SELECT id, body FROM mail ORDER BY seq LIMIT 64").fetchall()

    async def acknowledge(self, request: web.Request) -> web.Response:
        body = await request.read()
        await self.commit([body[at : at + 32] for at in range(0, len(body), 32)])
        return web.Response()


def serve(port: int, database: str, grouped: bool) -> None:
    """Run a floor relay until it is terminated."""

    async def build() -> web.Application:
        floor = Floor(database, grouped)
        app = web.Application(client_max_size=2**24)
        app.add_routes(
            [
                web.post("/send", floor.send),
                web.get("/receive", floor.receive),
                web.post("/ack", floor.acknowledge),
            ]
        )
        app["writer"] = asyncio.create_task(floor.writer())
        return app

    web.run_app(build(), host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2], sys.argv[3] == "grouped")
