"""Receipts: the recipient's signed steps on the ladder (PROTOCOL.md D1-D4).

queued (the relay) -> collected (durable at the agent) -> opened (every rule held) -> taken-on (a case system or a
person has it) or rejected. Only taken-on, rejected, withdrawn and expired end a message for a desk.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from schemas.canonical import decode
from schemas.envelope import AgencyId, DeskId, Frozen, Hash32, Seconds
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.lawful import ReceiptState, RejectReason
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

State = Literal["held", "queued", "collected", "opened", "taken-on", "rejected", "withdrawn", "expired"]
ENDED: frozenset[State] = frozenset({"taken-on", "rejected", "withdrawn", "expired"})
RANK: dict[str, int] = {"held": -1, "queued": 0, "collected": 1, "opened": 2, "taken-on": 3, "rejected": 3}


class Receipt(Frozen):
    """One signed step. `role` says who took it on (a role code, never a name); `reason` why it was rejected."""

    v: Annotated[int, Field(ge=1, le=1)]
    eid: Hash32
    a: AgencyId
    d: DeskId
    state: ReceiptState
    body: Hash32
    ts: Seconds
    signer: Hash32
    role: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")] | None
    reason: RejectReason | None

    @model_validator(mode="after")
    def _fits_its_state(self) -> Self:
        if (self.state == "rejected") != (self.reason is not None):
            raise ValueError("a rejection has a reason")
        if self.role is not None and self.state != "taken-on":
            raise ValueError("a role takes on")
        return self


def parse_receipt(signed: Signed) -> Receipt:
    """The receipt as claimed; its signature is still to be verified. Raises Refusal FORM or NOT_CANONICAL."""
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return Receipt.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM") from None


def sign_receipt(receipt: Receipt, key: SigningKey) -> Signed:
    return Signed.make(key, Purpose.RECEIPT, receipt.model_dump(mode="json"))


def may_follow(now: State, then: ReceiptState) -> bool:
    """Whether a desk's ladder may step from `now` to `then` (D3): always up, never after the end or while held."""
    return now not in ENDED and now != "held" and RANK[then] > RANK[now]
