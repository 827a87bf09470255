"""Our signed steps on the ladder, on their way to the relay (PROTOCOL.md D1-D4).

Rules of this house:
- a receipt is written in the transaction of the step that it reports, and posted until the relay has recorded it;
- a step is signed once; sending it again sends the same bytes;
- "recorded" is believed with its evidence only, which is kept; evidence that does not hold stops all sending, but it
  is no reason to keep a message from its desk.
"""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.acceptance import EVIDENCE, check_step
from agent.client import Relay
from agent.clock import Clock
from agent.logs import log
from agent.ring import HeldKeys
from agent.store import Store, note
from agent.tables import inbox, receipts
from agent.trust import LogTrust
from schemas import api
from schemas.canonical import b64, unb64
from schemas.errors import KINDS, Refusal
from schemas.receipt import Receipt, sign_receipt
from schemas.signing import Signed

GONE = frozenset({"ENDED", "WITHDRAWN", "NOT_FOUND", "CONFLICT"})


class Receipts:
    """Receipts of one agency."""

    def __init__(self, store: Store, relay: Relay, trust: LogTrust, keys: HeldKeys, clock: Clock) -> None:
        self._store = store
        self._relay = relay
        self._trust = trust
        self._keys = keys
        self._clock = clock
        self._lock = asyncio.Lock()
        self.kick = asyncio.Event()

    def write(
        self,
        c: Connection,
        eid: str,
        desk: str,
        body: str,
        state: str,
        *,
        role: str | None = None,
        reason: str | None = None,
    ) -> None:
        """Sign a step and keep it for posting; a step that was signed before stays as it is."""
        value = {
            "v": 1,
            "eid": eid,
            "a": self._keys.agency,
            "d": desk,
            "state": state,
            "body": body,
            "ts": int(self._clock()),
            "signer": self._keys.msg.kid,
            "role": role,
            "reason": reason,
        }
        signed = sign_receipt(Receipt.model_validate(value), self._keys.msg)
        c.execute(
            insert(receipts)
            .prefix_with("OR IGNORE")
            .values(eid=eid, d=desk, state=state, sig=b64(signed.signature), text=signed.text.decode("ascii"))
        )

    def again(self, c: Connection, eid: str, desk: str) -> None:
        """The relay delivered what it should know we have: tell it once more."""
        c.execute(
            update(receipts)
            .where(receipts.c.eid == eid, receipts.c.d == desk, receipts.c.code.is_(None))
            .values(posted=0)
        )

    async def flush(self, notices: tuple[int, ...] = ()) -> None:
        """Post every receipt that waits, oldest first, and acknowledge notices that are safely stored.

        Raises:
            Refusal: RELAY_AWAY and the relay's own; PROOF, CHECKPOINT, RECORD, RECORD_DIFFERS, FORK after the alarm.
                What was not recorded, or not provably so, stays.
        """
        async with self._lock:
            waiting = (
                select(receipts)
                .where(receipts.c.posted == 0)
                .order_by(receipts.c.n)
                .limit(api.BATCH_RECEIPTS)
            )
            while True:
                rows = await self._store.run(lambda c: c.execute(waiting).all())
                if not rows and not notices:
                    return
                items = tuple(api.SignedJson(s=row.sig, t=row.text) for row in rows)
                answer = await self._relay.post_receipts(api.ReceiptsRequest(receipts=items, notices=notices))
                if len(answer.results) != len(rows):
                    raise Refusal("FORM", party="relay", retry=True)
                notices = ()
                await self._settle(list(zip(rows, answer.results, strict=True)))

    async def _settle(self, pairs: list[tuple[Row[Any], api.ReceiptResult]]) -> None:
        now = int(self._clock())
        faults = [await self._fault(row, result) for row, result in pairs]

        def work(c: Connection) -> None:
            for (row, result), fault in zip(pairs, faults, strict=True):
                if fault is None:
                    _settled(c, row, result, now)
                elif fault.code in EVIDENCE:
                    c.execute(update(inbox).where(_here(row)).values(recorded=1))
            self._trust.save(c)

        await self._store.run(work)
        for _, result in pairs:
            if result.status == "refused":
                log.warning("receipt-refused", code=result.code or "")
        for fault in faults:
            if fault is not None:
                raise fault

    async def _fault(self, row: Row[Any], result: api.ReceiptResult) -> Refusal | None:
        """Why this receipt is not settled yet: it may pass later, or what the relay showed for it does not hold."""
        if result.status == "refused":
            return Refusal(result.code or "UNAVAILABLE") if _may_pass_later(result) else None
        try:
            signed = Signed(row.text.encode("ascii"), unb64(row.sig, 64))
            await self._trust.believe(check_step(signed, result, self._trust.key))
        except Refusal as refusal:
            if refusal.code in EVIDENCE and not refusal.retry:
                await self._trust.report(refusal.code, result.proof or "")
            return refusal
        return None


def _may_pass_later(result: api.ReceiptResult) -> bool:
    kind = KINDS.get(result.code or "")
    return result.status == "refused" and kind is not None and kind.retry


def _here(row: Row[Any]) -> Any:
    return (inbox.c.eid == row.eid) & (inbox.c.d == row.d)


def _settled(c: Connection, row: Row[Any], result: api.ReceiptResult, now: int) -> None:
    shown: dict[str, str] = {"proof": result.proof} if result.proof else {}
    if result.record and result.rk:  # a repeat has none, and must not wipe what the first answer showed
        shown |= {"record": result.record, "rk": result.rk}
    c.execute(update(receipts).where(receipts.c.n == row.n).values(posted=1, code=result.code, **shown))
    here = _here(row)
    if result.status == "refused":
        note(c, now, "receipt-refused", result.code or "UNFORESEEN", row.eid)
    if result.status == "refused" and result.code in GONE:
        _lost(c, here, row.state)
    else:
        # Also when the relay takes our receipt for wrong: that is no reason to keep the message from its desk.
        c.execute(update(inbox).where(here).values(recorded=1))


def _lost(c: Connection, here: Any, state: str) -> None:
    """The relay ended a message for us before it knew that we had it: what nobody has seen yet is dropped."""
    if state in ("collected", "opened"):
        c.execute(
            update(inbox)
            .where(
                here,
                inbox.c.handed.is_(None),
                inbox.c.recorded == 0,
                inbox.c.state.in_(("collected", "opened")),
            )
            .values(state="withdrawn", message=None, delivery=None)
        )
