"""The policies that the relay holds: recorded with their statement, read at start (PROTOCOL.md Q3-Q8).

Rules of this house:
- a statement and its text are recorded in one turn or not at all;
- a text that the store lost or spoiled is not replaced by an older one: the relay goes on without a policy, refuses
  everything but a RED, and says so until the same policy is handed in again.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from broker import logs
from broker.tables import policies
from broker.turn import Turn
from schemas.directory import Directory
from schemas.directory_statement import Statement
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.policing import LATE, PolicyBody, Timeline
from schemas.shelf import Shelf


def check_dates(statement: Statement, body: Frozen, view: Directory, now: int) -> None:
    """Hold a new statement against the relay's clock; those of an agency that is being enrolled may be older (K8).

    Raises:
        Refusal: CLOCK, POLICY_PAST.
    """
    known = view.agencies.get(statement.agency)
    here = statement.agency == view.oversight or (known is not None and known.member)
    if statement.ts > now + LATE or (here and statement.ts < now - LATE):
        raise Refusal("CLOCK")
    if isinstance(body, PolicyBody) and body.effective < now - LATE:
        raise Refusal("POLICY_PAST")


def shelved(body: Frozen, text: bytes | None, shelf: Shelf) -> Shelf:
    """The shelf with the policy that came with this statement; the same shelf for any other statement.

    Raises:
        Refusal: POLICY_TEXT, also for a policy without its text and a text without a policy.
    """
    if isinstance(body, PolicyBody) and text is not None:
        return shelf.add(body, text)
    if isinstance(body, PolicyBody):
        raise Refusal("POLICY_TEXT", "A policy is handed in together with its text.")
    if text is not None:
        raise Refusal("POLICY_TEXT")
    return shelf


def put_on_shelf(body: Frozen, text: bytes | None, turn: Turn, shelf: Shelf) -> None:
    """Keep the text, unless it is there already: a store that lost one takes it again with the same statement."""
    if isinstance(body, PolicyBody) and text is not None and body not in turn.shelf:
        turn.rows.policies.append({"digest": body.digest, "text": text})
        turn.shelf = shelf


async def open_shelf(connection: AsyncConnection, timeline: Timeline) -> Shelf:
    """Every stored policy that is what the directory says it is; the others are told to the operator, and left out."""
    rows = await connection.execute(select(policies))
    stored = {row.digest: row.text for row in rows if isinstance(row.text, bytes)}
    shelf, missing = Shelf(), 0
    for entry in timeline.entries:
        try:
            shelf = shelf.add(entry, stored.get(entry.digest, b""))
        except Refusal:
            missing += 1
    if missing:
        logs.get().error("policy-texts-missing", code="POLICY_TEXT", count=missing)
    return shelf
