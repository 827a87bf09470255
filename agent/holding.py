"""What waits for this agency's safeguarding lead, and what she has still to sign (PROTOCOL.md O10-O17).

Rules of this house:
- "it waits" is believed when the log says so, like "accepted";
- once the relay has let it go, the sender fetches the proof of that, as for any other message;
- a notice only tells: nothing that the relay says here makes anything count as sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.tables import bells, outbox, sealings
from schemas.api import EnvelopeResult, Notice
from schemas.audit import Event, Leaf, event_tag
from schemas.canonical import b64
from schemas.checkpoint import LogKey, LogProof
from schemas.envelope import Envelope
from schemas.errors import Refusal
from schemas.kinds import KINDS

KINDS_OF_NOTICE = frozenset(
    {
        "held", "released", "lapsed", "hold-escalated", "override", "break-glass", "ring", "lead-missing",
        "lead-signed", "nothing-to-sign",
    }
)  # fmt: skip
SHOWN = 200
SAYS = {
    "held": "a message waits for your safeguarding lead",
    "hold-escalated": "a message still waits for its safeguarding lead: ring her",
    "released": "your safeguarding lead let a message go",
    "lapsed": "nobody agreed in time, so a message was not sent",
    "override": "two people signed an override",
    "override-refused": "the relay did not take an override: see why, and have it asked for and signed again",
    "break-glass": "an emergency went without the lead's signature",
    "ring": "RING NOW: an emergency of an agency whose lead's signature was missing before",
    "lead-missing": "the lead's signature is missing",
    "lead-signed": "the lead has signed afterwards",
    "nothing-to-sign": "it ended before anybody fetched it, so the lead has nothing to sign",
}


def check_held(envelope: Envelope, result: EnvelopeResult, key: LogKey) -> str:
    """The checkpoint note under which the log says that this waits. Raises Refusal PROOF, CHECKPOINT."""
    if result.proof is None or result.eid != b64(envelope.eid):
        raise Refusal("PROOF")
    proof = LogProof.parse(result.proof.encode())
    leaf = Leaf.parse(proof.extra)
    sender = envelope.header.sender
    if leaf.tag != event_tag(envelope.eid, Event.HELD, sender.a, sender.d):
        raise Refusal("PROOF")
    proof.verified(leaf.to_bytes(), key)
    return proof.note


def hear_lead(c: Connection, notice: Notice, row: Row[Any] | None, now: int) -> bool:
    """Keep what a notice of these kinds says; True when something is to be posted again."""
    c.execute(
        insert(bells).values(
            kind=notice.kind, ts=notice.ts, heard=now, mid=notice.mid, a=notice.a, d=notice.d
        )
    )
    if row is None:
        return False
    here = update(sealings).where(sealings.c.eid == row.eid)
    if notice.kind == "released" and row.state == "held":
        # The relay has it; the same bytes again are answered with the proof.
        c.execute(here.values(state="waiting", attempts=1, next_at=0.0, code=None, say=None))
        return True
    if notice.kind == "lapsed" and row.state == "held":
        say = KINDS["HOLD_LAPSED"].say
        c.execute(here.values(state="refused", code="HOLD_LAPSED", say=say, upload=None))
    elif notice.kind == "break-glass":
        c.execute(here.values(due=1))
    elif notice.kind in ("lead-signed", "nothing-to-sign"):
        c.execute(here.values(due=0))
    return False


def list_holds(c: Connection) -> Sequence[Any]:
    """What waits for the lead at the relay, and what went and waits for her signature, oldest first."""
    columns = (sealings.c.mid, sealings.c.state, sealings.c.code, sealings.c.ts, sealings.c.exp)
    wanted = (sealings.c.state == "held") | (sealings.c.due == 1)
    query = select(*columns, sealings.c.desks, sealings.c.due, outbox.c.kind, outbox.c.rag, outbox.c.thr)
    query = query.join(outbox, outbox.c.id == sealings.c.id).where(wanted).order_by(sealings.c.ts)
    return c.execute(query).all()


def ring(c: Connection, kind: str, mid: str | None, own: str, now: int) -> None:
    """Tell people here what this agent itself has to say about a hold or an override."""
    c.execute(insert(bells).values(kind=kind, ts=now, heard=now, mid=mid, a=own, d=None))


def list_bells(c: Connection) -> Sequence[Row[Any]]:
    """What was told about holds, overrides and emergencies, newest first."""
    return c.execute(select(bells).order_by(bells.c.n.desc()).limit(SHOWN)).all()
