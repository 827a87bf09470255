"""What this agency holds of what a message refers to: the request that it answers, what it passes on (PROTOCOL.md G14).

Rules of this house:
- the author says what a message passes on; what came in the same thread is passed on whether or not anybody said so;
- what a source allows is copied from its own header, and leave is a message of whoever wrote it: neither is typed.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from agent.tables import inbox, sealings
from schemas.canonical import Json
from schemas.categories import NOT_ASKED
from schemas.envelope import MAX_SOURCES, Header, parse_header
from schemas.errors import Refusal
from schemas.messages.catalogue import parse_payload
from schemas.messages.passing import OnwardAnswer

READ = ("opened", "taken-on")
APART = ("ADMIN", "CONSENT")
"""Classes that agents and consent desks write to each other; nobody passes them on."""
CLOSER = ("WITHIN_PURPOSE", "ASK", "NONE")
"""What may be said of passing on, the freest first."""


def at_hand(c: Connection, header: Header) -> tuple[Header, ...]:
    """The headers that this agency holds, received or written, of what another header refers to."""
    mids = {one.mid for one in header.law.src or ()} | ({header.law.rfi} if header.law.rfi else set())
    if not mids:
        return ()
    got = select(inbox.c.header).where(inbox.c.mid.in_(mids), inbox.c.state.in_(("collected", *READ)))
    own = select(sealings.c.header).where(sealings.c.mid.in_(mids), sealings.c.state != "refused")
    texts = [*c.execute(got).scalars(), *c.execute(own).scalars()]
    return tuple(parse_header(text.encode("ascii")) for text in dict.fromkeys(texts) if text is not None)


def sources(
    c: Connection, thread: str, named: Sequence[str], to: Iterable[str], purpose: str, today: datetime.date
) -> list[Json]:
    """What a message passes on, as its header says it (H8): every message that somebody among `to` has not had.

    Args:
        thread: the thread that the message goes into.
        named: ids of the inbox, as its author says them.
        to: agencies.

    Raises:
        Refusal: NOT_FOUND, TOO_BIG.
    """
    agencies = frozenset(to)
    # Two questions: for one with an "or" the store would go through all that was ever read here.
    ways = [inbox.c.thr == thread, *([inbox.c.id.in_(named)] if named else [])]
    read = [row for way in ways for row in c.execute(select(inbox).where(way, inbox.c.state.in_(READ)))]
    rows = sorted({row.id: row for row in read}.values(), key=lambda row: str(row.mid))
    if missing := set(named) - {row.id for row in rows}:
        raise Refusal("NOT_FOUND", detail=tuple(sorted(missing)))
    found: dict[str, Json] = {}
    for row in rows:
        header = parse_header(row.header.encode("ascii"))
        fresh = agencies - {header.sender.a, *(one.a for one in header.to)}
        if fresh and header.law.pd != "none" and header.cls not in APART:
            leave = _leave(c, row, fresh, purpose, today)
            terms: Json = {"leave": leave, "mid": row.mid, "onward": header.law.onward, "pur": header.pur}
            found.setdefault(row.mid, terms)
    if len(found) > MAX_SOURCES:
        say = f"It passes on more than {MAX_SOURCES} messages. Send it in parts."
        raise Refusal("TOO_BIG", say, party="sender")
    return sorted(found.values(), key=lambda one: str(one["mid"]))


def closest(onward: str, src: Sequence[Json]) -> str:
    """The strictest word on passing on: a message's own, or that of what it passes on."""
    words = [onward, *(str(one["onward"]) for one in src)]
    return max(words, key=lambda word: CLOSER.index(word) if word in CLOSER else len(CLOSER))


def _leave(
    c: Connection, source: Row[Any], to: frozenset[str], purpose: str, today: datetime.date
) -> str | None:
    """The id of the newest answer of whoever wrote it that speaks of these agencies and this purpose, if it is yes."""
    query = (
        select(inbox.c.mid, inbox.c.message)
        .where(inbox.c.from_a == source.from_a, inbox.c.cls == "RESPOND", inbox.c.state.in_(READ))
        .where(inbox.c.message.contains(source.mid, autoescape=True))
        .order_by(inbox.c.ts.desc(), inbox.c.received.desc())
    )
    for row in c.execute(query):
        said = parse_payload(row.message)
        if not isinstance(said, OnwardAnswer) or (said.source, said.purpose) != (source.mid, purpose):
            continue
        if said.answer == "no" and to & set(said.to):
            return None
        if said.answer == "yes" and to <= set(said.to):
            stands = said.until == NOT_ASKED or datetime.date.fromisoformat(said.until) >= today
            return str(row.mid) if stands else None
    return None
