"""What an agency's people and programs ask of their agent: the one set of acts behind REST, folders and CLI."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, select, update

from agent.clock import Clock
from agent.consent import ConsentDesk, Rest
from agent.consent_acts import Agreements
from agent.directory import Book
from agent.explaining import explained, shown
from agent.forms import Json, Reject, Send, TakeOn
from agent.outbox import Outbox, Queued
from agent.overrides import OverrideDesk
from agent.own import Own
from agent.receipts import Receipts
from agent.references import at_hand, sources
from agent.ring import HeldKeys
from agent.send import Plan, case_of, compose, foresee, plan_of, seal_plan, subject_of
from agent.standing import as_recorded, of_case, on_record
from agent.store import Store, note
from agent.tables import inbox as inbox_table
from agent.trust import LogTrust
from agent.witness import Watch
from schemas.canonical import b64
from schemas.consent import decide
from schemas.decision import Outcome
from schemas.errors import Refusal
from schemas.explaining import Explanation, explain
from schemas.hashing import labelled
from schemas.override import parse_override
from schemas.sealing import Sealed

KEY_LIMIT = 128
NEWER = frozenset({"UNKNOWN_AGENCY", "UNKNOWN_DESK", "STALE_KEY", "STALE_DIRECTORY", "OFFICERS", "POLICY"})
"""Refusals that a newer directory may cure."""


class Office:
    """The acts of one agent. Every method raises Refusal with a code and a next step."""

    def __init__(
        self,
        store: Store,
        book: Book,
        trust: LogTrust,
        outbox: Outbox,
        receipts: Receipts,
        consent: ConsentDesk,
        agreements: Agreements,
        overrides: OverrideDesk,
        watch: Watch,
        keys: HeldKeys,
        clock: Clock,
        draw: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._book = book
        self._trust = trust
        self._outbox = outbox
        self._receipts = receipts
        self._consent = consent
        self.agreements = agreements
        self.overrides = overrides
        self._watch = watch
        self._keys = keys
        self._clock = clock
        self._draw = draw
        self._sending = asyncio.Lock()
        self.own = Own(store, book, keys, clock)

    # --- sending

    async def send(self, form: Send, key: str | None = None) -> Json:
        """Queue a message; when this returns, it is durable here. The same `key` again gives the same answer.

        Raises:
            Refusal: what the form, the message, the directory or the rule say; CONFLICT when `key` was used for
                something else; DISK_FULL.
        """
        asked = b64(labelled("fenpost/v1/asked", form.model_dump_json().encode(), key=self._keys.subject))
        if key is not None and not 0 < len(key) <= KEY_LIMIT:
            raise Refusal("FORM", "An idempotency key has 1 to 128 characters.", detail=("Idempotency-Key",))
        async with self._sending:
            known = None if key is None else await self._outbox.found(key)
            if known is not None:
                return _again(known, asked)
            await self._vouched()
            try:
                plan, sealed, verdict, left_out = await self._prepare(form)
            except Refusal as refusal:
                if refusal.code not in NEWER or not await self._refreshed():
                    raise
                plan, sealed, verdict, left_out = await self._prepare(form)
            queued = await self._outbox.queue(plan, sealed, key, asked)
        return self._answer(queued, verdict, left_out)

    async def _vouched(self) -> None:
        """Raises Refusal QUORUM when too few witnesses stood behind the log for a day; this machine may have slept."""
        if self._trust.hindrance == "QUORUM":
            with contextlib.suppress(Refusal):
                await self._watch.round()
        if self._trust.hindrance == "QUORUM":
            raise Refusal("QUORUM")

    async def _refreshed(self) -> bool:
        """Whether the directory could be fetched just now: a colleague's agency may have joined since."""
        try:
            await self._book.refresh()
        except Refusal:
            return False
        return True

    async def _prepare(self, form: Send) -> tuple[Plan, Sealed, Explanation, tuple[Any, ...]]:
        now = int(self._clock())
        view = self._book.view()
        thread, answered = b64(self._draw(16)), None
        if form.answers is not None:
            answered = await self._received(form.answers)
            thread = answered.thr
        under = None if form.override is None else await self.overrides.usable(form.override)
        if under is not None:
            thread = parse_override(under).core.thr or thread
        recipients = tuple((view.addressee(to.agency, now).id, to.desk) for to in form.to)
        if not recipients and answered is not None:
            recipients = ((answered.from_a, answered.from_d),)
        if not recipients:
            raise Refusal("FORM", "Say which desk it is for.", detail=("to",))
        await self.own.check(agency for agency, _ in recipients)
        if form.gid is None and answered is not None and answered.gid is not None and "agree" not in form.law:
            form = form.model_copy(update={"gid": answered.gid})
        desk = form.from_desk or (answered.d if answered is not None else self._only_desk())
        rest = await self._rest(form, recipients)
        held = rest.held
        form = form.model_copy(update={"gid": None if held is None else held.grant.gid})
        composed = compose(form, recipients, held, view, _day(now))
        kept = on_record(rest)
        if form.gid is None and kept is None:
            subject, agencies = (
                case_of(form, composed, thread, self._keys),
                frozenset(a for a, _ in recipients),
            )
            kept = await self._store.run(lambda c: of_case(c, subject, agencies, now))
        form = form.model_copy(update={"law": as_recorded(form.law, kept)})
        policy = self._book.policies.now
        to, named = {agency for agency, _ in recipients}, form.passes_on
        src = await self._store.run(lambda c: sources(c, thread, named, to, form.purpose, _day(now)))
        plan = plan_of(form, composed, desk, recipients, thread, held, view, self._keys, policy, now, src)
        plan = replace(plan, agreement=rest.agreement, override=None if under is None else under.to_json())
        plan = plan.numbered(await self._outbox.numbers(recipients))
        sealed = seal_plan(plan, held, view, self._keys, self._trust.gossip, now, self._draw)
        known = await self._store.run(lambda c: at_hand(c, sealed.upload.envelope.header))
        facts = foresee(sealed, held, view, policy, plan.rests, known)
        decision = decide(facts)
        explanation = explain(facts, decision)
        if not decision.code:  # a reminder alone: it goes, and somebody looks again
            explanation = replace(explanation, code=next(iter(decision.notes), ""))
        if decision.outcome == Outcome.BLOCK and not form.anyway:
            raise explained(explanation)
        return plan, sealed, explanation, composed.left_out

    async def _rest(self, form: Send, recipients: tuple[tuple[str, str], ...]) -> Rest:
        """What a message rests on: the handle for these recipients, or where the agreement stands that gives none."""
        if form.gid is None:
            return Rest(None)
        try:
            rest = await self._consent.resting(form.gid, frozenset(a for a, _ in recipients), form.purpose)
        except Refusal as refusal:
            if refusal.code != "NOT_FOUND":
                raise
            raise Refusal("GRANT_UNKNOWN", "This agent knows no agreement with that handle.") from refusal
        if rest.held is not None and rest.held.status is None:
            raise Refusal("STATUS_STALE")
        return rest

    def _only_desk(self) -> str:
        desks = self._book.latest.member(self._keys.agency).desks
        if len(desks) != 1:
            raise Refusal(
                "FORM", "This agency has several desks: say which one sends it.", detail=("from_desk",)
            )
        return desks[0]

    def _answer(self, queued: Queued, verdict: Explanation, left_out: tuple[Any, ...]) -> Json:
        warnings: list[Json] = []
        if verdict.code:
            warnings.append({"code": verdict.code, "say": verdict.say, "steps": shown(verdict.steps)})
        if self._trust.alarm is not None:
            warnings.append({"code": self._trust.alarm.code, "say": Refusal(self._trust.alarm.code).say})
        elif (doubt := self._book.doubt()) is not None:
            warnings.append({"code": doubt, "say": Refusal(doubt).say})
        return {
            "id": queued.id,
            "mid": queued.mid,
            "eid": queued.eid,
            "thread": queued.thread,
            "state": "queued here",
            "repeat": False,
            "warnings": warnings,
            "left_out": list(left_out),
        }

    # --- receiving

    async def take_on(self, place: str, form: TakeOn) -> None:
        """End a message as taken on, with the role that did. Raises Refusal NOT_FOUND, ENDED."""
        await self._end(place, "taken-on", role=form.role, case_ref=form.case_ref)

    async def reject(self, place: str, form: Reject) -> None:
        """Give a message back. Raises Refusal NOT_FOUND, ENDED."""
        await self._end(place, "rejected", reason=form.reason)

    async def end(self, place: str, form: TakeOn | Reject) -> None:
        """End a message either way."""
        if isinstance(form, TakeOn):
            await self.take_on(place, form)
        else:
            await self.reject(place, form)

    async def _end(
        self,
        place: str,
        state: str,
        *,
        role: str | None = None,
        reason: str | None = None,
        case_ref: str | None = None,
    ) -> None:
        now = int(self._clock())
        subject = None if case_ref is None else subject_of(case_ref, self._keys.subject)

        def work(c: Connection) -> None:
            row = c.execute(select(inbox_table).where(inbox_table.c.id == place)).one_or_none()
            if row is None or row.handed is None:
                raise Refusal("NOT_FOUND")
            if (row.state, row.role, row.reason) == (state, role, reason):
                return
            if row.state != "opened":
                raise Refusal("ENDED")
            c.execute(
                update(inbox_table)
                .where(inbox_table.c.id == place)
                .values(state=state, role=role, reason=reason, subject=subject)
            )
            self._receipts.write(c, row.eid, row.d, row.body, state, role=role, reason=reason)
            note(c, now, state, "", row.eid)

        await self._store.run(work)
        self._receipts.kick.set()

    async def _received(self, place: str) -> Any:
        row = await self._store.run(
            lambda c: c.execute(select(inbox_table).where(inbox_table.c.id == place)).one_or_none()
        )
        if row is None or row.handed is None:
            raise Refusal("NOT_FOUND")
        return row


def _again(known: Row[Any], asked: str) -> Json:
    if known.asked != asked:
        raise Refusal("CONFLICT", "This idempotency key was used for another message.")
    return {"id": known.id, "mid": known.id, "thread": known.thr, "state": "queued here", "repeat": True}


def _day(now: int) -> datetime.date:
    return datetime.datetime.fromtimestamp(now, datetime.UTC).date()
