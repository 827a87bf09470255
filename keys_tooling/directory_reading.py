"""Reading the relay's directory so that it cannot lie: every statement replayed, every page held against its root.

Nothing is stored here: whoever reads keeps the statements and the checkpoint, and brings them along next time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from keys_tooling.spooled import Statements
from schemas.api import DirectoryPage
from schemas.canonical import decode
from schemas.checkpoint import Checkpoint, LogKey, note_hash, open_checkpoint
from schemas.directory import Directory, Later
from schemas.directory_statement import statement_hash
from schemas.errors import Refusal
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

AHEAD = 300
"""How far the relay's clock may differ, in seconds."""


class Source(Protocol):
    """What serves directory pages: agent.client.Relay does."""

    async def directory(self, after: int) -> DirectoryPage: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """The whole directory, replayed: its view, its statements in order and the checkpoint that vouches for them.

    The statements lie on disk: of a large partnership they are twice what the view takes.
    """

    view: Directory
    statements: Sequence[Signed]
    note: str

    def hashes(self) -> frozenset[str]:
        return frozenset(map(statement_hash, self.statements))


def replay(
    oversight: str, statements: tuple[Signed, ...], believed: Checkpoint | None, seen: Callable[[int], None]
) -> Directory:
    """The view that statements give; `believed` must be the root at its size.

    Args:
        seen: told the size after each statement, for a progress bar.

    Raises:
        Refusal: FORK when the root differs, ROLLBACK when there are too few; what Directory.apply raises.
    """
    view = Directory(oversight)
    _hold(view, believed)
    for signed in statements:
        view.apply(signed)
        _hold(view, believed)
        seen(view.size)
    if believed and view.size < believed.size:
        raise Refusal("ROLLBACK")
    return view


async def read_directory(
    source: Source,
    key: LogKey,
    oversight: str,
    now: int,
    known: tuple[Signed, ...] = (),
    believed: Checkpoint | None = None,
    far: Callable[[int, int], None] = lambda _at, _of: None,
) -> Reading:
    """Fetch what is new after `known` and check all of it.

    Args:
        far: told after each page how many statements are checked, and of how many.

    Raises:
        Refusal: FORK, ROLLBACK, CHECKPOINT, CLOCK; what the source and Directory.apply raise.
    """
    statements = Statements(known)
    view = replay(oversight, known, None, lambda _size: None)
    while True:
        page = await source.directory(view.size)
        new = [Signed.from_json(item.model_dump()) for item in page.statements]
        checks: Later = []
        for signed in new:
            view.apply(signed, later=checks)
            _hold(view, believed)
        await _make(checks)
        statements.add(new)
        far(view.size, page.size)
        if not new or view.size >= page.size:
            break
    checkpoint = open_checkpoint(page.checkpoint, key)
    if checkpoint.size < view.size or (believed and checkpoint.size < believed.size):
        raise Refusal("ROLLBACK")
    if checkpoint.size != view.size or checkpoint.root != view.frontier.root():
        raise Refusal("FORK")
    _check_fresh(page, key, now)
    return Reading(view, statements, page.checkpoint)


async def _make(checks: Later) -> None:
    """Every check that was put off, on all processors: libsodium works without Python's lock."""

    def work(part: Later) -> None:
        for check in part:
            check.hold()

    threads = os.cpu_count() or 1
    await asyncio.gather(*(asyncio.to_thread(work, checks[at::threads]) for at in range(threads)))


def _hold(view: Directory, believed: Checkpoint | None) -> None:
    if believed and view.size == believed.size and view.frontier.root() != believed.root:
        raise Refusal("FORK")


def _check_fresh(page: DirectoryPage, key: LogKey, now: int) -> None:
    fresh = Signed.from_json(page.fresh.model_dump())
    said = decode(fresh.verified(key.public, Purpose.FRESH), STATEMENT_LIMIT)
    if not isinstance(said, dict) or set(said) != {"note", "ts", "v"} or not isinstance(said["ts"], int):
        raise Refusal("FORM", party="relay")
    if said["note"] != note_hash(page.checkpoint):
        raise Refusal("CHECKPOINT")
    if abs(said["ts"] - now) > AHEAD:
        raise Refusal("CLOCK")
