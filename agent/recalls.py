"""Recalls: who owes an answer about a handle that ended or holds less, here and elsewhere (PROTOCOL.md J3, J7, J8).

Rules of this house:
- what nobody here ever saw is answered at once by the agent; for anything else people say what became of it;
- "deleted" also takes the words out of this agent's store;
- what is owed is shown until it is answered, on both sides.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from agent.endings import left_out, withdrawn
from agent.ring import HeldKeys
from agent.tables import grants, inbox, posts, recalls
from schemas.canonical import b64, unb64
from schemas.envelope import parse_header
from schemas.errors import Refusal
from schemas.grants import Grant, Recalled, ending, parse_grant, parse_recalled, withdrawal_hash
from schemas.signing import Purpose, Signed

NOTHING: dict[str, Any] = {"did": "nothing-held", "why": None, "passed": [], "outside": False}


def expect_answers(c: Connection, grant: Grant, withdrawal: Signed, own: str, now: int) -> None:
    """Every other party owes an answer about a handle that this agency issued, withdrew or narrowed."""
    by = _whose(withdrawal)
    for agency in sorted(grant.parties() - {by, own}):
        _owe(c, grant.gid, agency, by, withdrawal, now)


def owed_here(c: Connection, gid: str, withdrawal: Signed, keys: HeldKeys, now: int) -> None:
    """We were told, perhaps again: answer for what nobody saw, repeat an answer, or have people asked once more."""
    if _repeated(c, gid, withdrawal, keys):
        return
    _owe(c, gid, keys.agency, _whose(withdrawal), withdrawal, now)
    seen = (inbox.c.gid == gid) & inbox.c.handed.is_not(None)
    if c.execute(select(func.count()).where(seen)).scalar_one():
        c.execute(update(inbox).where(seen).values(recalled=0))
    else:
        answer(c, gid, NOTHING, keys, now)


def narrowed_here(c: Connection, grant: Grant, signed: Signed, keys: HeldKeys, now: int) -> None:
    """We were told that the person agrees to less: people say what became of what is outside of it now."""
    if _repeated(c, grant.gid, signed, keys):
        return
    _owe(c, grant.gid, keys.agency, grant.iss, signed, now)
    seen = select(inbox.c.id, inbox.c.header).where(inbox.c.gid == grant.gid, inbox.c.handed.is_not(None))
    rows = c.execute(seen.where(inbox.c.message.is_not(None))).all()
    outside = [row.id for row in rows if left_out(parse_header(row.header.encode()), grant)]
    if outside:
        c.execute(update(inbox).where(inbox.c.id.in_(outside)).values(limited=now, recalled=0))
    else:
        answer(c, grant.gid, NOTHING, keys, now)


def _repeated(c: Connection, gid: str, signed: Signed, keys: HeldKeys) -> bool:
    """Whether this ending was answered already; the answer is then posted once more."""
    row = _row(c, gid, keys.agency)
    if row is None or row.text is None or row.wd != b64(withdrawal_hash(signed)):
        return False
    again = (posts.c.gid == gid) & (posts.c.kind == "recalled") & (posts.c.text == row.text)
    c.execute(update(posts).where(again).values(posted=0))
    return True


def about(c: Connection, gid: str) -> Any:
    """Which received messages a recall is about: all under a withdrawn handle, of a narrowed one what is outside."""
    here = inbox.c.gid == gid
    return here if withdrawn(c, gid) else here & inbox.c.limited.is_not(None)


def answer(c: Connection, gid: str, said: dict[str, Any], keys: HeldKeys, now: int) -> Recalled:
    """Sign what became of what we hold under a handle, and have it posted.

    Raises:
        Refusal: NOT_FOUND when nothing is owed.
    """
    row = _row(c, gid, keys.agency)
    if row is None:
        raise Refusal("NOT_FOUND")
    ts = now if row.text is None else max(now, parse_recalled(answered(row)).ts + 1)
    body = {"a": keys.agency, "gid": gid, "signer": keys.consent.kid, "ts": ts, "v": 1, "wd": row.wd, **said}
    signed = Signed.make(keys.consent, Purpose.RECALLED, body)
    value = parse_recalled(signed)
    text = signed.text.decode("ascii")
    c.execute(insert(posts).values(kind="recalled", gid=gid, sig=b64(signed.signature), text=text))
    _settle(c, gid, keys.agency, signed)
    if value.did == "deleted":
        c.execute(update(inbox).where(about(c, gid)).values(message=None, delivery=None))
    return value


def answered_anew(c: Connection, refused: Signed, keys: HeldKeys, now: int) -> Signed | None:
    """An answer that the relay refused for its key or its time, signed again; None when a later one took its place."""
    said = json.loads(refused.text)
    row = _row(c, said["gid"], keys.agency)
    if row is None or row.text != refused.text.decode("ascii"):
        return None
    signed = Signed.make(keys.consent, Purpose.RECALLED, {**said, "signer": keys.consent.kid, "ts": now})
    _settle(c, said["gid"], keys.agency, signed)
    return signed


def awaits(c: Connection, gid: str, end: Signed) -> bool:
    """Whether others owe an answer about this very ending."""
    named = (recalls.c.gid == gid) & (recalls.c.wd == b64(withdrawal_hash(end)))
    return c.execute(select(recalls.c.a).where(named)).first() is not None


def heard(c: Connection, said: Recalled, signed: Signed) -> None:
    """Keep another agency's verified answer; an older one changes nothing."""
    row = _row(c, said.gid, said.a)
    if row is None or row.wd != said.wd:
        raise Refusal("NOT_FOUND")
    if row.text is None or parse_recalled(answered(row)).ts < said.ts:
        _settle(c, said.gid, said.a, signed)


def owing(c: Connection, own: str) -> list[Row[Any]]:
    """What people here still have to say."""
    mine = select(recalls).where(recalls.c.a == own, recalls.c.text.is_(None))
    return list(c.execute(mine.order_by(recalls.c.told)).all())


def awaited(c: Connection, own: str) -> int:
    """How many answers of others are missing."""
    theirs = select(func.count()).where(recalls.c.a != own, recalls.c.text.is_(None))
    return int(c.execute(theirs).scalar_one())


def of_handles(c: Connection, gids: list[str]) -> list[Row[Any]]:
    """Every recall of these handles, answered or not."""
    found = select(recalls).where(recalls.c.gid.in_(gids)).order_by(recalls.c.told, recalls.c.a)
    return list(c.execute(found).all())


def answered(row: Row[Any]) -> Signed:
    """The answer of a row that has one."""
    return Signed(row.text.encode("ascii"), unb64(row.sig, 64))


def grant_of(c: Connection, gid: str | None) -> Grant | None:
    """The handle's grant, when this agent knows it."""
    row = c.execute(select(grants.c.grant_t, grants.c.grant_s).where(grants.c.gid == gid)).one_or_none()
    return None if row is None else parse_grant(Signed(row.grant_t.encode("ascii"), unb64(row.grant_s, 64)))


def _owe(c: Connection, gid: str, agency: str, by: str, withdrawal: Signed, now: int) -> None:
    wd = b64(withdrawal_hash(withdrawal))
    values = {"gid": gid, "a": agency, "by": by, "wd": wd, "told": now}
    older = (recalls.c.gid == gid) & (recalls.c.a == agency) & (recalls.c.wd != wd)
    c.execute(delete(recalls).where(older))  # the newest ending is the one that is answered
    c.execute(insert(recalls).prefix_with("OR IGNORE").values(**values))


def _whose(signed: Signed) -> str:
    """Whose word an ending is: who withdrew, or the issuer of what holds less."""
    end = ending(signed)
    return end.iss if isinstance(end, Grant) else end.by


def _row(c: Connection, gid: str, agency: str) -> Row[Any] | None:
    found = select(recalls).where(recalls.c.gid == gid, recalls.c.a == agency)
    return c.execute(found).one_or_none()


def _settle(c: Connection, gid: str, agency: str, signed: Signed) -> None:
    words = {"sig": b64(signed.signature), "text": signed.text.decode("ascii")}
    c.execute(update(recalls).where(recalls.c.gid == gid, recalls.c.a == agency).values(**words))
