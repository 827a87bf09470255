"""Drop folders for case systems that speak no HTTP: OUT, SENT, FAILED and IN (PROTOCOL.md G7).

Rules of this house:
- OUT takes regular files of our own user that have settled; links, pipes and second names are refused unread;
- a file leaves OUT only after its message is durable in the store (SENT gets a receipt without its words) or by
  moving, whole, to FAILED with the reason beside it: the only copy is never lost;
- whatever is written appears at once and whole: a hidden temporary file, fsync, rename, fsync of the folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select, update

from agent.clock import Clock
from agent.consent_words import ENDED, NARROWED
from agent.doubts import SAYS as DOUBT
from agent.explaining import with_steps
from agent.forms import Act, Json, Send, read_act
from agent.limits import FORM_LIMIT
from agent.logs import log
from agent.office import Office
from agent.secretfile import sync_folder
from agent.showing import Showing
from agent.store import Store
from agent.tables import inbox
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import labelled

OUT, SENT, FAILED, IN = "OUT", "SENT", "FAILED", "IN"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}\.json")
PER_SCAN = 64


class Folders:
    """The drop folders of one agent, under `home`."""

    def __init__(
        self,
        home: Path,
        store: Store,
        office: Office,
        showing: Showing,
        secret: bytes,
        settle: float,
        clock: Clock,
    ) -> None:
        self._home = home
        self._store = store
        self._office = office
        self._showing = showing
        self._secret = secret
        self._settle = settle
        self._clock = clock

    # --- OUT

    async def scan(self) -> int:
        """Take every file in OUT that has settled; returns how many left it."""
        names = await asyncio.to_thread(self._settled)
        done = 0
        for name in names[:PER_SCAN]:
            try:
                data, identity = await asyncio.to_thread(self._read, name)
                answer = await self._act(read_act(data), f"drop:{identity}")
            except Refusal as refusal:
                if refusal.retry:
                    # The disk, the store or the directory: the file is fine and stays where it is.
                    log.warning("drop-waits", code=refusal.code)
                    break
                await asyncio.to_thread(self._fail, name, refusal)
                log.info("drop-refused", code=refusal.code)
            else:
                await asyncio.to_thread(self._done, name, answer)
            done += 1
        return done

    async def _act(self, act: Act, key: str) -> Json:
        if isinstance(act, Send):
            answer = await self._office.send(act, key)
            return {name: answer[name] for name in ("mid", "thread", "state", "warnings") if name in answer}
        place, form = act
        await self._office.end(place, form)
        return {"id": place, "state": "noted"}

    def _settled(self) -> list[str]:
        now, names = self._clock(), []
        for entry in os.scandir(self._home / OUT):
            if entry.name.startswith(".") or not entry.name.endswith(".json"):
                continue
            found = entry.stat(follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode) and now - found.st_mtime >= self._settle:
                names.append((found.st_mtime, entry.name))
        return [name for _, name in sorted(names)]

    def _read(self, name: str) -> tuple[bytes, str]:
        """A file's bytes and a name for exactly this file, so that a crash does not send it twice."""
        if NAME.fullmatch(name) is None:
            raise Refusal("FILE", "Name the file with plain letters, digits, dots, dashes; ending in .json.")
        path = self._home / OUT / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise Refusal("FILE") from error
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise Refusal(
                    "FILE", "The file is a link, a pipe or has a second name. Put a plain file here."
                )
            if found.st_uid != os.geteuid():
                raise Refusal("FILE", "The file belongs to another user than the agent's.")
            if found.st_size > FORM_LIMIT:
                raise Refusal("TOO_BIG")
            data = file.read(FORM_LIMIT + 1)
        if len(data) != found.st_size:
            raise Refusal("FILE", retry=True)
        mark = f"{name}\x00{found.st_ino}\x00{found.st_mtime_ns}\x00".encode() + data
        return data, b64(labelled("fenpost/v1/drop", mark, key=self._secret))

    def _done(self, name: str, answer: Json) -> None:
        write_whole(self._home / SENT / f"{name.removesuffix('.json')}.receipt.json", answer)
        (self._home / OUT / name).unlink(missing_ok=True)
        sync_folder(self._home / OUT)

    def _fail(self, name: str, refusal: Refusal) -> None:
        target, turn = name, 1
        while (self._home / FAILED / target).is_symlink() or (self._home / FAILED / target).exists():
            turn += 1
            target = f"{name.removesuffix('.json')}~{turn}.json"
        reason = {"code": refusal.code, "say": refusal.say, "fields": list(refusal.detail)}
        reason = with_steps(refusal, reason)
        write_whole(self._home / FAILED / f"{target.removesuffix('.json')}.reason.json", reason)
        (self._home / OUT / name).rename(self._home / FAILED / target)
        sync_folder(self._home / FAILED)
        sync_folder(self._home / OUT)

    # --- IN

    async def hand_over(self, row: Row[Any]) -> None:
        """Write a received message to IN under its stable id; doing it again writes the same file."""
        await asyncio.to_thread(write_whole, self._home / IN / f"{row.id}.json", self._showing.whole(row))

    async def tell_recalls(self) -> None:
        """Say in IN which messages' agreement was withdrawn after they were handed over."""
        untold = select(inbox).where(inbox.c.recalled == 0, inbox.c.handed.is_not(None))
        for row in await self._store.run(lambda c: c.execute(untold).all()):
            less = row.withdrawn is None
            facts = {
                "id": row.id,
                "gid": row.gid,
                "agreement_withdrawn": row.withdrawn,
                "agreement_limited": row.limited,
                "say": f"{NARROWED if less else ENDED} Say what became of this: fenpost-agent consent answer",
            }
            name = f"{row.id}.{'limited' if less else 'withdrawn'}.json"
            await asyncio.to_thread(write_whole, self._home / IN / name, facts)
            await self._store.run(
                lambda c, r=row: c.execute(update(inbox).where(inbox.c.id == r.id).values(recalled=1)).close()  # type: ignore[misc]
            )

    async def tell_doubts(self) -> None:
        """Say in IN of which messages it came out later that others had the key that signed them (V11)."""
        doubts = self._showing.doubts
        for one, places in (await self._store.run(doubts.untold)).items():
            for place in places:
                facts = {"id": place, "say": DOUBT}
                await asyncio.to_thread(write_whole, self._home / IN / f"{place}.doubt.json", facts)
            await self._store.run(lambda c, one=one: doubts.told(c, one))  # type: ignore[misc]


def make_folders(home: Path) -> None:
    """Make the four folders, for the agent's user only."""
    for name in (OUT, SENT, FAILED, IN):
        (home / name).mkdir(mode=0o700, exist_ok=True)


def write_whole(path: Path, value: Json) -> None:
    """Write a JSON file durably and all at once, 0600. Raises Refusal DISK_FULL."""
    part = path.with_name(f".{path.name}.part")
    data = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True).encode()
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise Refusal("DISK_FULL") from error
