"""The anchor: the relay's newest heads in a file apart from the database (PROTOCOL.md L23).

Rules of this house:
- it is written after the commit and never before: a true database is as new as its anchor, or newer;
- whole or not at all: another file is written and synced, takes the old one's name, and the folder is synced;
- it says what this relay signed; what does not fit it stops the start (broker.anchored).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from broker import logs
from broker.ledger import Ledger
from broker.view import View
from schemas.canonical import strict_json
from schemas.checkpoint import NOTE_LIMIT
from schemas.errors import Refusal

EVERY = 1.0
"""Seconds between two writings, when anything was added. Never a part of a turn: it would cost each a sync."""
LIMIT = 16 * NOTE_LIMIT


@dataclass(frozen=True, slots=True)
class Loss:
    """What an administrator accepted as lost: the head that the anchor had ("" for none), and the one to go on from.

    `s` and `t` are the relay's signed statement of it, as it travels (L26).
    """

    was: str
    now: str
    lost: int | None
    s: str
    t: str


@dataclass(frozen=True, slots=True)
class Kept:
    """An anchor's content: the signed heads of both logs, and losses that the log has still to record."""

    log: str
    keys: str
    losses: tuple[Loss, ...] = ()

    def to_bytes(self) -> bytes:
        losses = [asdict(loss) for loss in self.losses]
        value = {"keys": self.keys, "log": self.log, "losses": losses, "v": 1}
        return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Kept:
        """Raises Refusal ANCHOR for anything that this program does not write."""
        try:
            value = strict_json(data, LIMIT)
            if not isinstance(value, dict) or set(value) != {"keys", "log", "losses", "v"} or value["v"] != 1:
                raise Refusal("FORM")
            losses = tuple(Loss(**row) for row in value["losses"])
            kept = cls(value["log"], value["keys"], losses)
            if kept.to_bytes() != data:
                raise Refusal("FORM")
        except (Refusal, TypeError, AttributeError) as error:
            raise Refusal("ANCHOR") from error
        return kept


class Anchor:
    """The file at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else runs a relay with this anchor meanwhile. Raises Refusal STORE_BUSY, SETTINGS."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise Refusal(
                "SETTINGS", "The anchor's folder cannot be used. Give the relay one of its own."
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise Refusal("STORE_BUSY", "A relay is running with this anchor. Stop it first.") from error
        finally:
            os.close(lock)

    def read(self) -> Kept | None:
        """What was kept; None when there is no such file. Raises Refusal ANCHOR, SETTINGS."""
        try:
            return Kept.parse(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refusal("SETTINGS", f"The anchor cannot be read: {self.path.name}.") from error

    def write(self, kept: Kept) -> None:
        """Replace it durably. Raises OSError; the old one then stands."""
        fresh = self.path.with_name(f"{self.path.name}.new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(kept.to_bytes())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Anchoring:
    """Keeps the anchor up with a running relay."""

    def __init__(self, anchor: Anchor, ledger: Ledger, view: View) -> None:
        self._anchor, self._ledger, self._view = anchor, ledger, view
        self._kept: Kept | None = None
        self._closing = asyncio.Event()

    def close(self) -> None:
        self._closing.set()

    async def run(self) -> None:
        """Write it each second, while anything is added, until closed."""
        while not self._closing.is_set():
            await self.save()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._closing.wait()

    async def save(self) -> bool:
        """Write what is committed by now; whether the anchor has it.

        A disk that does not take it stops nothing: what the anchor has stays true, it only grows old, and the
        operator's log says so each second.
        """
        kept = Kept(self._ledger.note, self._view.note)
        if kept != self._kept:
            try:
                await asyncio.to_thread(self._anchor.write, kept)
            except OSError as error:
                logs.get().error("anchor", error=type(error).__name__)
                return False
            self._kept = kept
        return True
