"""When an agreement ended or came to hold less, and what that means for a message on its way in (PROTOCOL.md V8, J9).

Rules of this house:
- what nobody has seen yet is not shown any more, unless the rule lets it pass without the agreement;
- the relay is blamed only where it is shown that it knew: a withdrawal that came from it, or that it recorded for us,
  before the fetch began that brought the message. What crossed on the way is nobody's fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from agent.tables import grants, inbox, withdrawals
from schemas.canonical import b64, unb64
from schemas.envelope import Header, parse_header
from schemas.errors import Refusal
from schemas.grants import Grant, Withdrawal, parse_grant, parse_withdrawal, within, written_after
from schemas.signing import Signed

EARLY_KEPT = 120 * 24 * 3600
"""Longer than a handle and a message under it can live."""


class TakenBack(Refusal):
    """Its agreement ended before anybody here saw it. Nobody did anything wrong."""

    def __init__(self, code: str) -> None:
        super().__init__(code, party="sender")


def so_far(c: Connection) -> int:
    """The number of the last ending that the relay is known to know of."""
    columns = (grants.c.heard, withdrawals.c.heard)
    return max(int(c.execute(select(func.coalesce(func.max(one), 0))).scalar_one()) for one in columns)


def relay_knows(c: Connection, gid: str, text: str) -> None:
    """The relay told us this statement, or recorded it for us: where it is the last word on its handle, number it."""
    last = (grants.c.withdrawal_t == text) | (grants.c.withdrawal_t.is_(None) & (grants.c.grant_t == text))
    unnumbered = (grants.c.gid == gid) & grants.c.heard.is_(None) & last
    c.execute(update(grants).where(unnumbered).values(heard=so_far(c) + 1))


def keep_early(c: Connection, said: Withdrawal, signed: Signed, now: int) -> None:
    """Keep a verified withdrawal of an agreement that is not known here: the first message under it may come late."""
    c.execute(delete(withdrawals).where(withdrawals.c.ts < now - EARLY_KEPT))
    values = {"sig": b64(signed.signature), "text": signed.text.decode("ascii"), "ts": said.ts}
    row = {"gid": said.gid, "a": said.by, "heard": so_far(c) + 1, **values}
    c.execute(insert(withdrawals).prefix_with("OR IGNORE").values(**row))


def adopt(c: Connection, grant: Grant) -> int | None:
    """Put to a handle that has just become known the withdrawal that came before it; when it was withdrawn."""
    found = select(withdrawals).where(withdrawals.c.gid == grant.gid, withdrawals.c.a.in_(grant.parties()))
    row = c.execute(found.order_by(withdrawals.c.heard).limit(1)).one_or_none()
    if row is not None:
        words = {
            "withdrawal_s": row.sig,
            "withdrawal_t": row.text,
            "withdrawn_ts": row.ts,
            "heard": row.heard,
        }
        c.execute(update(grants).where(grants.c.gid == grant.gid).values(**words))
    c.execute(delete(withdrawals).where(withdrawals.c.gid == grant.gid))
    return None if row is None else int(row.ts)


def too_late(c: Connection, header: Header, before: int) -> bool:
    """Whether the relay is known to have known of an ending of a message's agreement when `before` was the last."""
    if header.gid is None:
        return False
    known = c.execute(select(grants.c.gid, grants.c.heard).where(grants.c.gid == header.gid)).one_or_none()
    heard = c.execute(_early(header).with_only_columns(func.min(withdrawals.c.heard))).scalar()
    heard = heard if known is None else known.heard
    return heard is not None and heard <= before


def ended(c: Connection, header: Header) -> str:
    """Why the agreement that a message names is no ground for it any more, by what is known here: a code, or nothing.

    AGREEMENT_ENDED when it was withdrawn, OLDER when a later version of it leaves this message out.
    """
    if header.gid is None:
        return ""
    row = c.execute(select(grants).where(grants.c.gid == header.gid)).one_or_none()
    if row is None:
        return "" if c.execute(_early(header)).first() is None else "AGREEMENT_ENDED"
    if row.withdrawal_t is not None:
        return "AGREEMENT_ENDED"
    return "OLDER" if left_out(header, newest(row)) else ""


def _early(header: Header) -> Select[Any]:
    # Sender and recipients are parties to what covers them; anybody else has to wait until the handle is known.
    parties = {header.sender.a, *(to.a for to in header.to)}
    return select(withdrawals).where(withdrawals.c.gid == header.gid, withdrawals.c.a.in_(parties))


def wrote_after(c: Connection, header: Header) -> bool:
    """Whether a message was written after the agreement that it names was withdrawn (row 17)."""
    named = select(grants).where(grants.c.gid == header.gid)
    row = None if header.gid is None else c.execute(named).one_or_none()
    if row is None or row.withdrawal_t is None:
        return False
    signed = Signed(row.withdrawal_t.encode("ascii"), unb64(row.withdrawal_s, 64))
    return written_after(header, parse_withdrawal(signed))


def withdrawn(c: Connection, gid: str) -> bool:
    """Whether a handle is known here and was withdrawn."""
    return c.execute(select(grants.c.withdrawal_t).where(grants.c.gid == gid)).scalar() is not None


def left_out(header: Header, grant: Grant) -> bool:
    """Whether this version is later than the one that a message quotes and does not cover the message."""
    return grant.ver > (header.law.agree_ver or 0) and not within(header, grant)


def newest(row: Row[Any]) -> Grant:
    """The newest version of a handle that is kept here."""
    return parse_grant(Signed(row.grant_t.encode("ascii"), unb64(row.grant_s, 64)))


def take_back(c: Connection) -> int:
    """Drop the words of what was opened, is not handed over, and rests on an agreement that ended; how many it was."""
    waiting = select(inbox.c.id, inbox.c.gid, inbox.c.header).where(
        inbox.c.state == "opened", inbox.c.handed.is_(None), inbox.c.alone == 0, inbox.c.gid.is_not(None)
    )
    gone = [row.id for row in c.execute(waiting).all() if ended(c, parse_header(row.header.encode()))]
    if gone:
        words = {"state": "withdrawn", "message": None, "delivery": None}
        c.execute(update(inbox).where(inbox.c.id.in_(gone)).values(**words))
    return len(gone)


def mark_handed(c: Connection, ids: Sequence[str], now: int) -> None:
    """Note that these were handed over; what lost its agreement in that moment is marked for people to act on."""
    here = inbox.c.id.in_(ids)
    c.execute(update(inbox).where(here).values(handed=now))
    ends = select(grants.c.gid, grants.c.withdrawal_s, grants.c.withdrawal_t).where(
        grants.c.withdrawal_t.is_not(None), grants.c.gid.in_(select(inbox.c.gid).where(here))
    )
    for row in c.execute(ends).all():
        said = parse_withdrawal(Signed(row.withdrawal_t.encode("ascii"), unb64(row.withdrawal_s, 64)))
        unmarked = here & (inbox.c.gid == row.gid) & inbox.c.withdrawn.is_(None)
        c.execute(update(inbox).where(unmarked).values(withdrawn=said.ts, recalled=0))
