"""Our signed steps on the ladder, on their way to the relay (PROTOCOL.md D1-D4).

Rules of this house:
- a receipt is written in the transaction of the step that it reports, and posted until the relay has recorded it;
- a step is signed once; sending it again sends the same bytes, unless the relay refuses its key or its time, which
  another signature can cure: what people did is not lost for that;
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
from agent.denials import GONE, UNSEEN, deny, handed_out_again
from agent.logs import log
from agent.ring import HeldKeys
from agent.signatures import ANEW
from agent.store import Store, note
from agent.tables import inbox, receipts
from agent.trust import LogTrust
from schemas import api
from schemas.canonical import b64, unb64
from schemas.errors import Refusal
from schemas.kinds import KINDS
from schemas.receipt import Receipt, parse_receipt, sign_receipt
from schemas.signing import Signed

WRITTEN = insert(receipts).prefix_with("OR IGNORE")


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
        words = {"sig": b64(signed.signature), "text": signed.text.decode("ascii")}
        c.execute(WRITTEN, {"eid": eid, "d": desk, "state": state, **words})

    def again(self, c: Connection, eid: str, desk: str) -> None:
        """The relay delivered what it should know we have: tell it once more."""
        ours = (receipts.c.eid == eid) & (receipts.c.d == desk) & receipts.c.code.is_(None)
        c.execute(update(receipts).where(ours).values(posted=0))
        handed_out_again(c, eid, desk)

    async def flush(self, notices: tuple[int, ...] = (), without: frozenset[str] = frozenset()) -> None:
        """Post every receipt that waits, oldest first, and acknowledge notices that are safely stored.

        Args:
            without: envelopes of which nothing is posted yet.

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
            if without:
                waiting = waiting.where(receipts.c.eid.not_in(without))
            anew, stuck = set[int](), set[int]()
            while True:
                open_ = waiting.where(receipts.c.n.not_in(stuck))
                rows = await self._store.run(lambda c, q=open_: c.execute(q).all())  # type: ignore[misc]
                if not rows and not notices:
                    return
                items = tuple(api.SignedJson(s=row.sig, t=row.text) for row in rows)
                answer = await self._relay.post_receipts(api.ReceiptsRequest(receipts=items, notices=notices))
                if len(answer.results) != len(rows):
                    raise Refusal("FORM", party="relay", retry=True)
                notices = ()
                kept = await self._settle(list(zip(rows, answer.results, strict=True)))
                stuck |= kept & anew
                anew |= kept

    async def _settle(self, pairs: list[tuple[Row[Any], api.ReceiptResult]]) -> set[int]:
        """Note what became of each; returns those that were signed anew instead, and are to be posted again."""
        now, kept = int(self._clock()), set[int]()
        faults = [await self._fault(row, result) for row, result in pairs]

        def work(c: Connection) -> None:
            for (row, result), fault in zip(pairs, faults, strict=True):
                if fault is None and result.status == "refused" and result.code in ANEW:
                    self._sign_anew(c, row, result.code, now)
                    kept.add(row.n)
                elif fault is None:
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
        return kept

    def _sign_anew(self, c: Connection, row: Row[Any], code: str, now: int) -> None:
        """With the present key and time: the relay has not recorded it, and would never take it as it is."""
        said = parse_receipt(Signed(row.text.encode("ascii"), unb64(row.sig, 64)))
        signed = sign_receipt(
            said.model_copy(update={"signer": self._keys.msg.kid, "ts": now}), self._keys.msg
        )
        words = {"sig": b64(signed.signature), "text": signed.text.decode("ascii"), "code": code}
        c.execute(update(receipts).where(receipts.c.n == row.n).values(**words))
        if code == row.code:  # refused again: no reason to keep the message from its desk
            c.execute(update(inbox).where(_here(row)).values(recorded=1))
        else:
            note(c, now, "receipt-refused", code, row.eid)

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
        if row.state in UNSEEN:
            deny(c, row.eid, row.d, result.code, now)
    else:
        # Also when the relay takes our receipt for wrong: that is no reason to keep the message from its desk.
        c.execute(update(inbox).where(here).values(recorded=1, denied=None))
