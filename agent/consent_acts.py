"""What an agency's people do with agreements: the acts behind REST and the commands (PROTOCOL.md J1-J8, J10, J12).

Rules of this house:
- a step and all that follows from it here (handles ended or narrowed, messages stopped) is one transaction;
- the relay hears of it at once, and until it has heard; nobody waits for a relay that is away.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, select, update

from agent import recalls
from agent.clock import Clock
from agent.consent import ConsentDesk, signed_grant
from agent.consent_dates import dated_anew, followed
from agent.consent_forms import Answer, Ask, CannotGive, Refuse, Regain, Settle
from agent.consent_ledger import (
    Kept,
    Said,
    Scope,
    advance,
    find,
    kept_of,
    next_event,
    note_answer,
    run_out,
    set_stopped,
)
from agent.consent_scope import ScopeReader
from agent.consent_showing import AgreementView
from agent.consent_words import ENDED, NARROWED, says
from agent.directory import Book
from agent.endings import withdrawn
from agent.forms import DAY, Give, Json
from agent.ladder import stop_resting
from agent.posting import Posting
from agent.ring import HeldKeys
from agent.store import Store, note
from agent.tables import agreements, grants, inbox
from schemas.agreement import Act, Event
from schemas.envelope import MAX_LIFE
from schemas.errors import Refusal
from schemas.grants import parse_grant
from schemas.sealing import new_id

INFORMED = frozenset({"who_will_see_it", "why", "how_to_withdraw"})


class Agreements:
    """The agreements that this agency holds."""

    def __init__(
        self,
        store: Store,
        book: Book,
        desk: ConsentDesk,
        view: AgreementView,
        posting: Posting,
        keys: HeldKeys,
        clock: Clock,
        draw: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._book = book
        self._scopes = ScopeReader(book, keys.agency)
        self._desk = desk
        self.view = view
        self._posting = posting
        self._keys = keys
        self._clock = clock
        self._draw = draw

    # --- answers

    async def give(self, form: Give) -> Json:
        """Record an agreement, whole or limited, as the evidence says; the handle for the first recipient and purpose
        is drawn at once.

        Raises:
            Refusal: MISSING, NOT_ALONE and the form's others; NOT_INFORMED, LIMITS, PERIOD; UNKNOWN_AGENCY, FORM.
        """
        scope = await self._scopes.read(form.to, form.purposes, form.categories, form.evidence)
        return await self._answer(None, scope, None, form.own_accord, None)

    async def ask(self, name: str, act: Act, form: Ask) -> Json:
        """Record an answer to being asked again: give, limit or renew.

        Raises:
            Refusal: as give, and NO_STEP, ASKED_LATELY, OLDER, OUT_OF_ORDER.
        """
        kept = await self._find(name)
        before = kept.scope
        lists = (form.to, form.purposes, form.categories)
        if before is None and None in lists:
            raise Refusal("MISSING", detail=("to", "purposes", "categories"))
        known = ((), (), ()) if before is None else (before.to, before.purposes, before.categories)
        to, purposes, categories = (new or old for new, old in zip(lists, known, strict=True))
        scope = await self._scopes.read(to, purposes, categories, form.evidence)
        return await self._answer(kept.id, scope, act, form.own_accord, form.seen)

    async def _answer(
        self, name: str | None, scope: Scope, act: Act | None, own_accord: bool, seen: int | None
    ) -> Json:
        now = int(self._clock())
        if act is None:
            act = "limit" if scope.limited else "give"
        if act != "renew" and scope.limited != (act == "limit"):
            raise Refusal("LIMITS")
        guards = {
            "alone": bool(scope.evidence["alone_when_asked"]), "informed": set(scope.evidence["told"]) >= INFORMED,
            "own_accord": own_accord, "limits": _limits(scope), "until": _until(scope),
        }  # fmt: skip

        def work(c: Connection) -> tuple[Kept, str]:
            kept = Kept(new_id(self._draw)) if name is None else find(c, name, now)
            if act == "renew" and kept.scope is not None and _wishes(scope) != _wishes(kept.scope):
                raise Refusal(
                    "CONFLICT", "What was agreed has changed. Record it with: consent give or limit."
                )
            after = self._advance(c, kept, act, now, seen, scope.evidence, scope, **guards)
            if act == "limit":
                self._keep_within(c, after, scope, now)
            first = frozenset({scope.to[0]})
            allowed = [one for one in scope.purposes if scope.covers(first, one)]
            gid = self._desk.handle_for(c, after, scope, first, allowed[0], now) if allowed else ""
            return after, gid

        kept, gid = await self._store.run(work)
        return await self._told(kept, gid or kept.id)

    async def refuse(self, name: str | None, form: Refuse) -> Json:
        """Record that the person said no. Raises Refusal NO_STEP, ASKED_LATELY, PERIOD, OLDER."""
        again = None if form.ask_again_after is None else _start_of(form.ask_again_after)
        said = {"own_words": form.own_words}
        guards = {"ask_again_after": again, "own_accord": form.own_accord}
        return await self._change(name, "refuse", form.seen, said, **guards)

    async def cannot_give(self, name: str | None, form: CannotGive) -> Json:
        """Record that the person cannot decide now: what rested on their word stops. Raises BEST_INTERESTS, PERIOD."""
        said = {"best_interests": form.best_interests, "assessed_by": form.assessed_by}
        guards = {"best_interests": True, "review_on": _start_of(form.review_on)}
        return await self._change(name, "cannot-give", form.seen, said, **guards)

    async def regain(self, name: str, form: Regain) -> Json:
        """Record that the person can decide again: nobody has asked them yet. Raises Refusal NO_STEP."""
        return await self._change(name, "regain", form.seen, {"assessed_by": form.assessed_by})

    async def _change(self, name: str | None, act: Act, seen: int | None, said: Said, **guards: Any) -> Json:
        now = int(self._clock())

        def work(c: Connection) -> Kept:
            kept = Kept(new_id(self._draw)) if name is None else find(c, name, now)
            after = self._advance(c, kept, act, now, seen, said, None, **guards)
            if act in ("cannot-give", "refuse"):
                self._end_all(c, after, now)
            return after

        kept = await self._store.run(work)
        return await self._told(kept, kept.id)

    # --- stopping

    async def withdraw(self, name: str) -> Json:
        """End an agreement, or another agency's handle; stop what waits here, and have the relay stop what waits there.

        Raises:
            Refusal: NOT_FOUND; NO_STEP when there was nothing to take back.
        """
        now = int(self._clock())

        def work(c: Connection) -> tuple[bool, int]:
            if c.execute(select(grants.c.mine).where(grants.c.gid == name)).scalar() == 0:
                return self._desk.end(c, name, now), stop_resting(c, [name], now)
            kept = find(c, name, now)
            if kept.standing.state == "WITHDRAWN":
                return False, 0
            # After its end there is nothing to take back, but what was sent before may still wait: it is a no.
            act: Act = "refuse" if kept.standing.state == "EXPIRED" else "withdraw"
            after = self._advance(c, kept, act, now, None, {}, None)
            return True, self._end_all(c, after, now)

        ended, stopped = await self._store.run(work)
        posted = await self._posted()
        return {
            "gid": name,
            "state": "withdrawn",
            "repeat": not ended,
            "stopped_here": stopped,
            "at_the_relay": posted,
        }

    async def settle(self, name: str, form: Settle) -> Json:
        """A safeguarding lead settles what a stop at another agency means (J4). Raises Refusal NO_STEP, NOT_ALONE."""
        now = int(self._clock())
        if form.means == "asked-again" and not form.alone:
            raise Refusal("NOT_ALONE")

        def work(c: Connection) -> Kept:
            kept = find(c, name, now)
            if not kept.stopped or kept.scope is None:
                raise Refusal("NO_STEP")
            note_answer(c, kept, "settle", now, {"means": form.means, "role": form.role})
            if form.means == "everywhere":
                after = self._advance(c, kept, "withdraw", now, None, {}, None)
                self._end_all(c, after, now)
            elif form.means == "there":
                others = tuple(agency for agency in kept.scope.to if agency not in kept.stopped)
                after = replace(kept, scope=replace(kept.scope, to=others))
                words = {"scope": after.scope.to_text() if after.scope else None}
                c.execute(update(agreements).where(agreements.c.id == kept.id).values(**words))
                self._keep_within(c, after, replace(kept.scope, to=others), now, less=False)
            else:
                after = kept
            return set_stopped(c, after, ())

        kept = await self._store.run(work)
        return await self._told(kept, kept.id)

    def _end_all(self, c: Connection, kept: Kept, now: int) -> int:
        rows = self._desk.standing(
            c, kept.id, min(now, self._book.certain) - MAX_LIFE
        )  # a message may outlive its handle by its own life
        for row in rows:
            self._desk.end(c, row.gid, now)
        return stop_resting(c, [row.gid for row in rows], now)

    def _keep_within(self, c: Connection, kept: Kept, scope: Scope, now: int, *, less: bool = True) -> None:
        """Handles that go where the person no longer wants them end; `less` says that the others hold less now."""
        changed = list[str]()
        for row in self._desk.standing(c, kept.id, now):
            parties = parse_grant(signed_grant(row)).parties() - {self._keys.agency}
            if not scope.covers(frozenset(parties), row.purpose):
                self._desk.end(c, row.gid, now)
            elif less:
                self._desk.narrow(c, row, kept, scope, now)
            else:
                continue
            changed.append(row.gid)
        stopped = stop_resting(c, changed, now)
        if stopped:
            note(c, now, "stopped-by-limits", str(stopped))

    def _advance(
        self, c: Connection, kept: Kept, act: Act, now: int, seen: int | None, said: Said, scope: Scope | None,
        **guards: Any,
    ) -> Kept:  # fmt: skip
        kept = followed(c, kept, act, now, self._book.fresh)
        event: Event = next_event(kept, act, now, new_id(self._draw), **guards)
        if seen is not None:
            event = replace(event, ver=seen + 1)
        after = advance(c, kept, event, now, said, scope)
        note(c, now, f"consent-{act}", "")
        return after

    # --- recalls

    async def answer(self, gid: str, form: Answer) -> Json:
        """Say what became of what is held here under a withdrawn handle. Raises Refusal NOT_FOUND, UNKNOWN_AGENCY."""
        now = int(self._clock())
        passed = sorted({self._book.view().find(text).id for text in form.passed_to})
        said = {"did": form.did, "why": form.why, "passed": passed, "outside": form.outside}
        await self._store.run(lambda c: recalls.answer(c, gid, said, self._keys, now))
        return {"gid": gid, "did": form.did, "at_the_relay": await self._posted()}

    async def owed(self) -> Json:
        """What people here still have to answer, with the messages that it is about."""

        def work(c: Connection) -> list[Json]:
            return [self._owed(c, row) for row in recalls.owing(c, self._keys.agency)]

        return {"recalls": await self._store.run(work)}

    def _owed(self, c: Connection, row: Row[Any]) -> Json:
        held = select(inbox.c.id).where(recalls.about(c, row.gid), inbox.c.handed.is_not(None))
        return {
            "gid": row.gid,
            "since": row.told,
            "by": {"agency": row.by, "name": self._name(row.by)},
            "messages": list(c.execute(held).scalars()),
            "say": (ENDED if withdrawn(c, row.gid) else NARROWED)
            + " Say what became of these: deleted, or kept and why.",
        }

    # --- looking

    async def look(self, place: str) -> bool | None:
        """Ask how the agreement of a received message stands, now that somebody opens it (J10).

        False when it could not be learnt, None when it rests on none.
        """
        gid = await self._store.run(
            lambda c: c.execute(select(inbox.c.gid).where(inbox.c.id == place)).scalar()
        )
        return None if gid is None else await self._desk.ask(gid)

    async def tend(self) -> None:
        """Let run out what has, renew staples, and say once what needs somebody (J12)."""
        clock = int(self._clock())
        now = min(clock, self._book.certain)

        def work(c: Connection) -> None:
            for row in c.execute(select(agreements)).all():
                kept = run_out(c, dated_anew(c, kept_of(row), clock, self._book.fresh), now)
                if row.prompted is None and self.view.prompts(kept, now):
                    note(c, now, "consent-needs-somebody", "")
                    c.execute(update(agreements).where(agreements.c.id == kept.id).values(prompted=now))

        await self._store.run(work)
        if now == clock:  # else it may be wrong, and a staple says that the person agrees at its second
            await self._desk.renew_due()

    # --- small things

    async def _find(self, name: str) -> Kept:
        now = int(self._clock())
        return await self._store.run(lambda c: find(c, name, now))

    async def _told(self, kept: Kept, gid: str) -> Json:
        posted = await self._posted()
        standing = kept.standing
        state = "given" if standing.state == "LIMITED" else standing.state.lower()
        return {
            "id": kept.id, "gid": gid, "state": state, "standing": standing.state, "version": standing.ver,
            "says": says(standing), "until": standing.until, "at_the_relay": posted,
        }  # fmt: skip

    async def _posted(self) -> bool:
        """Whether the relay has it now; if not, it is kept and tried until it has."""
        self._desk.posted.set()
        try:
            return await self._posting.flush()
        except Refusal:
            return False

    def _name(self, agency: str) -> str:
        known = self._book.latest.agencies.get(agency)
        return known.name if known is not None else ""


def _limits(scope: Scope) -> int:
    return len(set(scope.limits) - {"in_own_words"})


def _wishes(scope: Scope) -> tuple[Any, ...]:
    return scope.to, scope.purposes, scope.kinds, scope.limited


def _until(scope: Scope) -> int:
    ends = [str(scope.evidence["valid_until"])]
    if "until" in scope.limits:
        ends.append(str(scope.limits["until"]))
    return min(_start_of(end) for end in ends) + DAY  # until the 3rd still holds on the 3rd


def _start_of(day: str) -> int:
    return int(datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC).timestamp())
