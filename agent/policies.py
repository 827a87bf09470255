"""The partnership's policies as this agent holds them (PROTOCOL.md Q4-Q9).

Rules of this house:
- which policy counts is read from the directory that this agent replayed; the relay only hands over texts;
- a text counts when it is the one whose digest two people signed; any other is refused and written down, and what is
  held stays;
- a policy that counts now and is not held is None: never an older one in its place.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, insert, select

from agent.client import Relay
from agent.clock import Clock
from agent.logs import log
from agent.store import Store, note
from agent.tables import policies
from schemas.errors import Refusal
from schemas.policing import Entry, Timeline
from schemas.policy import Policy
from schemas.shelf import Shelf

LOOK_BACK = 35 * 24 * 3600
"""How old a message may be that is still decided on, with room."""


class Policies:
    """The texts at hand. `timeline` gives the directory's; call `load` before anything else."""

    def __init__(self, store: Store, relay: Relay, timeline: Callable[[], Timeline], clock: Clock) -> None:
        self._store = store
        self._relay = relay
        self._timeline = timeline
        self._clock = clock
        self._shelf = Shelf()
        self._told: set[str] = set()

    async def load(self) -> None:
        """Take up what was held before; a text that the store has spoiled is as good as none and is fetched again."""
        rows = await self._store.run(lambda c: c.execute(select(policies)).all())
        texts = {row.digest: row.text.encode("utf-8") for row in rows}
        for entry in self._timeline().entries:
            if entry.digest in texts:
                try:
                    self._shelf = self._shelf.add(entry, texts[entry.digest])
                except Refusal as refusal:
                    log.error("policy-spoiled", code=refusal.code)

    @property
    def now(self) -> Policy | None:
        """The policy in force."""
        return self.at(int(self._clock()))

    def at(self, at: int) -> Policy | None:
        """The policy in force at a time; None when there is none, or it is not held."""
        return self._shelf.in_force(self._timeline(), at)

    def around(self, at: int) -> tuple[Policy | None, ...]:
        """The policies that a relay may have decided with which took a message of this time (Q9)."""
        return self._shelf.around(self._timeline(), at)

    async def refresh(self) -> None:
        """Fetch what counts now, counted lately or will count, and is not held; what cannot be had, next time."""
        for entry in self._timeline().between(int(self._clock()) - LOOK_BACK):
            if entry not in self._shelf:
                try:
                    await self._fetch(entry)
                except Refusal as refusal:
                    await self._tell(entry, refusal)

    async def _fetch(self, entry: Entry) -> None:
        text = await self._relay.policy(entry.digest)
        shelf = self._shelf.add(entry, text)

        def keep(connection: Connection) -> None:
            row = {"digest": entry.digest, "text": text.decode("ascii")}
            connection.execute(insert(policies).prefix_with("OR REPLACE"), [row])

        await self._store.run(keep)
        self._shelf = shelf
        log.info("policy", count=entry.version)

    async def _tell(self, entry: Entry, refusal: Refusal) -> None:
        if refusal.retry:
            log.warning("policy-waits", code=refusal.code, count=entry.version)
            return
        log.error("policy-missing", code=refusal.code, party="relay", count=entry.version)
        if entry.digest in self._told:
            return
        # A relay that hands over another text may be lying, or only broken: written down once for each policy.
        self._told.add(entry.digest)
        await self._store.run(lambda c: note(c, int(self._clock()), "policy-refused", refusal.code))
