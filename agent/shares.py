"""What this agency remembers of every message that it sent, and finding a person's messages again (PROTOCOL.md G9).

Rules of this house:
- a share is noted in the transaction that queues its message: codes, dates and desks, never its words;
- a person is found by the agency's own reference, kept as a keyed hash; never by a name, which two people may share;
- what came in belongs to a person when somebody said so while taking it on, or when everything else in its thread
  is hers. A thread in which two people are spoken of decides nothing by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from agent.send import Plan, subject_of
from agent.tables import inbox, ladder, overrides, reviews, sealings, shares, undisclosed
from schemas.categories import NOT_ASKED
from schemas.messages.person import CHILD_BANDS
from schemas.sealing import Sealed
from schemas.statement import About, Other, Shared

Known = Callable[[str], tuple[str, str]]
"""An agency's name and sector, by its id."""
CONCERNS: dict[str, About] = {"child.concern": "child", "adult.concern": "adult"}


@dataclass(frozen=True, slots=True)
class Found:
    """What the store holds under one reference: messages, and the agreements that they name."""

    messages: tuple[Shared, ...]
    gids: frozenset[str]


def keep_share(c: Connection, sealed: Sealed, plan: Plan, now: int) -> None:
    """Note what a message shares, with whom and on what it rests. One about nobody shares nothing."""
    header = sealed.upload.envelope.header
    if header.law.pd == "none":
        return
    words = {
        "id": sealed.mid, "subject": plan.subject, "thr": plan.thread, "ts": now,
        "about": _about(plan.kind, json.loads(plan.payload)), "desks": json.dumps(plan.to), "pur": header.pur,
        "cat": json.dumps(header.cat), "law": header.law.model_dump_json(), "overridden": int(header.ovr is not None),
        "gid": plan.gid,
    }  # fmt: skip
    c.execute(insert(shares), words)


def mark_overridden(c: Connection, oid: str) -> None:
    """Note that two people signed for a message, before it went or afterwards."""
    mids = select(overrides.c.mid).where(overrides.c.oid == oid)
    ids = select(sealings.c.id).where(sealings.c.mid.in_(mids))
    c.execute(update(shares).where(shares.c.id.in_(ids)).values(overridden=1))


def kept_back(c: Connection) -> list[tuple[str, int]]:
    """The messages that were marked as not safe to tell and are not released: id, and when to look again."""
    looked = {row.id: row for row in c.execute(select(reviews)).all()}
    sent = select(shares.c.id, shares.c.law).where(shares.c.law.contains('"told":"UNSAFE"'))
    laws = [(row.id, json.loads(row.law)) for row in c.execute(sent)]
    found = [(place, _law(law, looked.get(place))) for place, law in laws]
    return [(place, one["look_again"]) for place, one in found if one["told"] == "UNSAFE" and not one["safe"]]


def reviews_due(c: Connection, now: int) -> int:
    """How many messages and decisions not to share somebody should have looked at again by now."""
    late = select(func.count()).where(undisclosed.c.review <= now)
    return sum(day <= now for _, day in kept_back(c)) + int(c.execute(late).scalar_one())


def find(c: Connection, reference: str, key: bytes, known: Known) -> Found:
    """Everything under a reference."""
    subject = subject_of(reference, key)
    rows = list(c.execute(select(shares).where(shares.c.subject == subject)).all())
    came = list(c.execute(select(inbox).where(inbox.c.subject == subject)).all())
    for thread in {row.thr for row in (*rows, *came)}:
        more, others = _unnamed(c, thread, subject, subject_of(thread, key))
        rows += more
        came += others
    looked = {row.id: row for row in c.execute(select(reviews)).all()}
    sent = {row.id: row for row in rows}.values()
    received = {row.id: row for row in came}.values()
    messages = (
        *(_sent(c, row, looked.get(row.id), known) for row in sent),
        *(_received(row, looked.get(row.id), known) for row in received),
    )
    return Found(messages, frozenset(row.gid for row in (*sent, *received) if row.gid is not None))


def _unnamed(
    c: Connection, thread: str, subject: str, own: str
) -> tuple[Iterable[Row[Any]], Iterable[Row[Any]]]:
    """What stands in a thread without a reference of its own, when the thread is this person's alone."""
    sent = c.execute(select(shares).where(shares.c.thr == thread)).all()
    came = c.execute(select(inbox).where(inbox.c.thr == thread, inbox.c.handed.is_not(None))).all()
    named = {row.subject for row in sent} | {row.subject for row in came if row.subject is not None}
    if named - {own} - {subject}:
        return (), ()
    return [row for row in sent if row.subject == own], [row for row in came if row.subject is None]


def _sent(c: Connection, row: Row[Any], review: Row[Any] | None, known: Known) -> Shared:
    turns = c.execute(select(sealings).where(sealings.c.id == row.id).order_by(sealings.c.turn)).all()
    turns = [turn for turn in turns if turn.state != "replaced"]
    others = tuple(_other(c, turns, agency, desk, known) for agency, desk in json.loads(row.desks))
    return Shared(
        id=row.id, sent=True, ts=row.ts, about=row.about, others=others, purpose=row.pur,
        categories=tuple(json.loads(row.cat)), overridden=bool(row.overridden),
        state=turns[-1].state if turns else "unknown", **_law(json.loads(row.law), review),
    )  # fmt: skip


def _other(c: Connection, turns: Iterable[Row[Any]], agency: str, desk: str, known: Known) -> Other:
    here = ladder.c.eid.in_([turn.eid for turn in turns]) & (ladder.c.a == agency) & (ladder.c.d == desk)
    steps = c.execute(select(ladder.c.state, ladder.c.reason).where(here)).all()
    reason = next((step.reason for step in steps if step.state == "rejected"), None)
    return Other(*known(agency), frozenset(step.state for step in steps), reason)


def _received(row: Row[Any], review: Row[Any] | None, known: Known) -> Shared:
    header = json.loads(row.header)
    words = {} if row.message is None else json.loads(row.message)
    return Shared(
        id=row.id, sent=False, ts=row.ts, about=_about(str(words.get("type", "")), words),
        others=(Other(*known(row.from_a)),), purpose=header["pur"], categories=tuple(header["cat"]),
        overridden=header["ovr"] is not None, state=row.state, **_law(header["law"], review),
    )  # fmt: skip


def _law(law: dict[str, Any], review: Row[Any] | None) -> dict[str, Any]:
    """What the law block says of her part in it, and what a worker said since."""
    return {
        "agree": law["agree"],
        "why_no": law["why_no"],
        "told": law["told"],
        "safe": review is not None and bool(review.safe),
        "look_again": law["told_by"] if review is None else review.again,
    }


def _about(kind: str, words: dict[str, Any]) -> About:
    if kind in CONCERNS:
        return CONCERNS[kind]
    person = words.get("person")
    band = person.get("age_band") if isinstance(person, dict) else None
    if not isinstance(band, str) or band == NOT_ASKED:
        return "unknown"
    return "child" if band in CHILD_BANDS else "adult"
