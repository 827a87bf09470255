"""The key directory of a large partnership: how long replaying three years of it takes, with how much memory.

500 agencies rotate as agents do: a prekey each week, request keys each month, the others each quarter. The statements
are made in one process, and replayed in another that has nothing else in its memory.
"""

from __future__ import annotations

import heapq
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from schemas.chain import Chain
from schemas.directory import Directory
from schemas.keys import LIFE, OpeningKey, SigningKey, Use
from schemas.signing import Signed

DAY, WEEK = 24 * 3600, 7 * 24 * 3600
START = 1_800_000_000
ROTATED = {Use.PREKEY: WEEK, Use.AUTH: 30 * DAY, Use.MSG: 90 * DAY, Use.CONSENT: 90 * DAY}
FLAGS = {"public_authority": False, "s16la_member": False, "cda_relevant": False}


def measure(*, agencies: int, weeks: int) -> dict[str, float]:
    """Replaying `agencies` over `weeks` weeks, and then one week more."""
    print(f"making the key statements of {agencies} agencies over {weeks} weeks", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fenpost-bench-") as name:
        path = Path(name) / "statements"
        oversight = write(path, agencies, weeks + 1)
        asked = [
            sys.executable,
            "-m",
            "benchmarks.directory",
            str(path),
            oversight,
            str(START + weeks * WEEK),
        ]
        said = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    whole = (agencies, weeks) == (500, 156)
    return {
        f"directory.{key if whole else f'{agencies}x{weeks}.{key}'}": value for key, value in said.items()
    }


# --- making


def write(path: Path, agencies: int, weeks: int) -> str:
    """Write all statements to a file, a line each, in the order of their dates; gives oversight's id."""
    oversight, first = _founded()
    with path.open("w", encoding="ascii") as file:
        for signed in first:
            file.write(json.dumps(signed.to_json()) + "\n")
        for signed in _entered(oversight, agencies, START + weeks * WEEK):
            file.write(json.dumps(signed.to_json()) + "\n")
    return oversight.agency


def _signing() -> SigningKey:
    return SigningKey(os.urandom(32))


def _founded() -> tuple[Chain, list[Signed]]:
    chain, inception = Chain.begin(_signing(), (_signing(), _signing(), _signing()), 2, START)
    return chain, [inception]


def _entered(oversight: Chain, agencies: int, end: int) -> Iterator[Signed]:
    """Each agency's founding, then everybody's rotations as their days come."""
    due: list[tuple[int, int, Use]] = []
    chains: list[Chain] = []
    for number in range(agencies):
        chain, first = _founded()
        yield from first
        renew = _signing()
        yield chain.add_key(Use.RENEW, renew.public, START, START + LIFE[Use.RENEW], START)
        yield chain.add_key(
            Use.IG, OpeningKey(os.urandom(32)).public, START, START + LIFE[Use.IG], START, "ig"
        )
        yield chain.add_key(Use.IG_AUTH, _signing().public, START, START + LIFE[Use.IG_AUTH], START, "ig")
        yield chain.add_key(Use.WITNESS, _signing().public, START, START + LIFE[Use.WITNESS], START)
        yield oversight.admit(chain.agency, f"Agency {_letters(number)}", ("duty",), FLAGS, START)
        chains.append(chain)
        due += [(START, number, use) for use in ROTATED]
    heapq.heapify(due)
    while due and due[0][0] < end:
        ts, number, use = heapq.heappop(due)
        public = OpeningKey(os.urandom(32)).public if use is Use.PREKEY else _signing().public
        yield chains[number].add_key(use, public, ts, ts + LIFE[use], ts)
        heapq.heappush(due, (ts + ROTATED[use], number, use))


def _letters(number: int) -> str:
    """A name of letters that are not taken for each other: a number in base 8."""
    return "".join("bdfghkpt"[int(digit)] for digit in f"{number:o}")


# --- replaying, in a process of its own


def _replayed(path: Path, oversight: str, until: int) -> dict[str, float]:
    view = Directory(oversight)
    with path.open(encoding="ascii") as file:
        found = (Signed.from_json(json.loads(line)) for line in file)
        started, later = time.perf_counter(), list[Signed]()
        for signed in found:
            if view.apply(signed).ts + WEEK >= until:
                later = list(found)
                break
        # Reading the file is part of it, as reading a page is.
        taken, size = time.perf_counter() - started, view.size
        started = time.perf_counter()
        trial = view.copied()
        for signed in later:
            trial.apply(signed)
        more = time.perf_counter() - started
    return {
        "replay.s": taken,
        "replay.mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "replay.statements": size,
        "incremental.s": more,
        "incremental.statements": trial.size - size,
    }


if __name__ == "__main__":
    print(json.dumps(_replayed(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
