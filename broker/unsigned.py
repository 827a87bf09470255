"""What is kept of a message that went before its lead had signed: what her signature is held against, no more.

The header itself goes with the message (PROTOCOL.md O16): it may be taken on, expire, or be taken back long before she
signs, and nothing of a message may outlive it that nobody needs.
"""

from __future__ import annotations

from typing import Self

from sqlalchemy import bindparam, delete, select

from broker.tables import dues
from broker.turn import Held, Turn
from schemas.canonical import b64, encode
from schemas.envelope import Address, Frozen, Header
from schemas.lawful import Basis, Purpose, Rag, WhyNo
from schemas.signing import Signed

UNFETCHED: frozenset[str] = frozenset({"queued", "withdrawn"})
"""States of a desk that has collected nothing."""
SELECT_ONE = select(dues).where(dues.c.eid == bindparam("named"))
DELETE_DUE = delete(dues).where(dues.c.eid == bindparam("named"))


class Grounds(Frozen):
    """The basis and the reason that the message named."""

    b6: Basis | None
    why_no: WhyNo | None


class Unsigned(Frozen):
    """The fields of a header that O7 compares. Names are the header's."""

    cat: tuple[str, ...]
    law: Grounds
    mid: str
    ovr: str | None
    pur: Purpose
    rag: Rag
    sender: Address
    thr: str
    to: tuple[Address, ...]

    @classmethod
    def of(cls, header: Header) -> Self:
        return cls(
            cat=header.cat,
            law=Grounds(b6=header.law.b6, why_no=header.law.why_no),
            mid=header.mid,
            ovr=header.ovr,
            pur=header.pur,
            rag=header.rag,
            sender=Address(a=header.sender.a, d=header.sender.d),
            thr=header.thr,
            to=tuple(Address(a=to.a, d=to.d) for to in header.to),
        )

    @classmethod
    def read(cls, data: bytes) -> Self:
        return cls.model_validate_json(data)

    def to_bytes(self) -> bytes:
        return encode(self.model_dump(mode="json"))

    @property
    def agencies(self) -> set[str]:
        """The recipients'."""
        return {to.a for to in self.to}


def spare(held: Held, turn: Turn) -> None:
    """It was taken back, or is about to expire: if no desk has fetched it, nothing was shared, and nothing is to be
    signed. Whoever was asked hears of that."""
    if not all(desk.state in UNFETCHED for desk in held.desks):
        return
    row = turn.db.execute(SELECT_ONE, {"named": held.eid}).first()
    if row is None:
        return
    turn.db.execute(DELETE_DUE, {"named": held.eid})
    told = {held.sender, turn.view.oversight}
    tell(told, "nothing-to-sign", held.eid, Unsigned.read(row.claims), turn)


def tell(
    agencies: set[str], kind: str, eid: bytes, claims: Unsigned, turn: Turn, evidence: Signed | None = None
) -> None:
    """Leave these agencies a notice about a message that went before its lead had signed."""
    sender = claims.sender
    about = {"eid": b64(eid), "mid": claims.mid, "gid": None, "a": sender.a, "d": sender.d}
    for agency in sorted(agencies):
        turn.notify(agency, kind, about, evidence)
