"""Requests for information that went through: what an answer is held against (PROTOCOL.md C19).

Rules of this house:
- of a request the relay keeps a hash, its time and the categories that an answer may hold; who asked whom is in the
  hash, which nobody finds who does not know the random id of the request;
- a request that was refused, or waits for a lead, is none.
"""

from __future__ import annotations

import json

from sqlalchemy import delete, insert, select

from broker.tables import inquiries
from broker.turn import Turn
from schemas.envelope import MAX_LIFE, Header
from schemas.facts import RequestFacts
from schemas.references import OPEN_FOR, request_mark, stays_open


def note_inquiry(header: Header, turn: Turn) -> None:
    """Remember an accepted message, if it is a request, for each agency that it asks."""
    if header.cls != "INFOREQ" or header.law.asks is None:
        return
    asks, until = json.dumps(header.law.asks), header.ts + OPEN_FOR + MAX_LIFE
    marks = {request_mark(header.sender.a, to.a, header.mid) for to in header.to}
    turn.db.execute(delete(inquiries).where(inquiries.c.mark.in_(marks)))  # an id may come again after months
    rows = [{"mark": mark, "asks": asks, "ts": header.ts, "until": until} for mark in marks]
    turn.db.execute(insert(inquiries), rows)


def inquiry_facts(header: Header, turn: Turn) -> RequestFacts | None:
    """What the relay knows of the request that an answer names; None for other messages, and when it knows of none."""
    if header.cls != "INFOGIVE" or header.law.rfi is None:
        return None
    marks = {request_mark(to.a, header.sender.a, header.law.rfi) for to in header.to}
    rows = turn.db.execute(select(inquiries).where(inquiries.c.mark.in_(marks))).all()
    if len(rows) < len(marks):  # whoever else gets it did not ask
        return None
    asked = [frozenset(json.loads(row.asks)) for row in rows]
    return RequestFacts(
        open=all(stays_open(row.ts, header.ts) for row in rows), asked=frozenset.intersection(*asked)
    )
