"""Holding the stored logs against the anchor at start, and the one way on when they are older (PROTOCOL.md L23, L24).

Rules of this house:
- an older database is never gone on with silently: others hold heads that it would contradict;
- what an administrator accepts as lost is said in numbers, and the log's next entries tell every agency's officers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from broker.anchor import Kept, Loss
from broker.ledger import Ledger, rebuilt
from broker.sweeping import Unasked
from broker.tables import statements
from broker.tree import with_nodes
from broker.turn import Turn
from broker.view import View
from schemas import loss as losses
from schemas.audit import Event
from schemas.canonical import Json
from schemas.checkpoint import Checkpoint, open_checkpoint
from schemas.directory_statement import statement_leaf
from schemas.errors import Refusal
from schemas.merkle import Frontier, leaf_hash
from schemas.partnership import Partnership
from schemas.signing import Signed

UNKNOWN = "unknown"
TOGETHER = 3
"""Agencies in one record of a loss; with oversight they are four, as in any other record."""
NEXT = (
    " Look for a newer copy of the database first. When there is none, give the log back its entries from an officer's "
    "mirror: fenpost-broker log refill. What nobody has any more is gone: fenpost-broker log accept-loss --lost {}"
)


@dataclass(frozen=True, slots=True)
class Heads:
    """The heads of both logs."""

    log: Checkpoint
    keys: Checkpoint

    @classmethod
    def of(cls, log: str, keys: str, partnership: Partnership) -> Heads:
        """Raises Refusal ANCHOR for notes that this relay did not sign."""
        try:
            return cls(
                open_checkpoint(log, partnership.log_key), open_checkpoint(keys, partnership.keys_log_key)
            )
        except Refusal as error:
            raise damaged() from error

    def missing(self, ledger: Ledger, view: View) -> int:
        """How many entries and directory statements the store has not."""
        return max(self.log.size - ledger.size, 0) + max(self.keys.size - view.directory.size, 0)


def damaged() -> Refusal:
    return Refusal("ANCHOR", f"The anchor is damaged, so the relay does not start.{NEXT.format(UNKNOWN)}")


async def held(
    connection: AsyncConnection, kept: Kept | None, ledger: Ledger, view: View, partnership: Partnership
) -> tuple[Loss, ...]:
    """The losses still to be recorded, once the stored logs are those of the anchor, or continue them.

    Raises:
        Refusal: ANCHOR when the database is older, or the anchor is missing or not this log's; FORK when both cannot
            be true.
    """
    if kept is None:
        if ledger.size:
            say = f"There is no anchor beside a log of {ledger.size} entries, so the relay does not start."
            raise Refusal("ANCHOR", say + NEXT.format(UNKNOWN))
        return ()  # nothing was ever signed but the empty log
    heads = Heads.of(kept.log, kept.keys, partnership)
    if lost := heads.missing(ledger, view):
        say = (
            f"The database is older than its anchor, so the relay does not start: {heads.log.size} entries and "
            f"{heads.keys.size} directory statements were signed, and it has {ledger.size} and {view.directory.size}."
        )
        raise Refusal("ANCHOR", say + NEXT.format(lost))
    log = await with_nodes(connection, lambda read: rebuilt(heads.log.size, read))
    keys = await _directory(connection, heads.keys.size)
    if (log.root(), keys.root()) != (heads.log.root, heads.keys.root):
        raise Refusal(
            "FORK",
            "The stored log is not the one that the anchor says was signed, so the relay does not start. Keep both as "
            "they are: together they are the proof. Tell every IG officer.",
        )
    return kept.losses


async def _directory(connection: AsyncConnection, size: int) -> Frontier:
    rows = await connection.execute(
        select(statements.c.text, statements.c.sig).where(statements.c.n < size).order_by(statements.c.n)
    )
    frontier = Frontier()
    for row in rows:
        frontier = frontier.append(leaf_hash(statement_leaf(Signed(row.text, row.sig))))
    return frontier


def accepted(kept: Kept | None, heads: Heads | None, ledger: Ledger, view: View, said: str, now: int) -> Kept:
    """The anchor once an administrator has accepted what is missing; `said` must name how much that is.

    The relay signs it with the directory log's key: the log's own signs heads, and nothing else.

    Args:
        heads: those of the anchor; None when it is missing or damaged.

    Raises:
        Refusal: CONFLICT when `said` is another number, or when nothing is missing.
    """
    lost = None if heads is None else heads.missing(ledger, view)
    if lost == 0 or (heads is None and ledger.size == 0):
        raise Refusal("CONFLICT", "The database is not older than its anchor. Nothing was changed.")
    true = UNKNOWN if lost is None else str(lost)
    if said != true:
        raise Refusal(
            "CONFLICT",
            f"What is missing: {true}. Say exactly that with --lost, if you mean to go on without.",
        )
    was, before = ("", ()) if kept is None or heads is None else (kept.log, kept.losses)
    signed = losses.sign_loss(
        losses.Loss(lost=lost, now=ledger.note, ts=now, v=1, was=was), view.key
    ).to_json()
    return Kept(ledger.note, view.note, (*before, Loss(was, ledger.note, lost, **signed)))


@dataclass
class Restored(Unasked):
    """Losses that were accepted while the relay stood still: told to the officers of every agency."""

    losses: Sequence[Loss]
    logs = True
    order = 0

    def decide(self, turn: Turn) -> None:
        agencies = sorted(turn.view.agencies)
        for loss in self.losses:
            facts: dict[str, Json] = {"lost": loss.lost, "now": loss.now, "was": loss.was}
            facts["statement"] = {"s": loss.s, "t": loss.t}
            for at in range(0, len(agencies), TOGETHER):
                turn.log(Event.RESTORED, turn.draw(32), set(agencies[at : at + TOGETHER]), facts)
