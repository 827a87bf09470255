"""A second agent that runs with this agency's keys (PROTOCOL.md A8): the relay says so, and people must see to it.

Rules of this house:
- receiving and sending go on: what is lost here may be lost for good, and the other one reads along in any case;
- it stays on show until a person says that it is dealt with, also when the relay says it no more.
"""

from __future__ import annotations

import json

from sqlalchemy import Connection

from agent.clock import Clock
from agent.logs import log
from agent.store import Store, note, read_kv, write_kv
from schemas.errors import Refusal

AT = "twice"
SETTLING = 120
"""Seconds in which what is left of the other's last requests may still show."""


class Twin:
    """When two were met, and until when somebody here knows of it. Call `load` before anything else."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._met = 0
        self._known = 0

    async def load(self) -> None:
        found = await self._store.run(lambda c: read_kv(c, AT))
        if found is not None:
            kept = json.loads(found)
            self._met, self._known = kept["met"], kept["known"]

    @property
    def met(self) -> int | None:
        """When two were last met, while nobody here has dealt with it."""
        return self._met if self._met > self._known else None

    async def told(self, ts: int | None) -> None:
        """Take what the relay says with a mailbox page."""
        now = int(self._clock())
        if self._known > now + SETTLING:  # somebody dealt with it while our clock ran ahead
            self._known = self._met
        # By this clock at most: a time that is yet to come would silence the next warning until then.
        if ts is None or (met := min(ts, now)) <= max(self._met, self._known):
            return
        new = self.met is None
        self._met = met

        def work(c: Connection) -> None:
            self._write(c)
            if new:
                note(c, now, "two-agents", "TWO_AGENTS")

        await self._store.run(work)
        if new:
            log.error("two-agents", code="TWO_AGENTS")

    async def dealt_with(self) -> None:
        """A person says that the other one was stopped, or its keys were revoked. Raises Refusal NOT_FOUND."""
        if self.met is None:
            raise Refusal("NOT_FOUND", "No second agent was met since somebody last saw to it.")
        now = int(self._clock())
        self._known = max(self._met, now + SETTLING)

        def work(c: Connection) -> None:
            self._write(c)
            note(c, now, "two-agents-dealt-with", "")

        await self._store.run(work)

    def _write(self, c: Connection) -> None:
        write_kv(c, AT, json.dumps({"known": self._known, "met": self._met}))
