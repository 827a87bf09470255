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

from sqlalchemy import Connection, Row, insert, select

from agent.clock import Clock
from agent.directory import Book
from agent.forms import DAY, Json
from agent.nondisclosure_forms import NotShared, weighed
from agent.posting import Posting
from agent.ring import HeldKeys
from agent.store import Store, note
from agent.tables import posts, undisclosed
from schemas.canonical import b64
from schemas.categories import CATEGORIES
from schemas.errors import Refusal
from schemas.nondisclosure import seal_undisclosed
from schemas.sealing import new_id

LONGEST = 366 * DAY
Draw = Callable[[int], bytes]


class Nondisclosures:
    """Decisions not to share of one agency."""

    def __init__(
        self, store: Store, book: Book, posting: Posting, keys: HeldKeys, clock: Clock, draw: Draw
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
        nid = new_id(self._draw)
        said = weighed(form, view, self._keys, review)
        officers = view.officers({self._keys.agency}, now)
        signed, record = seal_undisclosed(said, nid, now, officers, self._keys.msg, self._draw(32))

        def work(c: Connection) -> None:
            kept = {"nid": nid, "ts": now, "subject": said.subject, "review": review, "words": said.words}
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
