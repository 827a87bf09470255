"""What this agency's IG officer needs beside the log: which messages belong to a case, and what was done at home (U9).

No names and no words: ids, dates and roles. That an extract was made is noted in the journal.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection, select

from agent.send import subject_of
from agent.shares import find
from agent.store import note
from agent.tables import inbox, reviews, sealings, tellings
from schemas.envelope import Frozen


class Extracted(Frozen):
    """Make an extract; `case_ref` is the agency's own reference for a person, left out for what is about everybody."""

    case_ref: Annotated[str, Field(min_length=1, max_length=200)] | None = None


def extract(c: Connection, reference: str | None, agency: str, key: bytes, now: int) -> dict[str, Any]:
    """The extract, as keys_tooling.audit.extract reads it."""
    sent, received = _messages(c, reference, key) if reference is not None else ((), ())
    subject = None if reference is None else subject_of(reference, key)
    told = select(tellings).where(tellings.c.subject == subject).order_by(tellings.c.ts)
    note(c, now, "extract-made", "")
    return {
        "agency": agency,
        "conflict_denials": None,
        "looked": _looked(c),
        "made": now,
        "received": list(received),
        "sent": list(sent),
        "subject": subject,
        "tellings": [{"role": row.role, "shown": row.shown, "ts": row.ts} for row in c.execute(told)],
        "v": 1,
    }


def _messages(c: Connection, reference: str, key: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every message id under a reference: a message that was sealed again has several."""
    found = find(c, reference, key, lambda _agency: ("", "")).messages
    sent = [one.id for one in found if one.sent]
    came = [one.id for one in found if not one.sent]
    mids = select(sealings.c.mid).where(sealings.c.id.in_(sent)).order_by(sealings.c.ts, sealings.c.turn)
    got = select(inbox.c.mid).where(inbox.c.id.in_(came)).order_by(inbox.c.ts)
    return tuple(dict.fromkeys(c.execute(mids).scalars())), tuple(dict.fromkeys(c.execute(got).scalars()))


def _looked(c: Connection) -> list[dict[str, Any]]:
    """When somebody last looked at whether a person may be told of a message."""
    found = []
    for row in c.execute(select(reviews).order_by(reviews.c.ts)):
        ours = c.execute(select(sealings.c.mid).where(sealings.c.id == row.id)).scalars().all()
        theirs = c.execute(select(inbox.c.mid).where(inbox.c.id == row.id)).scalars().all()
        found += [{"mid": mid, "safe": bool(row.safe), "ts": row.ts} for mid in (*ours, *theirs)]
    return found
