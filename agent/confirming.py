"""Whether the agreement that a message rests on still stands at the moment of handing over (PROTOCOL.md V10, C2).

Rules of this house:
- what rests on an agreement alone is handed over under a staple that is good now: the relay may have kept a message
  back for days, and with it the word that the person said stop;
- while there is none it waits, says so, and asks again; a day later it is given back, and both sides hear why;
- a RED that the rule lets pass with an old staple goes, with its alert: paper stops no emergency.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from agent.clock import Clock
from agent.consent import ConsentDesk
from agent.logs import log
from agent.receipts import Receipts
from agent.store import Store, note
from agent.tables import grants, inbox
from schemas.canonical import unb64
from schemas.grants import AHEAD, parse_status
from schemas.signing import Signed

CODE = "STATUS_STALE"
SAYS = "not confirmed: nobody says that the person's agreement still stands, so this waits; it is asked for again"
PATIENCE = 24 * 3600
"""Seconds that a message waits for the word that its agreement stands."""
AGAIN = 15 * 60
LAST = 10 * 60
"""It is given back this long before its own end, so that its sender hears the reason and not only that it expired."""


class Confirming:
    """Asks how agreements stand, and keeps back what needs the answer.

    `certain` is a time that has come for certain, whatever our clock says (Book.certain).
    """

    def __init__(
        self, store: Store, desk: ConsentDesk, receipts: Receipts, clock: Clock, certain: Callable[[], int]
    ) -> None:
        self._store = store
        self._desk = desk
        self._receipts = receipts
        self._clock = clock
        self._certain = certain
        self._asked: dict[str, float] = {}
        self._answered: dict[str, float] = {}

    async def ask(self, gid: str) -> bool:
        """Ask the relay how a handle stands; False when it could not be learnt."""
        self._asked[gid] = self._clock()
        if answered := await self._desk.ask(gid):
            self._answered[gid] = self._clock()
        return answered

    async def settle(self) -> None:
        """Ask for what is not confirmed; let go what is by now, and give back what nobody confirmed in time."""
        open_questions = await self._store.run(lambda c: {row.gid for row in self._doubtful(c)})
        for times in (self._asked, self._answered):
            for gid in times.keys() - open_questions:
                del times[gid]
        for gid in sorted(open_questions):
            if self._clock() - self._asked.get(gid, 0.0) >= AGAIN and not await self.ask(gid):
                break  # a relay that is away or slow need not be waited for once for each of them
        await self.sort()

    async def sort(self, without: Collection[str] = ()) -> None:
        """Let go what is confirmed by now, and give back what nobody confirmed in time; ask nobody.

        Args:
            without: envelopes of which the answer is still to come.
        """
        if await self._store.run(lambda c: self._sort(c, without)):
            self._receipts.kick.set()

    def _doubtful(self, c: Connection) -> list[Row[Any]]:
        now = int(self._clock())
        return [row for row in c.execute(select(inbox).where(_resting())).all() if doubtful(c, row, now)]

    def _sort(self, c: Connection, without: Collection[str]) -> bool:
        now, changed = int(self._clock()), False
        for row in c.execute(select(inbox).where(_resting())).all():
            here = update(inbox).where(inbox.c.id == row.id)
            if row.eid in without:
                continue
            if not doubtful(c, row, now):
                if row.unsure is not None:
                    c.execute(here.values(unsure=None))
                    self._receipts.write(c, row.eid, row.d, row.body, "opened")
                    changed = True
            elif row.unproven:
                c.execute(here.values(alert=1))
            elif row.unsure is None:
                doubt(c, row.id, row.eid, now)
            elif self._out_of_time(row, now):
                self._give_back(c, row, now)
                changed = True
        return changed

    def _out_of_time(self, row: Row[Any], now: int) -> bool:
        if self._certain() >= row.exp - LAST:
            return True
        # Not before the relay was heard once more: this machine may have been off for all that time.
        asked = self._answered.get(row.gid, 0.0)
        return bool(now >= row.unsure + PATIENCE and asked >= row.unsure + PATIENCE)

    def _give_back(self, c: Connection, row: Row[Any], now: int) -> None:
        words = {
            "state": "rejected",
            "code": CODE,
            "reason": "not-confirmed",
            "message": None,
            "delivery": None,
        }
        c.execute(update(inbox).where(inbox.c.id == row.id).values(**words))
        self._receipts.write(c, row.eid, row.d, row.body, "rejected", reason="not-confirmed")
        note(c, now, "rejected", CODE, row.eid)
        log.warning("rejected", code=CODE)


def doubtful(c: Connection, row: Row[Any], now: int) -> bool:
    """Whether what is opened rests on an agreement alone, and nobody has said that it still stands."""
    return row.gid is not None and not row.alone and not _confirmed(c, row.gid, now)


def doubt(c: Connection, place: str, eid: str, now: int) -> None:
    """Keep back what is not confirmed, from now on."""
    c.execute(update(inbox).where(inbox.c.id == place).values(unsure=now))
    note(c, now, "not-confirmed", CODE, eid)
    log.warning("not-confirmed", code=CODE)


def unconfirmed(c: Connection) -> list[Row[Any]]:
    """What waits to be confirmed, the oldest first."""
    return list(
        c.execute(select(inbox).where(_resting(), inbox.c.unsure.is_not(None)).order_by(inbox.c.unsure))
    )


def _resting() -> ColumnElement[bool]:
    here: ColumnElement[bool] = (
        (inbox.c.state == "opened")
        & inbox.c.handed.is_(None)
        & inbox.c.denied.is_(None)  # kept back for another reason, and for longer
        & (inbox.c.alone == 0)
        & inbox.c.gid.is_not(None)
    )
    return here


def _confirmed(c: Connection, gid: str, now: int) -> bool:
    row = c.execute(select(grants).where(grants.c.gid == gid)).one_or_none()
    if row is None or row.withdrawal_t is not None or now >= row.exp:
        return False
    if row.mine:
        return True  # whether it stands is ours to say
    if row.status_t is None:
        return False
    said = parse_status(Signed(row.status_t.encode("ascii"), unb64(row.status_s, 64)))
    return bool(said.ts <= now + AHEAD and now < said.exp)
