"""Decisions not to share: kept here with their reasons, logged at the relay without them (PROTOCOL.md G12, G13).

Rules of this house:
- not sharing is a decision like sharing: what, towards whom, why, both risks, who decided, when somebody looks again;
- every word stays in this agency's encrypted store; what leaves is a sealed record of codes for the IG officers;
- it is kept before it is posted: a relay that is away hears of it later.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Annotated, Self

from pydantic import Field, model_validator
from sqlalchemy import Connection, Row, insert, select

from agent.clock import Clock
from agent.directory import Book
from agent.forms import DAY, Json, Role
from agent.posting import Posting
from agent.send import subject_of
from agent.store import Store, note
from agent.tables import posts, undisclosed
from schemas.canonical import b64
from schemas.categories import CATEGORIES
from schemas.envelope import DeskId, Frozen
from schemas.errors import Refusal
from schemas.keyring import AgentKeys
from schemas.lawful import Purpose
from schemas.messages.asked import Day
from schemas.messages.text import Text
from schemas.nondisclosure import Weighed, WhyNotShared, seal_undisclosed
from schemas.sealing import new_id

LONGEST = 366 * DAY
Draw = Callable[[int], bytes]


class Away(Frozen):
    """A desk that it would have gone to: the agency by its id or exact name, the desk if one was meant."""

    agency: Annotated[str, Field(min_length=1, max_length=120)]
    desk: DeskId = "any"


class NotShared(Frozen):
    """A decision not to share.

    `to` names members, `to_others` in words whoever is no member: one of the two is needed. `why` is a code and
    `because` the reasoning; `risk_if_shared` and `risk_if_not` are what was weighed; `persons_view` is what the person
    said about it, when there was a safe way to ask; `review_on` is the day by which somebody looks at it again.
    """

    case_ref: Annotated[str, Field(min_length=1, max_length=200)]
    purpose: Purpose
    categories: tuple[str, ...] = Field(min_length=1, max_length=64)
    to: tuple[Away, ...] = Field(default=(), max_length=64)
    to_others: Text | None = None
    why: WhyNotShared
    because: Text
    risk_if_shared: Text
    risk_if_not: Text
    persons_view: Text | None = None
    decided_by: Role
    review_on: Day

    @model_validator(mode="after")
    def _is_away_from_somebody(self) -> Self:
        if not self.to and self.to_others is None:
            raise ValueError("to or to_others")
        return self


class Nondisclosures:
    """Decisions not to share of one agency."""

    def __init__(
        self, store: Store, book: Book, posting: Posting, keys: AgentKeys, clock: Clock, draw: Draw
    ) -> None:
        self._store = store
        self._book = book
        self._posting = posting
        self._keys = keys
        self._clock = clock
        self._draw = draw

    async def record(self, form: NotShared) -> Json:
        """Keep a decision and have it logged; when this returns, it is durable here.

        Raises:
            Refusal: FORM (a category), BAD_VALUE (the review date), UNKNOWN_AGENCY, STALE_DIRECTORY, OFFICERS.
        """
        now, view = int(self._clock()), self._book.view()
        if not CATEGORIES.issuperset(form.categories):
            raise Refusal("FORM", "Not a category of the list.", detail=("categories",))
        review = _seconds(form.review_on)
        if not now < review <= now + LONGEST:
            raise Refusal(
                "BAD_VALUE", "Say a day within a year on which somebody looks again.", detail=("review_on",)
            )
        text, nid = form.model_dump_json(), new_id(self._draw)
        weighed = Weighed(
            agency=self._keys.agency,
            to=tuple((view.find(away.agency).id, away.desk) for away in form.to),
            outside=form.to_others is not None,
            purpose=form.purpose,
            categories=tuple(sorted(set(form.categories))),
            why=form.why,
            role=form.decided_by,
            review=review,
            subject=subject_of(form.case_ref, self._keys.subject),
            words=text,
        )
        officers = view.officers({self._keys.agency}, now)
        signed, record = seal_undisclosed(weighed, nid, now, officers, self._keys.msg, self._draw(32))

        def work(c: Connection) -> None:
            kept = {"nid": nid, "ts": now, "subject": weighed.subject, "review": review, "words": text}
            c.execute(insert(undisclosed).values(**kept))
            c.execute(
                insert(posts).values(
                    kind="nondisclosure", gid=nid, sig=b64(signed.signature), text=signed.text.decode("ascii"),
                    record=b64(record),
                )
            )  # fmt: skip
            note(c, now, "nondisclosure", "")

        await self._store.run(work)
        return {"id": nid, "recorded": now, "review": review, "at_the_relay": await self._flushed()}

    async def list(self) -> list[Json]:
        """The decisions, newest first, with their words."""
        kept = select(undisclosed, posts.c.posted, posts.c.code).join(posts, posts.c.gid == undisclosed.c.nid)
        kept = kept.where(posts.c.kind == "nondisclosure").order_by(undisclosed.c.ts.desc())
        now = int(self._clock())
        return [_shown(row, now) for row in await self._store.run(lambda c: c.execute(kept).all())]

    async def _flushed(self) -> bool:
        """Whether the relay has logged it now; if not, it is kept and tried until it has."""
        try:
            await self._posting.flush()
        except Refusal:
            return False
        return True


def _shown(row: Row[tuple[object, ...]], now: int) -> Json:
    return {
        "id": row.nid,
        "recorded": row.ts,
        "review": row.review,
        "review_due": row.review <= now,
        "logged": bool(row.posted) and row.code is None,
        "code": row.code,
        **json.loads(row.words),
    }


def _seconds(day: str) -> int:
    return int(datetime.datetime.fromisoformat(day).replace(tzinfo=datetime.UTC).timestamp())
