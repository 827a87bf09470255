"""The inbox: collect, verify, keep, say so, open, say so, hand over (PROTOCOL.md V1-V9, D1-D4).

Each step is written before the next begins, and each can be done again: after a crash at any point `resume` goes on
from what the store says.

Rules of this house:
- `collected` is said once the delivery is in our store, `opened` once every rule held;
- what rests on an agreement alone waits until it is confirmed that the agreement stands (agent.confirming);
- nothing is handed over before the relay has logged that we have it, so that nobody is told "stopped" of a message
  that was read; a RED is not kept waiting for a relay that went away in between;
- before that the relay is asked once more how the agreement stands that a message names; what names none does not wait
  for those answers, and a RED only for those of other REDs;
- what the relay gets wrong (bytes, proof, log) is never answered with a signed rejection: the sender did nothing wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.client import Relay
from agent.clock import Clock
from agent.confirming import Confirming, doubt, doubtful
from agent.consent import ConsentDesk
from agent.denials import settle
from agent.directory import Book
from agent.endings import TakenBack, ended, so_far, take_back, too_late, wrote_after
from agent.handing import Handing
from agent.judge import Judge
from agent.logs import log
from agent.notices import Notices
from agent.others import remember
from agent.overriding import outer_text
from agent.pairs import gap_before
from agent.receipts import Receipts
from agent.ring import HeldKeys, sealed_late
from agent.rules import Clear, NoAuthority, Shown, parse
from agent.store import Store, note
from agent.tables import inbox, seen
from agent.trust import LogTrust
from schemas.api import PageItem
from schemas.canonical import b64
from schemas.envelope import Delivery, parse_header
from schemas.errors import Refusal
from schemas.lawful import RejectReason
from schemas.messages.reconciliation import Reconcile
from schemas.override import MID_KEPT

REMEMBERED = 2 * 24 * 3600
"""How long after its expiry an envelope is still known as seen."""
WAIT = frozenset(
    {"EXPIRED", "FUTURE", "STALE_DIRECTORY", "PROOF", "CHECKPOINT", "FORK", "ROLLBACK", "RELAY_AWAY"}
)
"""Not the sender's fault, or not for ever: no word is said, and it is looked at again."""
EVIDENCE = frozenset({"PROOF", "CHECKPOINT"})
ABREAST = 8
"""How many agreements are asked about at once: a slow relay is waited for that many times less."""


@dataclass(frozen=True, slots=True)
class Found:
    """A delivery on its way in: what it passed, or why it is rejected."""

    id: str
    desk: str
    delivery: Delivery
    clear: Clear | None
    refusal: Refusal | None
    override: str | None = None


def item_id(delivery: Delivery, desk: str) -> str:
    """The stable id under which a delivery is handed over: the envelope's first 12 bytes and the desk."""
    return f"{delivery.envelope.eid[:12].hex()}-{desk}"


def reason_of(refusal: Refusal) -> RejectReason:
    """The typed reason that the sender is told; the exact code stays in our journal."""
    if isinstance(refusal, NoAuthority):
        return "gate-fault"
    if refusal.code in ("NOT_FOR_US", "UNKNOWN_DESK"):
        return "wrong-recipient"
    return "over-shared" if refusal.code in ("CATEGORIES_DIFFER", "FLAGS_DIFFER") else "cannot-read"


class Inbox:
    """What this agency receives.

    `hand_over` writes one opened message to where the case system looks, if it `writes`; `take_list` keeps another
    agent's daily list.
    `emptied` is when the mailbox was last seen to its end.
    """

    def __init__(
        self,
        store: Store,
        relay: Relay,
        book: Book,
        trust: LogTrust,
        desk: ConsentDesk,
        notices: Notices,
        receipts: Receipts,
        keys: HeldKeys,
        clock: Clock,
        hand_over: Callable[[Row[Any]], Awaitable[None]],
        take_list: Callable[[Connection, str, Reconcile, str], None],
        *,
        writes: bool,
    ) -> None:
        self._store = store
        self._relay = relay
        self._book = book
        self._trust = trust
        self._judge = Judge(store, book, trust, keys, clock)
        self._confirming = Confirming(store, desk, receipts, clock, lambda: book.certain)
        self._notices = notices
        self._receipts = receipts
        self._clock = clock
        self._handing = Handing(store, hand_over, self._confirming.ask, clock, writes=writes)
        self._take_list = take_list
        self.emptied = 0.0
        self._unasked: dict[str, Row[Any]] = {}  # by envelope, what is not handed over before an answer
        self._stepping = asyncio.Lock()

    async def collect(self, wait: int) -> bool:
        """Take one mailbox page; False when there was one and nothing in it could be taken.

        Raises:
            Refusal: RELAY_AWAY and the relay's own; ROLLBACK, FORK, CHECKPOINT after the alarm; DISK_FULL, STORE.
        """
        floor = self._trust.floor
        before = await self._store.run(so_far)
        page = await self._relay.mailbox(wait)
        await self._trust.head(page.head.checkpoint, floor)
        await self._book.twin.told(page.head.twice)
        self._book.told(page.head.directory)
        async with self._stepping:
            # Not while something is being handed over: a withdrawal is either before that or after it.
            await self._handing.take_up()
            acknowledged = await self._notices.take(page.head.notices)
        found = [
            one
            for item, data in zip(page.head.items, page.deliveries, strict=True)
            if (one := await self._examine(item, data)) is not None
        ]
        new = await self._store.run(lambda c: self._keep(c, found, before)) if found else 0
        await self.resume(acknowledged)
        if not page.head.more:
            self.emptied = self._clock()
        return bool(new or acknowledged or not page.head.items)

    async def resume(self, acknowledged: tuple[int, ...] = ()) -> None:
        """Go on with everything that is between two steps: open, post receipts, hand over."""
        async with self._stepping:
            await self._handing.take_up()
            opened = await self._open_all()
            await self._ask([eid for eid, row in self._unasked.items() if row.rag == "RED"])
            if self._unasked and opened - self._unasked.keys():
                await self._go_ahead()
            await self._ask(list(self._unasked))
            await self._confirming.settle()
            try:
                await self._receipts.flush(acknowledged)
            finally:
                await self.hand_over_all()

    async def _go_ahead(self) -> None:
        """Hand over what waits for no answer, while of the rest nothing is said yet."""
        await self._confirming.sort(self._unasked.keys())
        with contextlib.suppress(Refusal):  # it is tried again, and raised, once the answers are here
            await self._receipts.flush(without=frozenset(self._unasked))
        await self.hand_over_all()

    async def _ask(self, eids: list[str]) -> None:
        """Ask how the agreements of these stand now: what ended meanwhile is not handed over (V8)."""
        gids = list({self._unasked[eid].gid: None for eid in eids})
        for first in range(0, len(gids), ABREAST):
            await asyncio.gather(*map(self._confirming.ask, gids[first : first + ABREAST]))
        for eid in eids:
            del self._unasked[eid]

    # --- rules 1 to 5

    async def _examine(self, item: PageItem, data: bytes) -> Found | None:
        try:
            delivery = parse(data, item)
        except Refusal as refusal:
            await self._journal("relay-fault", refusal.code, item.eid)
            return None
        place = item_id(delivery, item.d)
        try:
            passed = await self._judge.cleared(delivery, item.d)
            await self._trust.believe(passed.note)
        except Refusal as refusal:
            if refusal.code in EVIDENCE:
                await self._trust.report(refusal.code)
            if refusal.retry or refusal.code in WAIT:
                await self._journal("waits", refusal.code, item.eid)
                return None
            return Found(place, item.d, delivery, None, refusal)
        return Found(place, item.d, delivery, passed, None, outer_text(item.override))

    # --- durable, then `collected`

    def _keep(self, c: Connection, found: Sequence[Found], before: int) -> int:
        new = sum(self._keep_one(c, one, before) for one in found)
        self._trust.save(c)
        return new

    def _keep_one(self, c: Connection, one: Found, before: int) -> bool:
        now, envelope, refusal = int(self._clock()), one.delivery.envelope, one.refusal
        header, eid, body = envelope.header, b64(envelope.eid), b64(envelope.body_hash)
        if _known(c, eid, one.desk):
            note(c, now, "replay", "REPLAY", eid)
            self._receipts.again(c, eid, one.desk)
            return False
        if refusal is None and _mid_taken(c, eid, header.sender.a, header.mid):
            refusal = Refusal("REPLAY")
        values = {
            "id": one.id, "eid": eid, "d": one.desk, "mid": header.mid, "thr": header.thr,
            "from_a": header.sender.a, "from_d": header.sender.d, "cls": header.cls, "rag": header.rag,
            "gid": header.gid, "ts": header.ts, "exp": header.exp, "received": now, "body": body,
            "header": envelope.header_bytes.decode("ascii"), "override": one.override,
            "late": int(too_late(c, header, before)),
        }  # fmt: skip
        if refusal is not None:
            # Its mid is not noted: only a verified sender may use one up.
            c.execute(insert(inbox).values(**values, state="rejected", code=refusal.code))
            self._reject(c, eid, one.desk, body, refusal)
            return True
        until = max(header.exp, header.ts + MID_KEPT) + REMEMBERED
        met = {"eid": eid, "d": one.desk, "from_a": header.sender.a, "mid": header.mid, "until": until}
        c.execute(insert(seen), met)
        c.execute(insert(inbox), {**values, "state": "collected", "delivery": one.delivery.to_bytes()})
        if one.clear is not None and self._judge.sealed_to_old(one.clear):
            sealed_late(c, header.sender.a, now)
        self._receipts.write(c, eid, one.desk, body, "collected")
        return True

    def _reject(self, c: Connection, eid: str, desk: str, body: str, refusal: Refusal) -> None:
        now = int(self._clock())
        note(c, now, "rejected", refusal.code, eid)
        if isinstance(refusal, NoAuthority):
            note(c, now, "gate-fault", refusal.why, eid)
            log.error("gate-fault", code=refusal.why)
        self._receipts.write(c, eid, desk, body, "rejected", reason=reason_of(refusal))
        log.warning("rejected", code=refusal.code)

    # --- rules 6 to 9, then `opened`

    async def _open_all(self) -> set[str]:
        """Open what was collected, and note whose agreements are to be asked about; returns the envelopes' ids."""
        waiting = select(inbox).where(inbox.c.state == "collected").order_by(inbox.c.received)
        rows = await self._store.run(lambda c: c.execute(waiting).all())
        steps: list[Callable[[Connection], None]] = []
        for row in rows:
            gone = await self._store.run(lambda c, r=row: ended(c, parse_header(r.header.encode())))  # type: ignore[misc]
            after = await self._store.run(lambda c, r=row: wrote_after(c, parse_header(r.header.encode())))  # type: ignore[misc]
            try:
                shown = await self._judge.shown(row, gone, after)
            except Refusal as refusal:
                if not refusal.retry and refusal.code != "FUTURE":
                    steps.append(partial(self._not_opened, row=row, refusal=refusal))
                continue
            await self._weigh(shown, row.ts)
            steps.append(partial(self._opened, row=row, shown=shown))
        if steps:
            await self._store.run(lambda c: [step(c) for step in steps])
        self._unasked |= {row.eid: row for row in rows if row.gid is not None}
        return {row.eid for row in rows}

    def _not_opened(self, c: Connection, row: Row[Any], refusal: Refusal) -> None:
        state = "expired" if refusal.code == "EXPIRED" else "rejected"
        if isinstance(refusal, TakenBack):
            state = "withdrawn"
            note(c, int(self._clock()), "taken-back", refusal.code, row.eid)
        c.execute(
            update(inbox).where(inbox.c.id == row.id).values(state=state, code=refusal.code, delivery=None)
        )
        if state == "rejected":
            self._reject(c, row.eid, row.d, row.body, refusal)

    def _listed(self, c: Connection, row: Row[Any], report: Reconcile) -> None:
        """Another agent's daily list is for this agent, not for a desk (N1)."""
        here = (inbox.c.id == row.id) & (inbox.c.state == "collected")
        c.execute(update(inbox).where(here).values(state="taken-on", role="agent", delivery=None))
        self._receipts.write(c, row.eid, row.d, row.body, "taken-on", role="agent")
        self._take_list(c, row.from_a, report, row.eid)

    def _opened(self, c: Connection, row: Row[Any], shown: Shown) -> None:
        if isinstance(shown.message, Reconcile):
            self._listed(c, row, shown.message)
            return
        now = int(self._clock())
        c.execute(
            update(inbox)
            .where(inbox.c.id == row.id, inbox.c.state == "collected")
            .values(
                state="opened",
                message=shown.opened.payload,
                delivery=None,
                alert=int(shown.alert),
                number=shown.number,
                alone=int(shown.alone),
                unproven=int(shown.unproven),
            )
        )
        if shown.grant is not None:
            remember(c, shown.grant, shown.staple)
        kept = c.execute(select(inbox).where(inbox.c.id == row.id)).one()
        if doubtful(c, kept, now) and not shown.unproven:
            doubt(c, row.id, row.eid, now)  # "opened" says that every rule held
        else:
            self._receipts.write(c, row.eid, row.d, row.body, "opened")
        if shown.number is not None:
            gap = gap_before(c, row.from_a, shown.number, now)
            if gap:
                note(c, now, "gap" if gap > 0 else "late", str(abs(gap)), row.eid)

    async def _weigh(self, shown: Shown, sealed: int) -> None:
        # A fork shown by a colleague's checkpoint stops our sending; her message stands on its own signature.
        for text in shown.opened.checkpoints:
            try:
                await self._trust.weigh(text, sealed)
            except Refusal as refusal:
                await self._journal("gossip", refusal.code, None)

    # --- handing over

    async def hand_over_all(self) -> None:
        """Hand over what may be: at least once, always under the same id."""
        ready = select(inbox).where(
            inbox.c.state == "opened",
            inbox.c.handed.is_(None),
            inbox.c.unsure.is_(None),
            inbox.c.denied.is_(None),
            (inbox.c.recorded == 1) | (inbox.c.rag == "RED"),
        )
        await self._store.run(lambda c: settle(c, self._book.certain))
        if taken := await self._store.run(take_back):
            log.info("taken-back", count=taken)
        await self._handing.again()
        rows = await self._store.run(lambda c: c.execute(ready).all())
        await self._handing.give([row for row in rows if row.eid not in self._unasked])

    async def _journal(self, event: str, code: str, eid: str | None) -> None:
        now = int(self._clock())
        log.warning(event, code=code)
        await self._store.run(lambda c: note(c, now, event, code, eid))


def _known(c: Connection, eid: str, desk: str) -> bool:
    kept = select(inbox.c.id).where(inbox.c.eid == eid, inbox.c.d == desk)
    remembered = select(seen.c.eid).where(seen.c.eid == eid, seen.c.d == desk)
    return c.execute(kept).first() is not None or c.execute(remembered).first() is not None


def _mid_taken(c: Connection, eid: str, agency: str, mid: str) -> bool:
    same = select(seen.c.eid).where(seen.c.from_a == agency, seen.c.mid == mid)
    return any(other != eid for other in c.execute(same).scalars())
