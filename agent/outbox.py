"""The outbox: durable before anybody hears "queued", byte-identical on every try (PROTOCOL.md G1, G4).

Rules of this house:
- a sealed upload is kept as it is and tried until the relay says yes or no; the relay knows a repeat by its eid;
- "accepted" is believed only with a proof; a proof that does not hold stops all sending and is kept;
- a message is sealed again, under a new id, only when the relay or the recipient said for certain that it has not got
  it and a fresh seal can help: a clock that ran on while the relay was away, a key that was rotated or erased.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, insert, select, update

from agent.acceptance import EVIDENCE, check_acceptance
from agent.client import Relay, RelayRefusal, plain
from agent.clock import Clock
from agent.consent import ConsentDesk
from agent.directory import Book
from agent.holding import check_held
from agent.ladder import forget_ended, step
from agent.logs import log
from agent.pairs import next_numbers, take_numbers
from agent.ring import HeldKeys
from agent.send import RANK, Plan, seal_plan
from agent.shares import keep_share
from agent.store import Store, note
from agent.tables import outbox, sealings
from agent.trust import LogTrust
from schemas import api
from schemas.canonical import b64
from schemas.envelope import Envelope, Upload
from schemas.errors import Refusal
from schemas.sealing import Sealed

BATCH_BYTES = 8 * 1024 * 1024
LONGEST = {0: 15.0, 1: 120.0, 2: 300.0}
"""The longest pause between tries, in seconds, by colour: a red one is never far from its next try."""
STALE_SEAL = 240
"""Seconds after which a seal that was never accepted is too old for the relay's clock rule."""
HINDERED = 5.0
"""Seconds after which it looks again whether what stops all sending is over: people or the directory may end it."""
MAX_TURNS = 4
ACCEPTED = (
    update(sealings)
    .where(sealings.c.eid == bindparam("at"))
    .values(state="accepted", code=None, say=None, upload=None)
    .values({name: bindparam(name) for name in ("alert", "proof", "record", "rk")})
)
FRESH_SEAL = frozenset({"ID_CLASH", "STATUS_STALE", "STALE_KEY", "UNKNOWN_KEY", "REVOKED_KEY", "OFFICERS"})
ABOUT_US = frozenset({"UNAUTHENTICATED", "AUTHORITY", "METHOD", "MEDIA", "NOT_FOUND"})
"""Refusals of the request rather than of the message in it: the message waits until somebody has put it right."""


@dataclass(frozen=True, slots=True)
class Queued:
    """What the caller hears: ids, and that it is safe here."""

    id: str
    mid: str
    eid: str
    thread: str


class Outbox:
    """What this agency sends."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        book: Book,
        trust: LogTrust,
        desk: ConsentDesk,
        keys: HeldKeys,
        clock: Clock,
        draw: Callable[[int], bytes],
        jitter: Callable[[], float],
    ) -> None:
        self._store = store
        self._relay = relay
        self._book = book
        self._trust = trust
        self._consent = desk
        self._keys = keys
        self._clock = clock
        self._draw = draw
        self._jitter = jitter
        self.kick = asyncio.Event()

    # --- in

    async def found(self, key: str) -> Row[Any] | None:
        """The message that was queued under this idempotency key."""
        return await self._store.run(
            lambda c: c.execute(select(outbox).where(outbox.c.key == key)).one_or_none()
        )

    async def queue(self, plan: Plan, sealed: Sealed, key: str | None, asked: str | None) -> Queued:
        """Store a sealed message; when this returns, it survives a power cut."""
        now = int(self._clock())

        def work(c: Connection) -> None:
            words = {
                "id": sealed.mid, "key": key, "asked": asked, "kind": plan.kind, "rag": plan.rag, "thr": plan.thread,
                "gid": plan.gid, "agreement": plan.agreement, "ts": now, "draft": plan.to_text(),
            }  # fmt: skip
            c.execute(insert(outbox), words)
            _add_sealing(c, sealed.mid, 0, sealed, plan)
            if plan.law["pd"] == "personal":
                keep_share(c, sealed, plan, now)
            take_numbers(c, [agency for agency, _ in plan.to], plan.seq)

        await self._store.run(work)
        self.kick.set()
        return Queued(sealed.mid, sealed.mid, sealed.eid, plan.thread)

    async def numbers(self, recipients: Sequence[tuple[str, str]]) -> tuple[int, ...]:
        """The next running numbers towards these desks' agencies; `queue` uses them up."""
        return await self._store.run(lambda c: next_numbers(c, [agency for agency, _ in recipients]))

    # --- out

    async def flush(self) -> float:
        """Post what is due, in batches, most urgent first; returns the seconds until the next try."""
        while self._trust.hindrance is None:
            now = self._clock()
            due = select(sealings).where(sealings.c.state == "waiting", sealings.c.next_at <= now)
            due = due.order_by(sealings.c.rank, sealings.c.ts).limit(api.BATCH_ENVELOPES)
            rows = await self._store.run(partial(_leaving, due=due))
            if not rows:
                break
            await self._expire([row for row in rows if row.exp <= now])
            await self._post([row for row in rows if row.exp > now])
        return await self._until_next()

    async def _until_next(self) -> float:
        soonest = (
            select(sealings.c.next_at)
            .where(sealings.c.state == "waiting")
            .order_by(sealings.c.next_at)
            .limit(1)
        )
        at = await self._store.run(lambda c: c.execute(soonest).scalar())
        if at is not None and self._trust.hindrance:
            return HINDERED
        return 3600.0 if at is None else max(0.0, at - self._clock())

    async def _post(self, rows: Sequence[Row[Any]]) -> None:
        if not rows:
            return
        try:
            answer = await self._relay.post_envelopes([row.upload for row in rows])
            if len(answer.results) != len(rows):
                raise Refusal("FORM", party="relay", retry=True)
        except Refusal as refusal:
            await self._whole(rows, refusal)
            return
        taken: list[tuple[Row[Any], api.EnvelopeResult]] = []
        try:
            for row, result in zip(rows, answer.results, strict=True):
                if await self._one(row, result):
                    taken.append((row, result))
        finally:
            if taken:
                await self._accepted(taken)

    async def _whole(self, rows: Sequence[Row[Any]], refusal: Refusal) -> None:
        """The relay refused the request, or the one upload in it."""
        after = refusal.after if isinstance(refusal, RelayRefusal) else None
        alone = len(rows) == 1 and isinstance(refusal, RelayRefusal) and refusal.code not in ABOUT_US
        for row in rows:
            if alone and (refusal.code in FRESH_SEAL or not refusal.retry):
                await self._refused(row, refusal.code, refusal.say)
            else:
                await self._later(row, refusal.code, refusal.say, after)

    async def _one(self, row: Row[Any], result: api.EnvelopeResult) -> bool:
        """Take in what became of one upload; True when the relay proved that it has it, which is still to be noted."""
        if result.status == "refused":
            code, say = result.code or "UNFORESEEN", plain(result.say or "")
            if result.retry and code not in FRESH_SEAL:
                await self._later(row, code, say, None)
            else:
                await self._refused(row, code, say)
            return False
        envelope = Upload.parse(row.upload).envelope
        if result.status == "held":
            await self._held(row, envelope, result)
            return False
        try:
            await self._trust.believe(check_acceptance(envelope, result, self._trust.key))
        except Refusal as refusal:
            if refusal.code in EVIDENCE and not refusal.retry:
                await self._trust.report(refusal.code, result.proof or "")
            await self._later(row, refusal.code, refusal.say, None)
            return False
        return True

    async def _accepted(self, taken: Sequence[tuple[Row[Any], api.EnvelopeResult]]) -> None:
        """Note what the relay proved to have of one request, in one transaction."""
        now = int(self._clock())

        def work(c: Connection) -> None:
            for row, result in taken:
                words = {"alert": int(result.alert), "proof": result.proof}
                c.execute(ACCEPTED, {"at": row.eid, **words, "record": result.record, "rk": result.rk})
                for agency, desk in json.loads(row.desks):
                    step(c, row.eid, agency, desk, "queued", now)
            self._trust.save(c)

        await self._store.run(work)
        log.info("accepted", count=len(taken))

    async def _held(self, row: Row[Any], envelope: Envelope, result: api.EnvelopeResult) -> None:
        """It waits at the relay for our lead; its bytes stay here until she has let it go and the log proves it."""
        try:
            await self._trust.believe(check_held(envelope, result, self._trust.key))
        except Refusal as refusal:
            if refusal.code in EVIDENCE and not refusal.retry:
                await self._trust.report(refusal.code, result.proof or "")
            await self._later(row, refusal.code, refusal.say, None)
            return
        code, say, now = result.code or "HOLD_LEAD", plain(result.say or ""), int(self._clock())

        def work(c: Connection) -> None:
            here = (sealings.c.eid == row.eid) & (sealings.c.state == "waiting")
            c.execute(update(sealings).where(here).values(state="held", code=code, say=say))
            note(c, now, "held", code, row.eid)
            self._trust.save(c)

        await self._store.run(work)
        log.info("held", code=code)

    async def _refused(self, row: Row[Any], code: str, say: str) -> None:
        again = code in FRESH_SEAL or (code == "CLOCK" and self._aged(row))
        if again and row.turn < MAX_TURNS:
            try:
                if await self.seal_again(row, None):
                    return
            except Refusal as refusal:
                if refusal.retry:
                    await self._later(row, refusal.code, refusal.say, None)
                    return
                code, say = refusal.code, refusal.say
        now = int(self._clock())

        def work(c: Connection) -> None:
            c.execute(
                update(sealings)
                .where(sealings.c.eid == row.eid)
                .values(state="refused", code=code, say=say, upload=None)
            )
            note(c, now, "refused", code, row.eid)
            forget_ended(c, row.id)

        await self._store.run(work)
        log.info("refused", code=code)

    async def _later(self, row: Row[Any], code: str, say: str, after: float | None) -> None:
        pause = min(LONGEST[row.rank], 2.0 ** min(row.attempts, 12)) * (0.5 + self._jitter())
        at = self._clock() + max(pause, after or 0.0)
        await self._store.run(
            lambda c: c.execute(
                update(sealings)
                .where(sealings.c.eid == row.eid, sealings.c.state == "waiting")
                .values(attempts=row.attempts + 1, next_at=at, code=code, say=say)
            ).close()
        )
        log.info("kept", code=code, attempts=row.attempts + 1)

    async def _expire(self, rows: Sequence[Row[Any]]) -> None:
        now = int(self._clock())

        def work(c: Connection) -> None:
            for row in rows:
                c.execute(
                    update(sealings)
                    .where(sealings.c.eid == row.eid)
                    .values(state="expired", code="EXPIRED", upload=None)
                )
                for agency, desk in json.loads(row.desks):
                    step(c, row.eid, agency, desk, "expired", now)
                note(c, now, "expired", "EXPIRED", row.eid)
                forget_ended(c, row.id)

        if rows:
            await self._store.run(work)

    def _aged(self, row: Row[Any]) -> bool:
        return bool(abs(self._clock() - row.ts) > STALE_SEAL)

    # --- again

    async def seal_again(self, row: Row[Any], desk: tuple[str, str] | None) -> bool:
        """Seal a message afresh under a new id: for all its desks, or for the one that could not read it.

        False when its words are gone, because every desk had ended.

        Raises:
            Refusal: when it cannot be sealed now (RELAY_AWAY, STALE_KEY and the like); nothing has changed then.
        """
        text = await self._store.run(
            lambda c: c.execute(select(outbox.c.draft).where(outbox.c.id == row.id)).scalar()
        )
        if text is None:
            return False
        plan = Plan.from_text(text)
        desks = [tuple(d) for d in json.loads(row.desks)] if desk is None else [desk]
        keep = [at for at, to in enumerate(plan.to) if to in desks]
        part = replace(
            plan,
            to=tuple(plan.to[at] for at in keep),
            seq=tuple(plan.seq[at] for at in keep) if plan.seq else (),
        )
        now = int(self._clock())
        await self._book.refresh()
        held = None if plan.gid is None else await self._consent.usable(plan.gid)
        sealed = seal_plan(part, held, self._book.view(), self._keys, self._trust.gossip, now, self._draw)

        def work(c: Connection) -> None:
            if desk is None:
                c.execute(
                    update(sealings).where(sealings.c.eid == row.eid).values(state="replaced", upload=None)
                )
            _add_sealing(c, row.id, row.turn + 1, sealed, part)
            note(c, now, "sealed-again", row.code or "", row.eid)

        await self._store.run(work)
        self.kick.set()
        return True


def _add_sealing(c: Connection, message: str, turn: int, sealed: Sealed, plan: Plan) -> None:
    envelope = sealed.upload.envelope
    words = {
        "eid": sealed.eid, "id": message, "mid": sealed.mid, "turn": turn, "desks": json.dumps(plan.to),
        "numbers": json.dumps(plan.seq), "rank": RANK[plan.rag], "gid": plan.gid, "ts": envelope.header.ts,
        "exp": envelope.header.exp, "state": "waiting", "upload": sealed.upload.to_bytes(),
        "body": b64(envelope.body_hash), "header": envelope.header_bytes.decode("ascii"),
    }  # fmt: skip
    c.execute(insert(sealings), words)


def _leaving(c: Connection, due: Select[Any]) -> list[Row[Any]]:
    """What goes out next. From here on the relay may have it: nobody may say any more that it was stopped here."""
    rows = _fitting(c.execute(due).all())
    first = [{"at": row.eid} for row in rows if row.gid is not None and not row.attempts]
    if first:
        c.execute(update(sealings).where(sealings.c.eid == bindparam("at")).values(attempts=1), first)
    return rows


def _fitting(rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """As many rows as one request may carry, at least one."""
    size, fitting = 0, list[Row[Any]]()
    for row in rows:
        size += len(row.upload)
        if fitting and size > BATCH_BYTES:
            break
        fitting.append(row)
    return fitting
