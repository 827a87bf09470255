"""Once a day, with each agency that something passed with: what we sent and got, and what they say (PROTOCOL.md N1-N9).

Rules of this house:
- a list is written once for a day and a pair, whatever it holds; nothing is ever sent because of a difference;
- findings are worked out anew from the store as it is and the other's newest word: nothing can be left behind by a
  crash, and what settles, settles by itself;
- what another agency writes is its claim: it is compared, never obeyed, and no list stops the agent.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, and_, insert, select, update

from agent.accounts import accounts
from agent.clock import Clock
from agent.directory import Book
from agent.findings import NO_DAY, forget, record
from agent.logs import log
from agent.outbox import Outbox
from agent.pairs import forget_missing
from agent.ring import HeldKeys
from agent.send import Plan, seal_plan
from agent.store import Store, note
from agent.tables import days, reports
from agent.trust import LogTrust
from schemas.canonical import Json, b64
from schemas.errors import Refusal
from schemas.messages.catalogue import print_payload
from schemas.messages.reconciliation import Reconcile
from schemas.reconciliation import (
    ANSWER,
    DAY,
    GRACE,
    WINDOW,
    Account,
    Finding,
    anything_open,
    compare,
    complete,
    contradicts_itself,
    day_number,
    day_of,
    due,
    gaps,
    heard,
    write,
)

KEPT = 40
"""Days that lists and findings are kept."""
PATIENCE = 6 * 3600
"""How long a list waits for the relay's word on what was sealed on its day."""
LIFE = 14 * DAY
ABOUT_NOBODY: Json = {
    "pd": "none", "consent_only": False, "spec": False, "crim": False, "child": False, "adult_at_risk": False,
    "agree": "NOT_APPLICABLE", "agree_by": None, "agree_ver": None, "b6": None, "b9": None, "s1": [], "gw": [],
    "conf": None, "hc": None, "why_no": None, "told": "NA", "told_by": None, "onward": "NONE", "ooh": False,
    "retain": "R4", "vir": [], "rfi": None,
}  # fmt: skip
TALLIES = {"sent", "collected", "taken_on"}


@dataclass(frozen=True, slots=True)
class Owed:
    """A list that is due: what it says, and when our last one for this agency was written."""

    agency: str
    day: int
    parts: tuple[Reconcile, ...]


class Reconciliation:
    """The daily lists of one agency."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        book: Book,
        trust: LogTrust,
        keys: HeldKeys,
        clock: Clock,
        draw: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._book = book
        self._trust = trust
        self._keys = keys
        self._clock = clock
        self._draw = draw

    # --- what comes in

    def take(self, c: Connection, agency: str, report: Reconcile, eid: str) -> None:
        """Keep one part of another agency's list, in the transaction that opens its message."""
        now, day = int(self._clock()), day_number(report.day)
        text = print_payload(report)
        here = and_(reports.c.a == agency, reports.c.day == day, reports.c.part == report.part)
        before = c.execute(select(reports.c.text).where(here)).scalar()
        early = max((day + 1) * DAY, report.made) > now + GRACE
        if not day_of(now) - WINDOW <= day <= day_of(now) + 1:
            note(c, now, "list-of-another-time", "FORM", eid)
        elif before is None:
            values = {"a": agency, "day": day, "part": report.part, "text": text, "came": now}
            c.execute(insert(reports).values(**values, fault="early" if early else ""))
        elif before != text:
            # The first word stands: whoever wants to change it has to say so to a person.
            c.execute(update(reports).where(here).values(fault="twice"))
            note(c, now, "list-twice", "CONFLICT", eid)

    # --- one round

    async def round(self, emptied: float) -> None:
        """Write what is due, and work every finding out anew.

        Args:
            emptied: when our mailbox was last seen to its end.

        Raises:
            Refusal: STALE_DIRECTORY, DISK_FULL, STORE; what was not written stays due.
        """
        for owed in await self._store.run(lambda c: self._due(c, emptied)):
            try:
                await self._send(owed)
            except Refusal as refusal:
                if refusal.code in ("STALE_DIRECTORY", "DISK_FULL", "STORE"):
                    raise
                # An agency that left, or has no key just now: it is looked at again, the others do not wait for it.
                log.warning("no-list", code=refusal.code)
        await self._store.run(lambda c: self._weigh(c, emptied))

    def _due(self, c: Connection, emptied: float) -> list[Owed]:
        now = int(self._clock())
        first = day_of(now) - WINDOW
        said = _said(c)
        owed = []
        ours = self._accounts(c, now)
        # Also whoever wrote to us of a day on which we know of nothing: there may be the one message that was dropped.
        for agency in sorted({*ours, *c.execute(select(reports.c.a).distinct()).scalars()}):
            account = ours.get(agency, Account(now))
            told = max((made for (a, _), made in said.items() if a == agency), default=0)
            passed = _days_with(account) | _days_heard(c, agency)
            for day in range(first, day_of(now)):
                over = (day + 1) * DAY
                ready = emptied >= over and now >= due(self._keys.agency, agency, day)
                wanted = day in passed or anything_open(account, day, told)
                if wanted and ready and (agency, day) not in said and not _waits(account, over, now):
                    owed.append(Owed(agency, day, write(day, account, told)))
                    told = now
        return owed

    async def _send(self, owed: Owed) -> None:
        view = self._book.view()
        desk = min(view.member(self._keys.agency).desks)
        to = ((owed.agency, min(view.member(owed.agency).desks)),)
        for part in owed.parts:
            # A caller's key has no line break in it, so it can never be this one.
            key = f"reconcile\n{owed.agency}\n{part.day}\n{part.part}"
            if await self._outbox.found(key) is not None:
                continue
            plan = Plan(
                kind=part.type, desk=desk, to=to, thread=b64(self._draw(16)), rag="GREEN", purpose="SUPPORT",
                categories=(), law=dict(ABOUT_NOBODY), payload=print_payload(part), subject=b64(self._draw(32)),
                author="agent", gid=None, life=LIFE,
            )  # fmt: skip
            now = int(self._clock())
            sealed = seal_plan(plan, None, view, self._keys, self._trust.gossip, now, self._draw)
            await self._outbox.queue(plan, sealed, key, None)
        first = owed.parts[0]
        tallies = {"sent": first.sent, "got": first.got}
        text = json.dumps({way: tally.model_dump(include=TALLIES) for way, tally in tallies.items()})
        values = {"a": owed.agency, "day": owed.day, "made": first.made, "tallies": text}
        await self._store.run(
            lambda c: c.execute(insert(days).prefix_with("OR IGNORE").values(**values)).close()
        )
        log.info("list-written", parts=len(owed.parts))

    # --- findings

    def _weigh(self, c: Connection, emptied: float) -> None:
        now = int(self._clock())
        ours, theirs, said = self._accounts(c, now), _theirs(c), _said(c)
        forget(c, day_of(now) - KEPT)
        forget_missing(c, (day_of(now) - WINDOW) * DAY)
        for agency in sorted({*ours, *theirs, *(a for a, _ in said)}):
            by_day = theirs.get(agency, {})
            account = ours.get(agency, Account(now))
            whole = {day: r for day, r in by_day.items() if complete(r.parts) and "early" not in r.faults}
            word = heard(part for r in whole.values() for part in r.parts)
            expected = _days_with(account) | {day for a, day in said if a == agency}
            for day in range(day_of(now) - WINDOW, day_of(now)):
                found: set[Finding] = set()
                if day in whole:
                    found |= set(compare(self._keys.agency, agency, day, account, word))
                elif day in expected and emptied >= (day + 1) * DAY + ANSWER:
                    found.add(Finding("no-answer", agency))
                if day in by_day and (set(by_day[day].faults) - {""} or _contradictory(by_day[day].parts)):
                    found.add(Finding("report", agency))
                record(c, agency, day, found, now)
            lost = gaps(self._keys.agency, agency, account, word) if whole else ()
            record(c, agency, NO_DAY, lost, now)

    def _accounts(self, c: Connection, now: int) -> dict[str, Account]:
        return accounts(c, self._keys.agency, (day_of(now) - WINDOW) * DAY, now)


@dataclass(frozen=True, slots=True)
class Heard:
    """The parts of a day's list that have come, and what is wrong with them."""

    parts: tuple[Reconcile, ...]
    faults: tuple[str, ...]


def _theirs(c: Connection) -> dict[str, dict[int, Heard]]:
    rows = c.execute(select(reports).order_by(reports.c.a, reports.c.day, reports.c.part)).all()
    found: dict[str, dict[int, Heard]] = defaultdict(dict)
    for (agency, day), group in groupby(rows, key=lambda row: (row.a, row.day)):
        mine = list(group)
        parts = tuple(Reconcile.model_validate_json(row.text) for row in mine)
        found[agency][day] = Heard(parts, tuple(row.fault for row in mine))
    return found


def _contradictory(parts: tuple[Reconcile, ...]) -> bool:
    return complete(parts) and contradicts_itself(parts)


def _said(c: Connection) -> dict[tuple[str, int], int]:
    """When we wrote about which agency and day."""
    return {(row.a, row.day): row.made for row in c.execute(select(days.c.a, days.c.day, days.c.made))}


def _days_with(account: Account) -> set[int]:
    sent = {day_of(item.ts) for item in account.sent.values() if item.state != "waiting"}
    return sent | {day_of(item.ts) for item in account.got.values()}


def _days_heard(c: Connection, agency: str) -> set[int]:
    asked = select(reports.c.day).where(reports.c.a == agency, reports.c.fault != "early").distinct()
    return set(c.execute(asked).scalars())


def _waits(account: Account, over: int, now: int) -> bool:
    """Whether something sealed before the day was over may yet prove to be at the relay."""
    waiting = any(item.state == "waiting" and item.ts < over for item in account.sent.values())
    return waiting and now < over + PATIENCE
