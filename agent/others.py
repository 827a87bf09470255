"""What others said of handles, once it is verified: agreements, staples, and anybody's end (PROTOCOL.md C1-C5, V8).

Rules of this house:
- of a handle the newer version and the newer staple stay, whatever comes late;
- nobody says anything about a handle that is another agency's;
- a withdrawal marks every message that was handed over under it, and the first one counts.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, select, update

from agent.endings import adopt, newest, relay_knows
from agent.tables import grants, inbox
from schemas.canonical import b64
from schemas.grants import parse_grant, parse_status, parse_withdrawal
from schemas.signing import Signed


def learn(c: Connection, signed: Signed, status: Signed | None, withdrawal: Signed | None) -> None:
    """Keep what the relay showed of a handle, once it is verified: its newest version, its staple, its end."""
    remember(c, signed, status)
    if withdrawal is not None:
        mark_withdrawn(c, withdrawal)
    relay_knows(c, parse_grant(signed).gid, _text_of(withdrawal or signed))


def remember(c: Connection, signed: Signed, status: Signed | None) -> None:
    """Keep another agency's verified handle; of one that is known the newer version and the newer staple stay."""
    grant = parse_grant(signed)
    words = {"exp": grant.exp, "grant_s": b64(signed.signature), "grant_t": _text_of(signed), "heard": None}
    row = c.execute(select(grants).where(grants.c.gid == grant.gid)).one_or_none()
    if row is not None and newest(row).iss != grant.iss:
        return  # a stranger's, under a handle that is not theirs
    if row is None:
        c.execute(insert(grants).values(gid=grant.gid, mine=0, **words))
        adopt(c, grant)
    elif not row.mine and newest(row).ver < grant.ver:
        c.execute(update(grants).where(grants.c.gid == grant.gid).values(**words))
    if status is not None:
        ts = parse_status(status).ts
        newer = (grants.c.status_ts.is_(None)) | (grants.c.status_ts < ts)
        c.execute(update(grants).where(grants.c.gid == grant.gid, newer).values(**staple_words(status, ts)))


def mark_withdrawn(c: Connection, signed: Signed) -> None:
    """Keep a verified withdrawal, and mark every message that was handed over under it, ended or not (V8)."""
    said = parse_withdrawal(signed)
    words = {
        "withdrawal_s": b64(signed.signature), "withdrawal_t": _text_of(signed), "withdrawn_ts": said.ts, "heard": None,
    }  # fmt: skip
    first = (grants.c.gid == said.gid) & grants.c.withdrawal_t.is_(None)
    c.execute(update(grants).where(first).values(**words))
    shown = (inbox.c.gid == said.gid) & inbox.c.handed.is_not(None) & inbox.c.withdrawn.is_(None)
    c.execute(update(inbox).where(shown).values(withdrawn=said.ts, recalled=0))


def staple_words(signed: Signed, ts: int) -> dict[str, Any]:
    """A staple as the columns of its handle."""
    return {"status_s": b64(signed.signature), "status_t": _text_of(signed), "status_ts": ts}


def _text_of(signed: Signed) -> str:
    return signed.text.decode("ascii")
