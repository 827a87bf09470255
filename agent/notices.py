"""What the relay tells us outside any message, held against signatures before it is believed (PROTOCOL.md D2, C5).

Rules of this house:
- a receipt counts with its recipient's signature, a withdrawal with that of a party to the agreement, and only for
  what rests on that agreement; what nothing proves must fit our own copy;
- a notice is acknowledged once what it says is in the store, and also when it proves nothing: then it is in the
  journal instead;
- withdrawn before anybody saw it: the words go. Withdrawn afterwards: they stay, marked, for people to act on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from agent.clock import Clock
from agent.consent_ledger import note_stop
from agent.directory import Book
from agent.endings import keep_early, relay_knows, withdrawn
from agent.heard_of import may_have_lapsed, over, rests_on
from agent.holding import KINDS_OF_NOTICE, hear_lead
from agent.ladder import forget_ended, step, stop_resting
from agent.logs import log
from agent.others import mark_withdrawn, remember
from agent.outbox import Outbox
from agent.proofs import verified_grant, verified_recalled, verified_withdrawal
from agent.recalls import expect_answers, grant_of, heard, narrowed_here, owed_here
from agent.ring import HeldKeys
from agent.store import Store, note
from agent.tables import inbox, sealings
from schemas.api import Notice, SignedJson
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.grants import Grant, ending, parse_withdrawal
from schemas.keys import Use
from schemas.receipt import Receipt, parse_receipt
from schemas.signing import Purpose, Signed

REFRESH = frozenset({"UNKNOWN_KEY", "UNKNOWN_AGENCY", "STALE_KEY"})
BY_EID = select(sealings).where(sealings.c.eid == bindparam("at"))


@dataclass(frozen=True, slots=True)
class Unread:
    """A desk that could not read what was sent to it."""

    row: Row[Any]
    desk: tuple[str, str]


class _Refused(Exception):
    """A notice of a page, by its place, is not to be believed or cannot be told yet."""

    def __init__(self, at: int, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.at, self.refusal = at, refusal


class Notices:
    """Takes notices in."""

    def __init__(self, store: Store, book: Book, outbox: Outbox, keys: HeldKeys, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._outbox = outbox
        self._keys = keys
        self._clock = clock

    async def take(self, notices: tuple[Notice, ...]) -> tuple[int, ...]:
        """Store what each notice says; returns the ids that may be acknowledged."""
        left, few = notices, len(notices)
        while left:
            try:
                count, unread = await self._store.run(lambda c, page=left[:few]: self._each(c, page))  # type: ignore[misc]
            except _Refused as stop:
                if stop.at:  # nothing of the page stands: first what came before it
                    few = stop.at
                    continue
                count, unread = 1, await self._again(left[0], stop.refusal)
            left = left[count:]
            few = len(left)
            if unread is not None:
                await self._seal_again(unread)
        return tuple(notice.id for notice in notices)

    def _each(self, c: Connection, notices: Sequence[Notice]) -> tuple[int, Unread | None]:
        """Store notices, up to one that asks for a fresh seal; how many. One by one, each would cost a sync."""
        for at, notice in enumerate(notices):
            try:
                unread = self._apply(c, notice)
            except Refusal as refusal:
                raise _Refused(at, refusal) from refusal
            if unread is not None:  # before anything later in the page lets its words go
                return at + 1, unread
        return len(notices), None

    async def _again(self, notice: Notice, refusal: Refusal) -> Unread | None:
        """What a newer directory may cure, once more; else it is in the journal. Raises what may pass later."""
        try:
            if refusal.code not in REFRESH:
                raise refusal
            await self._book.refresh()
            return await self._store.run(lambda c: self._apply(c, notice))
        except Refusal as still:
            if still.retry:
                raise
            await self._not_believed(notice, still.code)
        return None

    async def _seal_again(self, unread: Unread) -> None:
        try:
            await self._outbox.seal_again(unread.row, unread.desk)
        except Refusal as refusal:
            # The sender sees "rejected: it could not be read there", and can send it afresh.
            log.warning("not-sealed-again", code=refusal.code)

    async def _not_believed(self, notice: Notice, code: str) -> None:
        now = int(self._clock())
        log.error("notice-refused", kind=notice.kind, code=code)
        await self._store.run(lambda c: note(c, now, f"notice-{notice.kind}", code, notice.eid))

    def _apply(self, c: Connection, notice: Notice) -> Unread | None:
        now, view = int(self._clock()), self._book.latest
        row = c.execute(BY_EID, {"at": notice.eid}).one_or_none()
        note(c, now, notice.kind, "", notice.eid)
        if notice.kind == "ended":
            self._ended(c, notice, view, now)
            return None
        if notice.kind == "limited":
            self._limited(c, notice, view, now)
            return None
        if notice.kind == "recalled":
            _recalled(c, notice, view)
            return None
        if notice.kind in KINDS_OF_NOTICE:
            if row is not None and notice.kind == "lapsed":
                _check(may_have_lapsed(row, self._book.policies.around(row.ts), now))
            if hear_lead(c, notice, row, now):
                self._outbox.kick.set()
            if row is not None and notice.kind == "lapsed":
                forget_ended(c, row.id)
            return None
        if notice.kind == "receipt":
            return _receipt(c, notice, row, view, now)
        signed = _withdrawal(c, notice, view, now) if notice.kind in ("withdrawn", "recall") else None
        if row is not None:
            self._as_sender(c, notice, row, signed, now)
        if notice.a == self._keys.agency:
            self._as_recipient(c, notice, signed, now)
        return None

    def _as_sender(
        self, c: Connection, notice: Notice, row: Row[Any], signed: Signed | None, now: int
    ) -> None:
        if notice.d is None:
            raise Refusal("NOT_FOUND")
        if notice.kind == "alert":
            c.execute(update(sealings).where(sealings.c.eid == row.eid).values(alert=1))
        elif [notice.a, notice.d] in json.loads(row.desks) and self._bears_out(c, notice, row, signed, now):
            state = "recalled" if notice.kind == "recall" else notice.kind
            step(c, row.eid, notice.a, notice.d, state, notice.ts)
            if row.state == "held":
                c.execute(
                    update(sealings).where(sealings.c.eid == row.eid).values(state="stopped", upload=None)
                )
            forget_ended(c, row.id)

    def _as_recipient(self, c: Connection, notice: Notice, signed: Signed | None, now: int) -> None:
        here = (inbox.c.eid == notice.eid) & (inbox.c.d == notice.d)
        row = c.execute(select(inbox).where(here)).one_or_none()
        if row is None:
            return
        if notice.kind == "alert":
            c.execute(update(inbox).where(here).values(alert=1))
        elif not self._bears_out(c, notice, row, signed, now):
            return
        elif notice.kind == "expired":
            alive = inbox.c.state.in_(("collected", "opened"))
            c.execute(update(inbox).where(here, alive).values(state="expired"))
        elif row.handed is not None:
            c.execute(update(inbox).where(here).values(withdrawn=notice.ts, recalled=0))
        elif row.state == "opened" and not row.alone:
            words = {"state": "withdrawn", "message": None, "delivery": None}
            c.execute(update(inbox).where(here).values(**words))
        # What is not open yet is weighed when it is opened: it may stand without its agreement (V8).

    def _bears_out(
        self, c: Connection, notice: Notice, row: Row[Any], signed: Signed | None, now: int
    ) -> bool:
        """Whether our own copy agrees. What a genuine ending says of its own agreement is kept either way."""
        if signed is None:
            _check(over(row.exp, now))
            return True
        if rests_on(row, signed):
            return True
        note(c, now, f"notice-{notice.kind}", "RECORD_DIFFERS", notice.eid)
        log.error("notice-refused", kind=notice.kind, code="RECORD_DIFFERS", party="relay")
        return False

    def _ended(self, c: Connection, notice: Notice, view: Directory, now: int) -> None:
        """A party ended a handle: say what became of what is held here, and note it where it is our own (J4, J7)."""
        signed, grant = _withdrawal(c, notice, view, now), grant_of(c, notice.gid)
        said = parse_withdrawal(signed)
        if said.by == self._keys.agency:
            raise Refusal("NOT_FOUND")
        owed_here(c, said.gid, signed, self._keys, now)
        if grant is not None and grant.iss == self._keys.agency:
            expect_answers(c, grant, signed, self._keys.agency, now)
            stop_resting(c, [said.gid], now)
            note_stop(c, said.gid, said.by, now)

    def _limited(self, c: Connection, notice: Notice, view: Directory, now: int) -> None:
        """An agreement holds less than before: say what became of what is outside of it now (J3, J7)."""
        signed, before = _withdrawal(c, notice, view, now), grant_of(c, notice.gid)
        said = verified_grant(signed, view)
        if before is None or said.iss == self._keys.agency or before.ver != said.ver:
            raise Refusal("NOT_FOUND")  # ours, or an older version over a newer one
        if not withdrawn(c, said.gid):  # else the withdrawal is what is answered
            narrowed_here(c, said, signed, self._keys, now)


def _receipt(c: Connection, notice: Notice, row: Row[Any] | None, view: Directory, now: int) -> Unread | None:
    if row is None or notice.evidence is None:
        raise Refusal("NOT_FOUND")
    signed = _signed(notice.evidence)
    receipt = parse_receipt(signed)
    signer = view.key(receipt.signer, Use.MSG, receipt.ts, receipt.a)
    signed.verified(signer.public, Purpose.RECEIPT)
    if not _is_about(receipt, notice, row):
        raise Refusal("RECORD_DIFFERS", party="relay")
    new = step(
        c,
        receipt.eid,
        receipt.a,
        receipt.d,
        receipt.state,
        receipt.ts,
        role=receipt.role,
        reason=receipt.reason,
        evidence=json.dumps(signed.to_json()),
        heard=now,
    )
    if new and receipt.reason == "gate-fault":
        # The relay let pass what it should have stopped: people here must hear of it, not only of the rejection.
        note(c, receipt.ts, "gate-fault", "NO_AUTHORITY", receipt.eid)
        c.execute(update(sealings).where(sealings.c.eid == receipt.eid).values(alert=1))
        log.error("gate-fault", code="NO_AUTHORITY")
    if new and receipt.reason == "cannot-read" and row.turn == 0:
        return Unread(row, (receipt.a, receipt.d))
    forget_ended(c, row.id)
    return None


def _is_about(receipt: Receipt, notice: Notice, row: Row[Any]) -> bool:
    named = (receipt.eid, receipt.a, receipt.d) == (notice.eid, notice.a, notice.d)
    return named and receipt.body == row.body and [receipt.a, receipt.d] in json.loads(row.desks)


def _withdrawal(c: Connection, notice: Notice, view: Directory, now: int) -> Signed:
    if notice.evidence is None:
        raise Refusal("NOT_FOUND")
    signed = _signed(notice.evidence)
    if notice.kind != "ended" and isinstance(ending(signed), Grant):
        if verified_grant(signed, view).gid != notice.gid:
            raise Refusal("RECORD_DIFFERS", party="relay")
        remember(c, signed, None)
        _relay_knows(c, notice, signed)
        return signed
    grant = grant_of(c, notice.gid)
    said = verified_withdrawal(signed, view, grant)
    if said.gid != notice.gid:
        raise Refusal("RECORD_DIFFERS", party="relay")
    if grant is None:
        keep_early(c, said, signed, now)
    mark_withdrawn(c, signed)
    _relay_knows(c, notice, signed)
    return signed


def _relay_knows(c: Connection, notice: Notice, signed: Signed) -> None:
    if notice.gid is not None:
        relay_knows(c, notice.gid, signed.text.decode("ascii"))


def _recalled(c: Connection, notice: Notice, view: Directory) -> None:
    grant = grant_of(c, notice.gid)
    if notice.evidence is None or grant is None:
        raise Refusal("NOT_FOUND")
    signed = _signed(notice.evidence)
    said = verified_recalled(signed, view, grant)
    if said.a != notice.a:
        raise Refusal("RECORD_DIFFERS", party="relay")
    heard(c, said, signed)


def _check(borne_out: bool) -> None:
    """Raises Refusal RECORD_DIFFERS: the relay says of a message what cannot be, and nothing is done."""
    if not borne_out:
        raise Refusal("RECORD_DIFFERS", party="relay")


def _signed(item: SignedJson) -> Signed:
    return Signed.from_json(item.model_dump())
