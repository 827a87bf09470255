"""Sharing statements: made from this agency's own store, for a worker to give to the person (PROTOCOL.md G9, G10).

Rules of this house:
- a statement is made only for a worker who says that she has checked how it can be given safely;
- that one was made is noted; the page itself is not kept;
- the worker is told what was left out and why, so that she can look at it; the page never says.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field
from sqlalchemy import Connection, Row, insert, select

from agent.clock import Clock
from agent.consent_ledger import Kept
from agent.consent_ledger import find as agreement
from agent.directory import Book
from agent.extract import Extracted, extract
from agent.forms import DAY, Json, Role
from agent.page import as_html, as_text
from agent.ring import HeldKeys
from agent.send import subject_of
from agent.shares import Found, find, kept_back
from agent.store import Store, note
from agent.tables import answers, grants, inbox, outbox, reviews, shares, tellings
from schemas.agreement import STANDING, State
from schemas.canonical import unb64
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.grants import parse_grant
from schemas.messages.asked import Day
from schemas.signing import Signed
from schemas.statement import Choice, ChoiceState, LeftOut, state_sharing
from schemas.statement_words import SAFE_DELIVERY

LOOK_AGAIN = 90 * DAY
"""The longest that a message is kept from the person before somebody looks at it again."""
LEFT_OUT = {
    "another_person": "It is about somebody else, who can have a statement of their own.",
    "unsure": "Its form does not say whom it is about. If it is about this child, say so with a review.",
    "unsafe": "It was marked as not safe to tell. Ask whether that still holds; if it does not, say so with a review.",
    "harm_causer": "It told police, probation or a meeting about the person causing harm. Ask your safeguarding lead "
    "before it is told.",
    "not_told_yet": "The agency that sent it has not told the person yet, or did not say so. Ask that agency first.",
}
"""Why a message is not on the page, for the worker."""
FREE_LIMITS = frozenset({"not_about", "channel", "in_own_words"})
STATES: Mapping[State, ChoiceState] = {
    "GIVEN": "given",
    "LIMITED": "given",
    "WITHDRAWN": "withdrawn",
    "EXPIRED": "expired",
    "REFUSED": "refused",
    "CANNOT_GIVE": "cannot_give",
    "NOT_SOUGHT": "not_sought",
}


class Tell(Frozen):
    """Make the statement of the person whom this agency knows under `subject`, its own case reference.

    `delivery_checked` says that the worker has read how to give it safely and has checked the safe contact.
    """

    subject: Annotated[str, Field(min_length=1, max_length=200)]
    about: Literal["adult", "child"] = "adult"
    role: Role = "worker"
    delivery_checked: bool = False


class Review(Frozen):
    """A worker looked at a message that is kept from the person: is it safe to tell now?

    `id` is the message's, as the statement's list of what was left out names it. If it is not safe, somebody looks
    again by `look_again`, in 90 days at the latest.
    """

    id: Annotated[str, Field(min_length=1, max_length=80)]
    safe: bool
    role: Role
    look_again: Day | None = None


class Statements:
    """Statements of one agency."""

    def __init__(self, store: Store, book: Book, keys: HeldKeys, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._keys = keys
        self._clock = clock

    async def make(self, form: Tell) -> Json:
        """The statement as data, text and HTML, what it leaves out, and when earlier ones were made.

        Raises:
            Refusal: MISSING when safe delivery was not checked; NOT_FOUND when nothing is under that reference.
        """
        if not form.delivery_checked:
            raise Refusal("MISSING", " ".join(SAFE_DELIVERY), detail=("delivery_checked",))
        now = int(self._clock())
        return await self._store.run(lambda c: self._make(c, form, now))

    async def extract(self, form: Extracted) -> Json:
        """What the agency's IG officer needs beside the log."""
        now, keys = int(self._clock()), self._keys
        return await self._store.run(lambda c: extract(c, form.case_ref, keys.agency, keys.subject, now))

    async def review(self, form: Review) -> Json:
        """Note whether a message may be told now. Raises Refusal NOT_FOUND, BAD_VALUE (the day)."""
        now = int(self._clock())
        again = None if form.safe else _look_again(form.look_again, now)

        def work(c: Connection) -> None:
            kept = (
                select(shares.c.id).where(shares.c.id == form.id),
                select(inbox.c.id).where(inbox.c.id == form.id),
            )
            if all(c.execute(query).first() is None for query in kept):
                raise Refusal("NOT_FOUND")
            values = {"id": form.id, "ts": now, "safe": int(form.safe), "role": form.role, "again": again}
            c.execute(insert(reviews).prefix_with("OR REPLACE").values(**values))
            note(c, now, "statement-review", "")

        await self._store.run(work)
        return {"id": form.id, "safe": form.safe, "look_again": again}

    async def kept(self) -> list[Json]:
        """The messages of ours that the person may not be told of yet, the longest overdue first."""
        now = int(self._clock())
        found = await self._store.run(kept_back)
        ordered = sorted(found, key=lambda pair: pair[1])
        return [{"id": place, "look_again": day, "due": day <= now} for place, day in ordered]

    def _make(self, c: Connection, form: Tell, now: int) -> Json:
        found = find(c, form.subject.strip(), self._keys.subject, self._known)
        if not found.messages:
            raise Refusal(
                "NOT_FOUND", "Nothing is kept under that reference. Check how your agency writes it."
            )
        own, choices = self._known(self._keys.agency)[0], self._choices(c, found, now)
        statement = state_sharing(own, now, form.about, found.messages, choices, day_of)
        subject = subject_of(form.subject.strip(), self._keys.subject)
        before = c.execute(select(tellings.c.ts).where(tellings.c.subject == subject).order_by(tellings.c.ts))
        earlier = list(before.scalars())
        shown = sum(len(section.entries) for section in statement.sections)
        c.execute(insert(tellings).values(ts=now, subject=subject, role=form.role, shown=shown))
        note(c, now, "statement-made", "")
        return {
            "title": statement.title,
            "sections": [asdict(section) for section in statement.sections],
            "text": as_text(statement),
            "html": as_html(statement),
            "left_out": [_left_out(one, now) for one in statement.left_out],
            "reminder": list(SAFE_DELIVERY),
            "made": now,
            "made_before": earlier,
        }

    def _known(self, agency: str) -> tuple[str, str]:
        member = self._book.latest.agencies.get(agency)
        return ("", "other") if member is None else (member.name, member.sector)

    def _choices(self, c: Connection, found: Found, now: int) -> list[Choice]:
        """The agreements that these messages name: our own as they stand now, others' as their handles say."""
        rows = c.execute(select(grants).where(grants.c.gid.in_(found.gids))).all()
        own = {row.agreement for row in rows if row.agreement is not None}
        sent = select(outbox.c.agreement).where(outbox.c.id.in_([message.id for message in found.messages]))
        own |= {name for name in c.execute(sent).scalars() if name is not None}
        kept = [agreement(c, name, now) for name in sorted(own)]
        return [
            *(self._own(c, one) for one in kept),
            *(self._handle(row, now) for row in rows if row.agreement is None),
        ]

    def _own(self, c: Connection, kept: Kept) -> Choice:
        standing, scope = kept.standing, kept.scope
        said = select(answers.c.ts).where(answers.c.id == kept.id, answers.c.ver == kept.answer)
        limits = {} if scope is None else scope.limits
        not_to = [self._member(text) for text in limits.get("not_recipients", ())]
        until = standing.until if standing.until is not None else standing.since
        return Choice(
            since=c.execute(said.order_by(answers.c.n)).scalar() or standing.since,
            names=() if scope is None else self._names((self._keys.agency, *scope.to)),
            categories=() if scope is None else scope.kinds,
            purposes=() if scope is None else scope.purposes,
            state=STATES[standing.state],
            when=until if standing.state in STANDING else standing.since,
            not_for=tuple(limits.get("not_purposes", ())),
            not_what=tuple(limits.get("not_categories", ())),
            not_to=tuple(name for name in not_to if name),
            more=bool(FREE_LIMITS & set(limits)) or not all(not_to),
            stopped=self._names(kept.stopped),
        )

    def _handle(self, row: Row[Any], now: int) -> Choice:
        grant = parse_grant(_signed(row.grant_s, row.grant_t))
        state: ChoiceState = "expired" if now >= grant.exp else "given"
        when = grant.exp
        if row.withdrawal_t is not None:
            state, when = "withdrawn", row.withdrawn_ts
        names = self._names(sorted(grant.parties()))
        return Choice(grant.nbf, names, tuple(grant.cat), tuple(grant.pur), state, when)

    def _names(self, agencies: Iterable[str]) -> tuple[str, ...]:
        return tuple(self._known(agency)[0] for agency in agencies)

    def _member(self, text: str) -> str:
        """The name of a member that a limit names by its id or name; "" when it names somebody else."""
        try:
            return self._book.latest.find(text).name
        except Refusal:
            return ""


def day_of(ts: int) -> str:
    """A time as a day that people read, in UTC: 3 November 2026."""
    day = datetime.datetime.fromtimestamp(ts, datetime.UTC)
    return f"{day.day} {day:%B %Y}"


def _left_out(one: LeftOut, now: int) -> Json:
    due = one.look_again is not None and one.look_again <= now
    return {"id": one.id, "why": one.why, "say": LEFT_OUT[one.why], "look_again": one.look_again, "due": due}


def _look_again(day: str | None, now: int) -> int:
    if day is None:
        return now + LOOK_AGAIN
    at = int(datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC).timestamp())
    if not now < at <= now + LOOK_AGAIN:
        raise Refusal("BAD_VALUE", "Look again within 90 days.", detail=("look_again",))
    return at


def _signed(signature: str, text: str) -> Signed:
    return Signed(text.encode("ascii"), unb64(signature, 64))
