"""Uploads at their turn: decide, log, store (PROTOCOL.md I6-I13)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from broker import queries
from broker.breakglass import awaits_lead, watch
from broker.holding import hold_tag, note_hold
from broker.inquiries import inquiry_facts, note_inquiry
from broker.intake import Accept, Examined, Refuse, Repeat, Wait, judge, record_facts, said_of
from broker.ledger import Growth
from broker.overrides import shown
from broker.turn import Held, Quiet, Turn
from schemas.audit import Event, event_tag
from schemas.canonical import b64, unb64
from schemas.covering import NONE, Weighed
from schemas.envelope import MAX_LIFE, WRAP_SIZE
from schemas.errors import Refusal
from schemas.lawful import RAGS
from schemas.override import MID_KEPT, Override
from schemas.receipt import State
from schemas.recorded import print_facts

PROOF_ROOM = 2048
"""About what a proof adds to a delivery, for the size of mailbox pages."""


@dataclass(slots=True)
class Result:
    """What became of one upload; `index` waits for its proof when it is a repeat."""

    eid: bytes | None
    status: str
    proof: str | None = None
    record: bytes = b""
    rk: bytes = b""
    alert: bool = False
    index: int | None = None
    refusal: Refusal | None = None

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {
            "eid": None if self.eid is None else b64(self.eid),
            "status": self.status,
            "proof": self.proof,
            "record": b64(self.record) if self.record else None,
            "rk": b64(self.rk) if self.rk else None,
            "alert": self.alert,
        }
        if self.refusal is not None:
            refusal = self.refusal
            said |= {"code": refusal.code, "say": refusal.say, "party": refusal.party, "retry": refusal.retry}
        return said


@dataclass
class Submission(Quiet):
    """The uploads of one request; those that did not stand up to examination came as their refusal."""

    nonce: bytes | None
    items: Sequence[Examined | Refusal]
    size: int
    logs = True
    order = 3

    def marks(self) -> Iterable[bytes]:
        for item in self._examined():
            yield from (item.eid, item.mid_key)

    def gids(self) -> Iterable[str]:
        return (item.header.gid for item in self._examined() if item.header.gid is not None)

    def _examined(self) -> Iterable[Examined]:
        return (item for item in self.items if isinstance(item, Examined))

    def decide(self, turn: Turn) -> list[Result]:
        return [
            Result(None, "refused", refusal=item) if isinstance(item, Refusal) else submit(item, turn)
            for item in self.items
        ]


def refusal_tag(item: Examined) -> bytes:
    return event_tag(item.eid, Event.REFUSE, item.header.sender.a, item.header.sender.d)


def submit(item: Examined, turn: Turn) -> Result:
    """Decide one upload and note all that follows."""
    agreement = turn.agreements.get(item.header.gid or "")
    weighed = NONE if item.header.ovr is None else shown(item.header, turn)
    request = inquiry_facts(item.header, turn)
    verdict = judge(item, turn.view, agreement, turn.seen, turn.now, turn.policy, weighed, request)
    if _wants_lead(verdict) and item.header.ovr is None:
        early = shown(item.header, turn)  # its lead may have signed before it came
        if early.facts is not None and (isinstance(verdict, Wait) or not early.code):
            weighed = early
            verdict = judge(item, turn.view, agreement, turn.seen, turn.now, turn.policy, weighed, request)
    if isinstance(verdict, Repeat):
        return Result(item.eid, "repeat", index=verdict.index)
    if isinstance(verdict, Wait):
        return _hold(item, verdict, turn, weighed.override)
    if isinstance(verdict, Refuse):
        waits = verdict.code in ("ID_CLASH", "CLOCK") and turn.knows([hold_tag(item)])
        return _waits(item, turn) if waits else _refuse(item, verdict, turn, weighed.override)
    result = _accept(item, verdict, turn, weighed.override)
    if verdict.alert and awaits_lead(verdict.decision, signed=_signed(weighed)):
        watch(item.eid, item.header, verdict.decision, turn)
    return result


def _wants_lead(verdict: object) -> bool:
    return isinstance(verdict, Wait) or (isinstance(verdict, Accept) and verdict.decision.lead == "after")


def _signed(weighed: Weighed) -> bool:
    return weighed.facts is not None and not weighed.code


def _hold(item: Examined, verdict: Wait, turn: Turn, override: Override | None) -> Result:
    header, envelope = item.header, item.upload.envelope
    decision = said_of("hold", verdict.decision, verdict.known, told=verdict.told.code)
    tag = hold_tag(item)
    facts = record_facts(envelope, decision, turn.agreements.get(header.gid or ""), override)
    entry = turn.log(Event.HELD, tag, {header.sender.a}, facts, _unlinked(item, turn))
    turn.remember(tag, header.exp, entry.index)
    turn.remember(item.mid_key, max(header.exp, header.ts + MID_KEPT), None)
    row = _rows(item, turn, "held")
    row["proof"] = b""
    note_hold(item, _held(item), turn)
    return Result(item.eid, "held", refusal=verdict.told, index=entry.index)


def _waits(item: Examined, turn: Turn) -> Result:
    """The same envelope again: while it waits, or refused when its time was over."""
    came_now = any(row["eid"] == item.eid for row in turn.rows.envelopes)
    if not came_now and queries.held(turn, item.eid) is None:
        return Result(item.eid, "refused", refusal=Refusal("ENDED"))
    return Result(item.eid, "held", refusal=Refusal("HOLD_LEAD"), index=turn.seen[hold_tag(item)])


def _refuse(item: Examined, verdict: Refuse, turn: Turn, override: Override | None) -> Result:
    tag = refusal_tag(item)
    if not turn.knows([tag]):  # the same envelope tried again is refused again, and logged once
        decision = {
            "code": verdict.code,
            "outcome": "refuse",
            "rows": list(verdict.rows),
            "told": verdict.told.code,
            "known": None if verdict.known is None else print_facts(verdict.known),
        }
        agreement = turn.agreements.get(item.header.gid or "")
        facts = record_facts(item.upload.envelope, decision, agreement, override)
        entry = turn.log(Event.REFUSE, tag, {item.header.sender.a}, facts, _unlinked(item, turn))
        turn.remember(tag, min(item.header.exp, turn.now + MAX_LIFE), entry.index)
    return Result(item.eid, "refused", refusal=verdict.told)


def _unlinked(item: Examined, turn: Turn) -> tuple[bytes, bytes]:
    """The sender's record, which names the author, for an entry of what did not go; its hash stands in the header.

    Danger: in the leaf it would tell everybody which entry is the same message's when it is accepted later.
    """
    return item.upload.record, turn.draw(32)


def _accept(item: Examined, verdict: Accept, turn: Turn, override: Override | None) -> Result:
    header = item.header
    decision = said_of("alert" if verdict.alert else "deliver", verdict.decision, verdict.known)
    agencies = {header.sender.a, *(r.a for r in header.to)}
    record = (item.upload.record, unb64(header.ar, 32))
    agreement = turn.agreements.get(header.gid or "")
    facts = record_facts(item.upload.envelope, decision, agreement, override)
    entry = turn.log(Event.ACCEPT, item.eid, agencies, facts, record)
    turn.remember(item.eid, header.exp, entry.index)
    turn.remember(item.mid_key, max(header.exp, header.ts + MID_KEPT), None)
    note_inquiry(header, turn)
    if verdict.alert:
        # Told in the reply too; the notice is for when the reply gets lost.
        turn.tell(header.sender.a, "alert", _held(item), (header.sender.a, header.sender.d), None)
    result = Result(item.eid, "accepted", rk=entry.rk, alert=verdict.alert)
    row = _rows(item, turn)
    if override is not None and header.ovr is None:  # it is not inside, so the recipient gets it beside
        row["override"] = json.dumps(override.signed.to_json())

    def proven(growth: Growth) -> None:
        proof = growth.proof(entry.leaf, entry.index)
        row["proof"] = proof
        result.proof, result.record = proof.decode(), entry.record

    turn.after.append(proven)
    return result


def _held(item: Examined) -> Held:
    header, body = item.header, item.upload.envelope.body_hash
    return Held(item.eid, body, header.sender.a, header.sender.d, header.mid, header.gid, header.exp, [])


def _rows(item: Examined, turn: Turn, state: State = "queued") -> dict[str, Any]:
    header, envelope = item.header, item.upload.envelope
    front = envelope.to_bytes()
    size = len(front) + WRAP_SIZE + len(item.upload.record) + PROOF_ROOM
    row: dict[str, Any] = {
        "eid": item.eid,
        "front": front,
        "record": item.upload.record,
        "body": envelope.body_hash,
        "sender": header.sender.a,
        "desk": header.sender.d,
        "mid": header.mid,
        "gid": header.gid,
        "exp": header.exp,
        "override": None,
    }
    turn.rows.envelopes.append(row)
    for recipient, wrap in zip(header.to, item.upload.wraps, strict=True):
        turn.rows.deliveries.append(
            {
                "eid": item.eid,
                "agency": recipient.a,
                "desk": recipient.d,
                "state": state,
                "rank": RAGS.index(header.rag),
                "exp": header.exp,
                "size": size,
                "wrap": wrap,
            }
        )
        if state == "queued":
            turn.rings.add(recipient.a)
    return row
