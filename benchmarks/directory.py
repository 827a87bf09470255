"""The key directory of a large partnership: how long replaying three years of it takes, with how much memory.

500 agencies rotate as agents do: a prekey each week, request keys each month, the others each quarter. The statements
are made in one process, and replayed in another that has nothing else in its memory.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from agent import directory_kept
from agent.arriving import reading, unseen
from agent.store import Store
from schemas import api
from schemas.chain import Chain
from schemas.directory import Directory
from schemas.keys import LIFE, OpeningKey, SigningKey, Use
from schemas.signing import Signed

KEY = bytes(32)
DAY, WEEK = 24 * 3600, 7 * 24 * 3600
START = 1_800_000_000
ROTATED = {Use.PREKEY: WEEK, Use.AUTH: 30 * DAY, Use.MSG: 90 * DAY, Use.CONSENT: 90 * DAY}
FLAGS = {"public_authority": False, "s16la_member": False, "cda_relevant": False}


def measure(*, agencies: int, weeks: int) -> dict[str, float]:
    """Replaying `agencies` over `weeks` weeks, and then one week more."""
    print(f"making the key statements of {agencies} agencies over {weeks} weeks", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fenpost-bench-") as name:
        first, week = Path(name) / "first", Path(name) / "week"
        oversight = write(first, week, agencies, START + weeks * WEEK)
        said = _in_its_own(oversight, first, week) | _in_its_own(oversight, first)
    whole = (agencies, weeks) == (500, 156)
    return {
        f"directory.{key if whole else f'{agencies}x{weeks}.{key}'}": value for key, value in said.items()
    }


def _in_its_own(oversight: str, *paths: Path) -> dict[str, float]:
    asked = [sys.executable, "-m", "benchmarks.directory", oversight, *map(str, paths)]
    found: dict[str, float] = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    return found


# --- making


def write(first: Path, week: Path, agencies: int, until: int) -> str:
    """Write the statements until then, and those of the week after, a line each and by date; gives oversight's id."""
    oversight, founding = _founded()
    with first.open("w", encoding="ascii") as early, week.open("w", encoding="ascii") as late:
        later = _entered(oversight, agencies, until + WEEK)
        for ts, signed in itertools.chain([(START, founding)], later):
            (early if ts < until else late).write(json.dumps(signed.to_json()) + "\n")
    return oversight.agency


def _signing() -> SigningKey:
    return SigningKey(os.urandom(32))


def _founded() -> tuple[Chain, Signed]:
    return Chain.begin(_signing(), (_signing(), _signing(), _signing()), 2, START)


def _entered(oversight: Chain, agencies: int, end: int) -> Iterator[tuple[int, Signed]]:
    """Each agency's founding, then everybody's rotations as their days come."""
    due: list[tuple[int, int, Use]] = []
    chains: list[Chain] = []
    for number in range(agencies):
        chain, inception = _founded()
        yield START, inception
        for use, public, person in (
            (Use.RENEW, _signing().public, None), (Use.IG, OpeningKey(os.urandom(32)).public, "ig"),
            (Use.IG_AUTH, _signing().public, "ig"), (Use.WITNESS, _signing().public, None),
        ):  # fmt: skip
            yield START, chain.add_key(use, public, START, START + LIFE[use], START, person)
        yield START, oversight.admit(chain.agency, f"Agency {_letters(number)}", ("duty",), FLAGS, START)
        chains.append(chain)
        due += [(START, number, use) for use in ROTATED]
    heapq.heapify(due)
    while due and due[0][0] < end:
        ts, number, use = heapq.heappop(due)
        public = OpeningKey(os.urandom(32)).public if use is Use.PREKEY else _signing().public
        yield ts, chains[number].add_key(use, public, ts, ts + LIFE[use], ts)
        heapq.heappush(due, (ts + ROTATED[use], number, use))


def _letters(number: int) -> str:
    """A name of letters that are not taken for each other: a number in base 8."""
    return "".join("bdfghkpt"[int(digit)] for digit in f"{number:o}")


# --- replaying, in a process of its own, and starting from what is kept of it, in another


async def _replayed(oversight: str, first: Path, week: Path) -> dict[str, float]:
    """As an agent does it, page by page and into its store; reading a file stands for reading the relay's pages."""
    (size, coming), view = (_lines(first), _lines(week)), Directory(oversight)
    store = await Store.open(first.with_suffix(".db"), KEY, create=True)
    started = time.perf_counter()
    beside = await _read(store, view, first, size)
    taken = time.perf_counter() - started
    used = sum(os.times()[:4])  # its children's too
    started, trial = time.perf_counter(), view.copied()
    await _read(store, trial, week, coming)
    more, most = time.perf_counter() - started, _most_mb()
    await store.run(lambda c: directory_kept.keep(c, trial, {}))
    await store.close()
    return {
        "replay.s": taken,
        "replay.mb": most + beside,
        "replay.checker_mb": beside,
        "replay.cpu_s": used,
        "replay.statements": size,
        "incremental.s": more,
        "incremental.statements": trial.size - size,
    }


async def _started(oversight: str, first: Path) -> dict[str, float]:
    """What an agent's start takes for its directory, beside loading its program."""
    started, used = time.perf_counter(), time.process_time()
    store = await Store.open(first.with_suffix(".db"), KEY)
    found = await directory_kept.load(store, oversight, None, unseen)
    figures = {"start.s": time.perf_counter() - started, "start.cpu_s": time.process_time() - used}
    await store.close()
    return figures | {"start.mb": _most_mb(), "start.statements": found.kept}


def _most_mb(process: int | str = "self") -> float:
    """The most memory that a program had; what getrusage says counts its parent's too."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


async def _read(store: Store, view: Directory, path: Path, size: int) -> float:
    """Gives the most memory that the process beside had, in MB, or 0 where none was worth starting."""
    with path.open(encoding="ascii") as file:
        read = map(api.SignedJson.model_validate_json, file)
        found = (Signed.carried(item.t, item.s) for item in read)
        async with reading(store, view.oversight, size) as new:
            while page := list(itertools.islice(found, api.PAGE_STATEMENTS)):
                await new.take(view, page)
            beside = sum(_most_mb(child.pid) for child in psutil.Process().children())
    await store.run(new.believe)
    return beside


if __name__ == "__main__":
    given = [Path(path) for path in sys.argv[2:]]
    run = _replayed if len(given) == 2 else _started
    print(json.dumps(asyncio.run(run(sys.argv[1], *given))))
