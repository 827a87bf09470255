"""The audit log when it is long: appending, verifying whole and what is new, opening, and how soon a head is signed.

What reads a mirror runs in a process of its own, so that its memory is its own:

    python -m benchmarks.log verify|verify-new|open|index FOLDER
"""

from __future__ import annotations

import asyncio
import json
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.long_log import HERS, LongLog, extend, mirrored
from benchmarks.partnership import Bench, Peer, Sealed, found, session
from broker import logs
from broker.app import Running, build
from broker.ledger import Ledger
from broker.refilling import refill
from broker.repairs import loss_accepted
from broker.settings import Settings, load
from broker.store import Store
from broker.sweeping import Reading
from broker.tree import open_directory, open_log
from keys_tooling.audit import verified
from keys_tooling.audit.index import open_index
from keys_tooling.audit.mirror_file import FILE, open_mirror
from keys_tooling.audit.opened import MESSAGES
from keys_tooling.audit.read import read
from keys_tooling.audit.verify import verify
from schemas.keyfile import QUICK, lock, unlock
from schemas.keyring import OfficerKeys
from schemas.merkle import Frontier
from schemas.partnership import Partnership
from tests.simulated_world import World

SHORT, NEW = 10_000, 10_000
TOGETHER = 64
"""Events in one turn."""
FLIGHT = 64
PARTNERSHIP, KEYS, PASSPHRASE = "partnership.json", "officer.fpk", b"benchmark"


def measure(*, size: int, rounds: int, messages: int) -> dict[str, float]:
    """Every figure, for a log of `size` entries: `rounds` turns on it and on a short one, `messages` under load."""
    print(f"building a log of {size:,} entries, one in {HERS} of them the officer's", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fenpost-bench-") as name:
        folder = Path(name)
        world = World.found(folder / "world", "Peacock", "IDVAS", "Harbour")
        mirror = folder / "mirror"
        parts = [SHORT, *range(size // 5, size + 1, size // 5)]
        log = mirrored(mirror, world, *parts)
        figures = asyncio.run(_appending(world, mirror / FILE, size, rounds))
        figures |= _verifying(mirror, log, size)
        figures |= _opening(mirror, world, size)
    return figures | _heads(messages)


def _short(size: int) -> str:
    """1000000 as 1e6; what is no round number in full."""
    digits = str(size)
    return f"{digits[0]}e{len(digits) - 1}" if set(digits[1:]) <= {"0"} else digits


# --- appending


async def _appending(world: World, mirror: Path, size: int, rounds: int) -> dict[str, float]:
    """What a turn of 64 events costs behind `size` entries, over what it costs behind 10,000; turns alternate."""
    logs.configure("error")
    places = {at: world.folder / f"{at}.db" for at in (SHORT, size)}
    for at, place in places.items():
        await _filled(world, place, mirror, at)
        # Its anchor must not be there: the log was not signed here entry by entry.
        await loss_accepted(_settings(world, place), "unknown", world.now)
    started = time.perf_counter()
    long = await _running(world, places[size])
    ready = time.perf_counter() - started
    short = await _running(world, places[SHORT])
    try:
        taken: dict[int, list[float]] = {SHORT: [], size: []}
        for _ in range(rounds):
            for at, running in ((SHORT, short), (size, long)):
                taken[at].append(await _turn(world, running))
    finally:
        await long.close()
        await short.close()
    each = {at: 1e6 * statistics.median(times) / TOGETHER for at, times in taken.items()}
    name = _short(size)
    return {
        f"log.append.us.{_short(SHORT)}": each[SHORT],
        f"log.append.us.{name}": each[size],
        f"log.append.ratio.{name}_to_{_short(SHORT)}": each[size] / each[SHORT],
        f"log.start.{name}.s": ready,
    }


async def _filled(world: World, database: Path, mirror: Path, size: int) -> None:
    """A relay's store with the mirror's first `size` entries."""
    founded = world.founded
    store = Store(database)
    await store.open()
    try:
        async with store.turn() as connection:
            origin = founded.partnership.charter.origin
            oversight, founding = founded.oversight.id, founded.founding(world.statements)
            await open_directory(connection, oversight, f"{origin}/keys", founded.relay.keys_log, founding)
            ledger: Ledger = await open_log(connection, origin, founded.relay.log)
            await refill(connection, ledger, mirror, founded.partnership, size)
    finally:
        await store.close()


def _settings(world: World, database: Path) -> Settings:
    settings = load(world.folder / "relay" / "relay.toml", {})
    anchor = database.with_suffix(".anchor")
    return replace(
        settings, database=database, anchor=anchor, listen="127.0.0.1:0", admin_listen="127.0.0.1:0"
    )


async def _running(world: World, database: Path) -> Running:
    return await build(_settings(world, database), world.clock, secrets.token_bytes)


async def _turn(world: World, running: Running) -> float:
    party = world.parties["Peacock"]
    works = [Reading(None, party.id, party.officer.auth.kid, 0, 1) for _ in range(TOGETHER)]
    started = time.perf_counter()
    await asyncio.gather(*(running.sequencer.submit(work) for work in works))
    return time.perf_counter() - started


# --- a mirror, in a process of its own


def _verifying(folder: Path, log: LongLog, size: int) -> dict[str, float]:
    (folder / PARTNERSHIP).write_bytes(log.world.founded.partnership.to_bytes())
    whole = _alone("verify", folder)
    with open_mirror(folder, write=True) as mirror:
        extend(mirror, log, NEW)
    new = _alone("verify-new", folder)
    if (whole["entries"], new["entries"]) != (size, size + NEW):
        raise RuntimeError("not every entry was verified")
    name = _short(size)
    return {
        f"log.verify.{name}.s": whole["s"],
        f"log.verify.{name}.mb": whole["mb"],
        "log.verify.incremental.s": new["s"],
    }


def _opening(folder: Path, world: World, size: int) -> dict[str, float]:
    keys = world.parties["Peacock"].officer
    (folder / KEYS).write_bytes(
        lock(keys.to_json(), OfficerKeys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
    )
    figures, name = dict[str, float](), _short(size // HERS)
    for work in (
        "open",
        "index",
    ):  # as `read` does, and as `query`, `report` and `export` do for the first time
        found_ = _alone(work, folder)
        if found_["faults"] or found_["entries"] < size // HERS:
            raise RuntimeError("not every record was opened")
        figures |= {f"log.{work}.{name}.s": found_["s"], f"log.{work}.{name}.mb": found_["mb"]}
    return figures | {f"log.index.again.{name}.s": _alone("index", folder)["s"]}


def _alone(work: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.log", work, str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _read(work: str, folder: Path) -> dict[str, float]:
    partnership = Partnership.parse((folder / PARTNERSHIP).read_bytes())
    keys = None
    if work in ("open", "index"):
        keys = OfficerKeys.from_json(unlock((folder / KEYS).read_bytes(), OfficerKeys.HOLDS, PASSPHRASE))
    started = time.perf_counter()
    if keys is not None and work == "index":
        with open_index(folder, partnership, keys, secrets.token_bytes, lambda _at: None) as index:
            faulty = any(row.faults for row in index.rows(*MESSAGES))
            return _spent(started, {"entries": index.range()[0], "faults": float(faulty)})
    with open_mirror(folder, write=False) as mirror:
        if keys is not None:
            reading = read(mirror, partnership, keys, lambda _at: None)
            figures = {"entries": len(reading.entries), "faults": float(reading.faulty)}
        else:
            since = verified.kept(folder) if work == "verify-new" else Frontier()
            report = verify(mirror, partnership, lambda _at: None, since)
            if not report.whole:
                raise RuntimeError(report.text(""))
            verified.keep(folder, report.edge)
            figures = {"entries": report.entries}
    return _spent(started, figures)


def _spent(started: float, figures: dict[str, float]) -> dict[str, float]:
    seconds = time.perf_counter() - started
    return {**figures, "s": seconds, "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


# --- a head under load


def _heads(messages: int) -> dict[str, float]:
    """From posting a message to the signed head that its answer carries, 64 in flight: the 99th percentile."""
    with tempfile.TemporaryDirectory(prefix="fenpost-bench-") as name:
        bench = found(Path(name) / "relay", int(time.time()))
        bench.start()
        try:
            now = int(time.time())
            sealed = [bench.seal(now, 3_400) for _ in range(messages)]
            taken = sorted(asyncio.run(_posted(bench, sealed)))
        finally:
            bench.stop()
    return {
        "log.head.p99_ms": 1000 * taken[int(0.99 * (len(taken) - 1))],
        "log.head.p50_ms": 1000 * statistics.median(taken),
    }


async def _posted(bench: Bench, sealed: Sequence[Sealed]) -> list[float]:
    todo, taken = iter(sealed), list[float]()
    async with session() as http:
        peer = Peer(bench, bench.sender.agent.auth, http)

        async def sender() -> None:
            for message in todo:
                started = time.perf_counter()
                (result,) = await peer.send([message.upload])
                if not result["proof"]:
                    raise RuntimeError(f"no proof: {result}")
                taken.append(time.perf_counter() - started)

        await asyncio.gather(*(sender() for _ in range(FLIGHT)))
    return taken


if __name__ == "__main__":
    print(json.dumps(_read(sys.argv[1], Path(sys.argv[2]))))
