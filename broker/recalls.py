"""Who was told of a withdrawal, or that an agreement holds less, and still owes an answer (PROTOCOL.md J3, J7, J8).

Rules of this house:
- a withdrawal and what is owed for it are written in one transaction;
- an answer is taken from the party that owes it, logged where it falls, and told to who withdrew and to the issuer;
- what is owed is asked again every day until it is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, update

from broker.sweeping import Unasked
from broker.tables import grants, recalls
from broker.turn import Agreement, Turn
from schemas.audit import Event
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.grants import (
    AHEAD,
    Grant,
    Recalled,
    Withdrawal,
    ending,
    parse_recalled,
    withdrawal_hash,
)
from schemas.keys import Use
from schemas.signing import Purpose, Signed

AGAIN = 24 * 3600
"""Seconds after which an unanswered recall is told once more."""

SELECT_OWED = select(recalls).where(
    recalls.c.gid == bindparam("gid"), recalls.c.agency == bindparam("agency")
)
SELECT_UNANSWERED = (
    select(
        recalls.c.gid,
        recalls.c.agency,
        grants.c.text,
        grants.c.sig,
        grants.c.withdrawn_text,
        grants.c.withdrawn_sig,
    )
    .join_from(recalls, grants, recalls.c.gid == grants.c.gid)
    .where(recalls.c.text.is_(None), recalls.c.told <= bindparam("before"))
    .order_by(recalls.c.told)
    .limit(bindparam("most"))
)
SELECT_OF_GRANT = select(recalls).where(recalls.c.gid == bindparam("gid")).order_by(recalls.c.agency)
UPDATE_ANSWER = (
    update(recalls)
    .where(recalls.c.gid == bindparam("whose"), recalls.c.agency == bindparam("by"))
    .values(text=bindparam("said"), sig=bindparam("signed"))
)
UPDATE_TOLD = (
    update(recalls)
    .where(recalls.c.gid == bindparam("whose"), recalls.c.agency == bindparam("by"))
    .values(told=bindparam("at"))
)
KEPT_FOR_ANSWERS = or_(
    grants.c.gid.not_in(select(recalls.c.gid).where(recalls.c.text.is_(None))),
    grants.c.withdrawn_text.is_(None),
)
"""Grants that nobody owes an answer about."""
DELETE_OLDER = delete(recalls).where(recalls.c.gid == bindparam("whose"), recalls.c.agency == bindparam("by"))
DELETE_ENDED = delete(recalls).where(recalls.c.gid.not_in(select(grants.c.gid)))
"""Answers about grants that are gone."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What an agency owes about a grant: its answer, once it gave one."""

    text: bytes | None
    sig: bytes | None


def look(connection: Connection, gid: str, agency: str) -> Any:
    """What this agency owes about this grant, or None."""
    return connection.execute(SELECT_OWED, {"gid": gid, "agency": agency}).first()


def write(connection: Connection, turn: Turn) -> None:
    """Write what a turn did about recalls: a newer ending takes the place of an older one."""
    older = [{"whose": row["gid"], "by": row["agency"]} for row in (*turn.rows.recalls, *turn.rows.freed)]
    if older:
        connection.execute(DELETE_OLDER, older)
    for statement, rows in (
        (insert(recalls), turn.rows.recalls),
        (UPDATE_ANSWER, turn.rows.answers),
        (UPDATE_TOLD, turn.rows.told),
    ):
        if rows:
            connection.execute(statement, rows)


def owe(agreement: Agreement, end: Withdrawal | Grant, signed: Signed, turn: Turn) -> None:
    """Every other party owes an answer from now on, and is told; what it owed about an older ending is void, and so is
    what was owed by whoever ends it now."""
    gid, kind, by = end.gid, *_told_as(end)
    rows = turn.rows
    rows.recalls = [row for row in rows.recalls if row["gid"] != gid]
    rows.answers = [row for row in rows.answers if row["whose"] != gid]
    rows.freed.append({"gid": gid, "agency": by})
    for agency in sorted(agreement.grant.parties() - {by}):
        rows.recalls.append({"gid": gid, "agency": agency, "told": turn.now})
        tell(turn, agency, kind, gid, by, signed)


def _told_as(end: Withdrawal | Grant) -> tuple[str, str]:
    """The kind of notice for an ending, and whose word it is."""
    return ("limited", end.iss) if isinstance(end, Grant) else ("ended", end.by)


def record_recalled(signed: Signed, requester: str, turn: Turn) -> str:
    """Take a party's answer; "repeat" when it is there already.

    Raises:
        Refusal: FORM, NOT_ALLOWED, NOT_FOUND, FUTURE, OLDER, UNKNOWN_AGENCY, and as Directory.key.
    """
    said = parse_recalled(signed)
    if said.a != requester:
        raise Refusal("NOT_ALLOWED", "What became of it is said by the agency that signed it.")
    agreement = turn.agreements.get(said.gid)
    gone = None if agreement is None else agreement.withdrawal or agreement.signed
    owed = _owed(said.gid, requester, turn)
    if agreement is None or gone is None or owed is None or said.wd != b64(withdrawal_hash(gone)):
        raise Refusal("NOT_FOUND")
    if owed.text is not None and owed.text == signed.text:
        return "repeat"
    _not_older(said, owed, turn)
    for agency in said.passed:
        turn.view.member(agency)
    turn.view.key(said.signer, Use.CONSENT, said.ts, requester)  # agents check it at its own time
    key = turn.view.key(said.signer, Use.CONSENT, turn.now, requester)
    signed.verified(key.public, Purpose.RECALLED)
    turn.rows.answers.append(
        {"whose": said.gid, "by": requester, "said": signed.text, "signed": signed.signature}
    )
    told = {_told_as(ending(gone))[1], agreement.grant.iss} - {requester}
    turn.log(Event.RECALLED, turn.draw(32), {requester, *told}, {"statement": signed.to_json()})
    for agency in sorted(told):
        tell(turn, agency, "recalled", said.gid, requester, signed)
    return "recorded"


def _owed(gid: str, agency: str, turn: Turn) -> Owed | None:
    """What this agency owes about this grant: as this turn leaves it, or as it is stored."""
    answers = [row for row in turn.rows.answers if (row["whose"], row["by"]) == (gid, agency)]
    if answers:
        return Owed(answers[-1]["said"], answers[-1]["signed"])
    if any((row["gid"], row["agency"]) == (gid, agency) for row in turn.rows.recalls):
        return Owed(None, None)
    if any((row["gid"], row["agency"]) == (gid, agency) for row in turn.rows.freed):
        return None
    found = turn.owed(gid, agency)
    return None if found is None else Owed(found.text, found.sig)


def _not_older(said: Recalled, owed: Owed, turn: Turn) -> None:
    if said.ts - turn.now > AHEAD:
        raise Refusal("FUTURE")
    if owed.text is None or owed.sig is None:
        return
    before = parse_recalled(Signed(owed.text, owed.sig))
    if said.ts <= before.ts:
        raise Refusal("OLDER")


def tell(turn: Turn, agency: str, kind: str, gid: str, by: str, evidence: Signed) -> None:
    """Leave a notice about an agreement rather than about a message."""
    about = {"eid": None, "mid": None, "gid": gid, "a": by, "d": None}
    turn.notify(agency, kind, about, evidence)


@dataclass
class Reminding(Unasked):
    """Recalls that were told a day ago and are not answered: they are told once more."""

    found: Sequence[Any]

    def decide(self, turn: Turn) -> None:
        anew = {(row["gid"], row["agency"]) for row in turn.rows.recalls}
        for row in self.found:
            if (row.gid, row.agency) in anew:
                continue  # it was told of a later ending in this very turn
            withdrawn = row.withdrawn_text is not None
            signed = Signed(row.withdrawn_text, row.withdrawn_sig) if withdrawn else Signed(row.text, row.sig)
            turn.rows.told.append({"whose": row.gid, "by": row.agency, "at": turn.now})
            kind, by = _told_as(ending(signed))
            tell(turn, row.agency, kind, row.gid, by, signed)
