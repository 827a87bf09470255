"""Messages that wait for a safeguarding lead (PROTOCOL.md O10-O13).

Rules of this house:
- what waits is stored like what is delivered, in the state "held": no page shows it, nobody but its sender hears of it,
  and it counts for nobody as sent or arrived;
- a lead's override lets it go only if the rule, asked again at that moment, lets it pass, and its keys and dates do;
- what nobody released in time is stopped, and its sender is told; so it never lies there for good;
- a RED waits by the clock and is rung again and again, whatever day it is; what can wait, waits for working hours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, insert, select, update

from broker import queries
from broker.inquiries import inquiry_facts, note_inquiry
from broker.intake import Examined, check_parties, covered, record_facts, said_of, switched
from broker.intake import facts as rule_facts
from broker.ledger import Growth
from broker.sweeping import Unasked
from broker.tables import envelopes, holds
from broker.turn import Held, Turn
from schemas.audit import Event, event_tag
from schemas.canonical import b64, unb64
from schemas.consent import decide
from schemas.covering import moment, weigh
from schemas.decision import Decision
from schemas.envelope import Envelope, Header
from schemas.errors import Refusal
from schemas.facts import Facts
from schemas.hashing import Frames
from schemas.override import Override, terms_of
from schemas.policy import Thresholds
from schemas.reading import brought
from schemas.worktime import after_working_days, after_working_hours

SELECT_WAITING = select(holds.c.eid).where(
    holds.c.agency == bindparam("whose"), holds.c.mid == bindparam("named")
)
SELECT_STORED = select(envelopes).where(envelopes.c.eid == bindparam("named"))
SELECT_DUE = select(holds.c.eid).where(holds.c.next <= bindparam("now")).limit(bindparam("most"))
UPDATE_RELEASED = (
    update(envelopes)
    .where(envelopes.c.eid == bindparam("named"))
    .values(proof=bindparam("proven"), override=bindparam("under"))
)
UPDATE_NEXT = update(holds).where(holds.c.eid == bindparam("named")).values(next=bindparam("at"))
DELETE_HOLD = delete(holds).where(holds.c.eid == bindparam("named"))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A held message with all its bytes."""

    held: Held
    envelope: Envelope
    record: bytes


def hold_tag(item: Examined) -> bytes:
    return event_tag(item.eid, Event.HELD, item.header.sender.a, item.header.sender.d)


def note_hold(item: Examined, held: Held, turn: Turn) -> None:
    """Keep watch over a message that waits, and tell its sender."""
    said = (turn.policy or brought()).thresholds
    times = _red(turn.now, said) if item.header.rag == "RED" else _amber(turn.now, said)
    row: dict[str, Any] = {"eid": item.eid, "agency": item.header.sender.a, "mid": item.header.mid, **times}
    turn.db.execute(insert(holds), row)
    _tell(held, "held", turn)


def _amber(now: int, said: Thresholds) -> dict[str, int | None]:
    lapse = after_working_days(now, said.hold_amber_s)
    once = min(lapse, after_working_hours(now, said.hold_escalate_s))
    return {"lapse": lapse, "next": once, "every": None, "loud": None}


def _red(now: int, said: Thresholds) -> dict[str, int | None]:
    lapse, loud = now + said.hold_red_s, now + said.hold_red_escalate_s
    bell = min(lapse, loud, now + said.hold_red_bell_s)
    return {"lapse": lapse, "next": bell, "every": said.hold_red_bell_s, "loud": loud}


def waiting(agency: str, mid: str | None, turn: Turn) -> Waiting | None:
    """The agency's message with this id, if it waits."""
    if mid is None:
        return None
    eid = turn.db.execute(SELECT_WAITING, {"whose": agency, "named": mid}).scalar()
    return None if eid is None else _read(eid, turn)


def release(found: Waiting, override: Override, turn: Turn) -> None:
    """Let a held message go, if it may now: logged as accepted, and waiting for its recipients.

    Raises:
        Refusal: EXPIRED; UNKNOWN_DESK and the keys' codes; OVERRIDE_POLICY (another policy counts since the lead
            signed); the override's (schemas.covering); the rule's.
    """
    held, header = found.held, found.envelope.header
    if header.exp <= turn.now:
        raise Refusal("EXPIRED")
    # The signer's key as it was when it came: nobody dated it back. Who receives it must be there, and safe, now.
    check_parties(header, turn.view, turn.now, came=header.ts)
    decision, known = _ask_again(header, override, turn)
    _let_go(found, decision, known, override, turn)
    for desk in held.desks:
        if desk.state == "held":
            turn.move(desk, "queued")
            turn.rings.add(desk.agency)
    turn.db.execute(DELETE_HOLD, {"named": held.eid})
    _tell(held, "released", turn)


def _ask_again(header: Header, override: Override, turn: Turn) -> tuple[Decision, Facts]:
    """The rule at the lead's moment, which the recipient decides by, and now, which the record tells of (O11)."""
    signed = moment(header, override)
    if not turn.view.policies.same_around(signed, turn.now) or not _same_parties(header, signed, turn):
        raise Refusal("OVERRIDE_POLICY")
    agreement = queries.agreement(turn, header.gid)
    coverage, new_basis = covered(header, agreement, turn.now), switched(header, agreement)
    asked = inquiry_facts(header, turn)

    def judged(at: int) -> tuple[Decision, Facts]:
        weighed = weigh(header, override, turn.view, terms_of(turn.policy), at)
        if weighed.code:
            raise Refusal(weighed.code)
        known = rule_facts(
            header, coverage, turn.view, turn.policy, at, weighed.facts, new_basis=new_basis, request=asked
        )
        decision = decide(known)
        if not decision.passes:
            raise Refusal(decision.code or "UNFORESEEN")
        return decision, known

    judged(signed)
    return judged(turn.now)


def _same_parties(header: Header, at: int, turn: Turn) -> bool:
    """Whether the agencies are in law what they were around another time, by which a recipient decides (Q9)."""
    agencies = [header.sender.a, *(row.a for row in header.to)]
    return tuple(map(turn.view.party, agencies)) in turn.view.parties(agencies, at)


def _let_go(found: Waiting, decision: Decision, known: Facts, override: Override, turn: Turn) -> None:
    held, envelope, header = found.held, found.envelope, found.envelope.header
    said = said_of("alert" if decision.outcome else "deliver", decision, known)
    agencies = {held.sender, *(r.a for r in header.to)}
    facts = record_facts(envelope, said, queries.agreement(turn, header.gid), override)
    entry = turn.log(Event.ACCEPT, held.eid, agencies, facts, (found.record, unb64(header.ar, 32)))
    turn.remember(held.eid, header.exp, entry.index)
    note_inquiry(header, turn)
    under = json.dumps(override.signed.to_json())

    def proven(growth: Growth) -> None:
        proof = growth.proof(entry.leaf, entry.index)
        turn.db.execute(UPDATE_RELEASED, {"named": held.eid, "proven": proof, "under": under})

    turn.after.append(proven)


@dataclass
class Lapses(Unasked):
    """Held messages of which it is time to say something: their leads are told again, or their time is over."""

    found: Sequence[bytes]
    logs = True
    order = 4

    def eids(self) -> Sequence[bytes]:
        return self.found

    def decide(self, turn: Turn) -> int:
        return sum(_look(eid, turn) for eid in self.found)


def _look(eid: bytes, turn: Turn) -> bool:
    row = turn.db.execute(select(holds).where(holds.c.eid == eid)).first()
    if row is None or row.next > turn.now:
        return False  # somebody looked meanwhile
    held = turn.held.get(eid)
    if held is None or all(desk.state != "held" for desk in held.desks):
        turn.db.execute(DELETE_HOLD, {"named": eid})  # withdrawn, or its own time was over
        return False
    if turn.now < row.lapse:
        _ring(held, row, turn)
        return True
    turn.db.execute(DELETE_HOLD, {"named": eid})
    tag = event_tag(eid, Event.LAPSED, held.sender, held.desk)
    turn.log(
        Event.LAPSED,
        tag,
        {held.sender},
        {"a": held.sender, "d": held.desk, "eid": b64(eid), "mid": held.mid},
    )
    for desk in held.desks:
        if desk.state == "held":
            turn.move(desk, "expired")
    _tell(held, "lapsed", turn)
    _tell_oversight(held, row, "lapsed", turn)
    return True


def _ring(held: Held, row: Row[Any], turn: Turn) -> None:
    """Tell the leads again; once a RED has waited too long, oversight too, which can ring them."""
    coming = (row.lapse, *(() if row.every is None else (turn.now + row.every,)))
    if row.loud is not None and turn.now < row.loud:
        coming = (*coming, row.loud)
    turn.db.execute(UPDATE_NEXT, {"named": row.eid, "at": min(coming)})
    loud = row.loud is not None and turn.now >= row.loud
    facts = {"a": held.sender, "d": held.desk, "loud": loud, "mid": held.mid}
    turn.log(Event.ESCALATED, turn.draw(32), {held.sender}, facts)
    _tell(held, "hold-escalated", turn)
    _tell_oversight(held, row, "hold-escalated", turn)


def _tell_oversight(held: Held, row: Row[Any], kind: str, turn: Turn) -> None:
    if row.loud is not None and turn.now >= row.loud:
        turn.tell(turn.view.oversight, kind, held, (held.sender, held.desk), None)


def _read(eid: bytes, turn: Turn) -> Waiting | None:
    held = queries.held(turn, eid)
    row = turn.db.execute(SELECT_STORED, {"named": eid}).first()
    if held is None or row is None or all(desk.state != "held" for desk in held.desks):
        return None
    return Waiting(held, Envelope.read(Frames(row.front)), row.record)


def _tell(held: Held, kind: str, turn: Turn) -> None:
    turn.tell(held.sender, kind, held, (held.sender, held.desk), None)
