"""Receipts at their turn: the recipient's signed steps (PROTOCOL.md D1-D4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from broker.intake import MAX_SKEW
from broker.ledger import Growth
from broker.turn import Entry, Held, Quiet, Turn
from schemas.audit import Event, event_tag
from schemas.canonical import b64, unb64
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.receipt import ENDED, Receipt, may_follow
from schemas.signing import Check, Purpose, Signed

FINAL = (Event.TAKEN_ON, Event.REJECTED, Event.WITHDRAWN, Event.EXPIRED)


@dataclass(frozen=True, slots=True)
class Step:
    """A receipt of the requester's, whose signature holds once `check` does."""

    receipt: Receipt
    signed: Signed
    eid: bytes
    tag: bytes
    check: Check

    def finals(self) -> Iterable[bytes]:
        return (event_tag(self.eid, event, self.receipt.a, self.receipt.d) for event in FINAL)


@dataclass(slots=True)
class Said:
    """What became of one receipt, with its evidence; a repeat waits for its proof."""

    eid: str
    desk: str
    status: str
    index: int | None = None
    code: str | None = None
    proof: str | None = None
    record: bytes = b""
    rk: bytes = b""

    def to_json(self) -> dict[str, Any]:
        return {
            "eid": self.eid,
            "d": self.desk,
            "status": self.status,
            "index": self.index,
            "code": self.code,
            "proof": self.proof,
            "record": b64(self.record) if self.record else None,
            "rk": b64(self.rk) if self.rk else None,
        }


def examine(receipt: Receipt, signed: Signed, requester: str, view: Directory) -> Step:
    """A receipt of the requester's own, signed by one of its message keys.

    Raises:
        Refusal: NOT_FOUND, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY.
    """
    if receipt.a != requester:
        raise Refusal("NOT_FOUND")
    key = view.key(receipt.signer, Use.MSG, receipt.ts, requester)
    eid = unb64(receipt.eid, 32)
    tag = event_tag(eid, Event(receipt.state), receipt.a, receipt.d)
    check = Check.of(key.public, Purpose.RECEIPT, signed.text, signed.signature)
    return Step(receipt, signed, eid, tag, check)


@dataclass
class Steps(Quiet):
    """The receipts and acknowledged notices of one request. A refused one came with the ids it claims."""

    nonce: bytes | None
    agency: str
    items: Sequence[Step | Said]
    notices: Sequence[int]
    size: int
    order = 2

    @property
    def logs(self) -> bool:  # type: ignore[override]  # only acknowledging notices leaves no trace
        return bool(self.items)

    def marks(self) -> Iterable[bytes]:
        for item in self.items:
            if isinstance(item, Step):
                yield item.tag

    def eids(self) -> Iterable[bytes]:
        return (item.eid for item in self.items if isinstance(item, Step))

    def decide(self, turn: Turn) -> list[Said]:
        turn.rows.heard += [(self.agency, number) for number in self.notices]
        return [item if isinstance(item, Said) else climb(item, turn) for item in self.items]


def climb(step: Step, turn: Turn) -> Said:
    """Take one step, or say why not."""
    receipt = step.receipt
    if step.tag in turn.seen:
        return Said(receipt.eid, receipt.d, "repeat", turn.seen[step.tag])
    held = turn.held.get(step.eid)
    try:
        entry = _step(step, held, turn)
    except Refusal as refusal:
        return Said(receipt.eid, receipt.d, "refused", code=refusal.code)
    said = Said(receipt.eid, receipt.d, "recorded", entry.index, rk=entry.rk)

    def proven(growth: Growth) -> None:
        said.proof, said.record = growth.proof(entry.leaf, entry.index).decode(), entry.record

    turn.after.append(proven)
    return said


def _step(step: Step, held: Held | None, turn: Turn) -> Entry:
    receipt = step.receipt
    desk = None if held is None else held.at(receipt.a, receipt.d)
    if held is None or desk is None or desk.state == "held":
        # Whose it was is no longer known here, but what this desk itself was told to end it is.
        raise Refusal("ENDED" if turn.knows(step.finals()) else "NOT_FOUND")
    if desk.state in ENDED:
        raise Refusal("ENDED")
    if not may_follow(desk.state, receipt.state):
        raise Refusal("CONFLICT")
    if receipt.body != b64(held.body):
        raise Refusal("FORM")
    if receipt.ts - turn.now > MAX_SKEW:
        raise Refusal("FUTURE")
    key = turn.view.key(receipt.signer, Use.MSG, receipt.ts, receipt.a)
    if key.revoked is not None and turn.now >= key.revoked:
        raise Refusal("REVOKED_KEY")
    turn.move(desk, receipt.state)
    turn.tell(held.sender, "receipt", held, (receipt.a, receipt.d), step.signed)
    turn.log_step(held, desk, Event(receipt.state), {"receipt": step.signed.to_json()})
    return turn.entries[-1]
