"""Whether an agency's agent runs once (PROTOCOL.md A8): which runs of it were met, by what each drew at its start.

Rules of this house:
- only what an agent alone asks counts: mailbox, receipts, envelopes; an administrator's commands come and go;
- a newer run takes over, and that is all there is to say; a run that goes on after a newer one began means two at once;
- what a run drew is kept as a hash: whoever reads the store cannot pass for a run that goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.authentication import Asking
from broker.sweeping import Unasked
from broker.tables import instances
from broker.turn import Turn
from schemas import api
from schemas.audit import Event
from schemas.errors import Refusal

PATHS = frozenset({api.MAILBOX, api.RECEIPTS, api.ENVELOPES})
RUNS = 16
"""Runs of one agency that are remembered."""
DAY = 24 * 3600
"""How long both are told that they are two; and how seldom the log says it again."""
WAITING = 4096
OFTEN = 2 * api.MAX_WAIT
"""A run that was taken over within so many seconds is remembered beside these: an agent asks again sooner than that,
and whoever draws anew each time would else push it out before."""
MANY = 256
"""More runs than this within that time are more than one agent's."""


class Run(NamedTuple):
    """A run, by its hash, and the time of the first request by which it took over."""

    hash: str
    since: int


class Visit(NamedTuple):
    """A verified request of an agent whose nonce is not yet spent."""

    agency: str
    hash: str
    created: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The runs of an agency, the newest last; when two were last met at once, and when the log last said so."""

    runs: tuple[Run, ...] = ()
    twice: int = 0
    said: int = 0

    def after(self, visit: Visit, now: int) -> Seen:
        """What is known after this visit; the same object when it tells nothing new."""
        # A thief may date what he asks ahead; nobody's first request was made after it came.
        taken_over = Run(visit.hash, min(visit.created, now))
        if not self.runs:
            return Seen((taken_over,), self.twice, self.said)
        newest = self.runs[-1]
        if visit.hash == newest.hash:
            return self
        others = tuple(run for run in self.runs if run.hash != visit.hash)
        if len(others) == len(self.runs):
            late = visit.created < newest.since  # its first request was overtaken by its successor's
            runs = (*others[:-1], taken_over, newest) if late else (*others, taken_over)
            while len(runs) > RUNS and runs[1].since <= now - OFTEN:
                runs = runs[1:]
            return Seen(runs, self.twice, self.said) if len(runs) <= MANY else self._met(runs[-MANY:], now)
        # Held against the run right after it: who draws anew each time is always younger than a clock that is behind.
        newer = self.runs[[run.hash for run in self.runs].index(visit.hash) + 1]
        if visit.created <= newer.since:
            return self  # it was sent before the newer run began, and came after
        return self._met((*others, taken_over), now)

    def _met(self, runs: tuple[Run, ...], now: int) -> Seen:
        return Seen(runs, now, now if now - self.said >= DAY else self.said)


class Instances:
    """What was met of every agency. Call `restore` before anything else."""

    def __init__(self, clock: Callable[[], float], rung: Callable[[set[str]], None]) -> None:
        self._clock = clock
        self._rung = rung
        self._seen: dict[str, Seen] = {}
        self._waiting: dict[bytes, Visit] = {}
        self._unwritten: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def restore(self, rows: Iterable[tuple[str, str]]) -> None:
        """Take up what was stored: agency and text."""
        for agency, text in rows:
            kept = json.loads(text)
            self._seen[agency] = Seen(tuple(Run(*run) for run in kept["runs"]), kept["twice"], kept["said"])

    def twice(self, agency: str) -> int | None:
        """When two of an agency's agents were last met at once, if that was within a day."""
        seen = self._seen.get(agency)
        return seen.twice if seen is not None and seen.twice > self._clock() - DAY else None

    def expect(self, asking: Asking, nonce: bytes) -> None:
        """A verified request: it counts once its nonce is spent."""
        if asking.officer or asking.target.path not in PATHS:
            return
        if len(self._waiting) >= WAITING:  # those that were refused before their turn never come to it
            del self._waiting[next(iter(self._waiting))]
        agency = asking.key.agency
        self._waiting[nonce] = Visit(agency, asking.claim.instance_of(agency), asking.claim.created)

    def spent(self, nonces: Iterable[bytes], submit: Callable[[Met], Awaitable[object]]) -> None:
        """These nonces are spent, durably: their requests were made once, by whom they say."""
        now = int(self._clock())
        for visit in filter(None, (self._waiting.pop(nonce, None) for nonce in nonces)):
            before = self._seen.get(visit.agency, Seen())
            after = before.after(visit, now)
            if after is before:
                continue
            self._seen[visit.agency] = after
            if after.twice != before.twice:
                self._rung({visit.agency})
            said = after.said != before.said
            if said or visit.agency not in self._unwritten:  # who draws anew each time costs one turn's row
                self._unwritten.add(visit.agency)
                task = asyncio.create_task(self._keep(submit, Met(visit.agency, self, said)))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def to_write(self, agency: str) -> str:
        """What is known of an agency's runs by now, as `restore` takes it up."""
        self._unwritten.discard(agency)
        seen = self._seen[agency]
        return json.dumps({"runs": seen.runs, "said": seen.said, "twice": seen.twice})

    async def _keep(self, submit: Callable[[Met], Awaitable[object]], work: Met) -> None:
        try:
            await submit(work)
        except Refusal:
            # The store is away, or the relay ends: the next run that is met is written with all before it.
            self._unwritten.discard(work.agency)


@dataclass
class Met(Unasked):
    """What is known of an agency's runs, to be stored; and an event for its officers when two were met at once."""

    agency: str
    known: Instances
    logs: bool = False

    def decide(self, turn: Turn) -> None:
        text = self.known.to_write(self.agency)
        turn.db.execute(delete(instances).where(instances.c.agency == self.agency))
        turn.db.execute(insert(instances).values(agency=self.agency, runs=text))
        if self.logs:
            turn.log(Event.TWO_AGENTS, turn.draw(32), {self.agency}, {"a": self.agency})


async def kept_instances(connection: AsyncConnection) -> list[tuple[str, str]]:
    """What `Met` stored."""
    found = await connection.execute(select(instances.c.agency, instances.c.runs))
    return [(row.agency, row.runs) for row in found]
