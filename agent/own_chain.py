"""What the directory says in our own agency's name or of it, and who here knows of it (PROTOCOL.md K15, G15).

Rules of this house:
- every statement of our own chain is one that this agent posted, one that it can see to be ours (a running key that it
  holds), one that the administrator's command announced in this folder, or one that a person here must confirm: the
  administrator signs with a key that the agent does not have;
- what takes the agency out of our hands stops sending until somebody has said that it is right;
- what stood there at this agent's first reading is where it begins: keys that it does not hold are found all the same;
- what this agent posted is remembered until the directory has shown it, or a day, when the relay takes it no more.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from agent.directory_tables import own_statements, posted_statements
from agent.forms import Json
from agent.store import note
from schemas.canonical import unb64
from schemas.directory import Agency
from schemas.directory_statement import AddKey, Statement, parse_statement, statement_hash
from schemas.errors import Refusal
from schemas.keys import Use, kid_of
from schemas.signing import Signed
from schemas.worktime import london

GRAVE = frozenset({"rotate-op", "rotate-root"})
"""After these, whoever holds the new keys speaks for the agency."""
REMEMBERED = 24 * 3600
"""Seconds for which a statement that was not shown is expected: the relay refuses one that is minutes old (K8)."""
OF_US = ("member", "was", "now")
"""Where oversight's statements name an agency."""
SAYS = {
    "inception": "founded the agency",
    "revoke": "ended a key",
    "admit": "admitted an agency, or changed its entry",
    "policy": "put a policy in force",
    "countersign": "countersigned a person's key",
    "retention": "let records be deleted",
    "rotate-op": "replaced the administrator's key",
    "rotate-root": "replaced the root keys and the administrator's key",
    "leave": "said that an agency leaves",
    "alias": "gave an agency's old name another way",
    "emergency-revoke": "ended keys in an emergency",
    "recertify": "said that keys are still right",
    "roster": "said which roles work at a desk",
}


@dataclass(frozen=True, slots=True)
class New:
    """A statement that this agent had not seen, with its place in the directory's log."""

    signed: Signed
    statement: Statement
    at: int

    def is_about(self, agency: str) -> bool:
        """Whether it stands in this agency's own chain, or is oversight's word about it."""
        said = self.statement
        return said.agency == agency or any(said.body.get(name) == agency for name in OF_US)


def post(c: Connection, signed: Signed, ts: int) -> None:
    """Remember a statement that this agent is about to post, so that it is no stranger's when it comes back."""
    made = statement_hash(signed)
    if c.execute(select(posted_statements.c.hash).where(posted_statements.c.hash == made)).first() is None:
        c.execute(insert(posted_statements).values(hash=made, ts=ts))


def take(
    c: Connection,
    found: Sequence[New],
    held: Container[str],
    mine: Agency | None,
    *,
    first: bool,
    ts: int,
    made: Container[str] = (),
) -> None:
    """Write down what is new of our own agency.

    Args:
        held: ids of the keys that this agent holds.
        made: hashes of the statements that the administrator's command announced in this agent's folder.
        mine: our agency in the new view.
        first: whether this agent had read nothing before.
    """
    for one in found:
        statement, hashed = one.statement, statement_hash(one.signed)
        ours = c.execute(delete(posted_statements).where(posted_statements.c.hash == hashed)).rowcount
        known = first or bool(ours) or hashed in made or _is_held(one.signed, held)
        gone = mine is not None and statement.op == "leave" and statement.body.get("member") == mine.id
        grave = not known and (statement.op in GRAVE or gone)
        row = {"n": one.at, "hash": hashed, "op": statement.op, "ts": statement.ts}
        said = "said that your agency leaves" if gone else _detail(one.signed)
        row |= {"detail": f"{_who(statement, mine)} {said}", "known": int(known), "grave": int(grave)}
        c.execute(insert(own_statements).values(**row))
        if not known:
            note(c, ts, "own-statement-new", "OWN_STATEMENT")
    c.execute(delete(posted_statements).where(posted_statements.c.ts < ts - REMEMBERED))


def _who(statement: Statement, mine: Agency | None) -> str:
    if mine is None or statement.agency != mine.id:
        return "oversight"
    # Who signs with none of the agency's published keys is its administrator, or its roots.
    return "a renewal key of this agency" if statement.by in mine.keys else "your administrator's key"


def doubts(c: Connection) -> list[Row[Any]]:
    """What waits for a person to say that it is right, oldest first."""
    waiting = select(own_statements).where(own_statements.c.known == 0)
    return list(c.execute(waiting.order_by(own_statements.c.n)).all())


def acknowledge(c: Connection, numbers: Iterable[int], ts: int) -> int:
    """Somebody here knows of these; says how many waited. Raises Refusal NOT_FOUND when one does not wait."""
    wanted = set(numbers)
    waiting = {row.n for row in doubts(c)}
    if not wanted <= waiting:
        raise Refusal("NOT_FOUND", "No such statement waits. fenpost-agent doctor shows those that do.")
    c.execute(update(own_statements).where(own_statements.c.n.in_(wanted)).values(known=1, seen=ts))
    note(c, ts, "own-statement-known", "", ",".join(map(str, sorted(wanted))))
    return len(wanted)


def shown(row: Row[Any]) -> Json:
    """A statement that waits, for people."""
    says = f"On {london(row.ts):%d %b %Y at %H:%M} {row.detail}."
    return {"n": row.n, "op": row.op, "ts": row.ts, "grave": bool(row.grave), "say": says}


def _is_held(signed: Signed, held: Container[str]) -> bool:
    _, body = parse_statement(signed)
    return isinstance(body, AddKey) and kid_of(body.alg, unb64(body.pub)) in held


def _detail(signed: Signed) -> str:
    statement, body = parse_statement(signed)
    if not isinstance(body, AddKey):
        return SAYS.get(statement.op, "made a statement that this program does not know")
    if body.use in (Use.PERSON, Use.IG, Use.IG_AUTH, Use.POLICY):
        return f"published a key of {body.person or 'a person'} ({body.use})"
    return f"published a key for the agent ({body.use})"
