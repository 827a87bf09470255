"""Forgetting the hashes of `seen` that are over: a slice of all keys each minute, and round again.

An index by date would be as large as the table, because it repeats the key, and every hash that a message leaves would
be written to both: a tenth of all that the store writes. The keys are hashes already, spread evenly: those with one
first byte are a slice, which the primary key finds.

Rules of this house:
- the minute of the clock says whose turn it is, so a relay that is started anew every few minutes forgets everything
  too, and nothing is kept about how far it came;
- a turn must stay short: one slice of five million hashes takes 3 ms, and where many are due, after a long sleep, no
  more than TOGETHER share a turn;
- what is over stays up to ROUND longer, nonces too: 500 agencies that wait for messages ask 20 times a second, which
  makes some 150,000 rows, 10 MB, where five minutes would leave 6,000;
- so nothing may read more from a row than "this came before", and nothing may wait for one to go.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, delete

from broker.statements import Statement
from broker.sweeping import Unasked
from broker.tables import seen
from broker.turn import Turn

SLICES = 256
TOGETHER = 8
MINUTE = 60
ROUND = SLICES * MINUTE
"""Seconds until the relay has gone through all hashes."""
DELETE_OVER = Statement(
    lambda: delete(seen).where(
        seen.c.key.between(bindparam("least"), bindparam("greatest")), seen.c.until < bindparam("now")
    )
)


@dataclass
class Forgetting(Unasked):
    """Forget the hashes that are over in the slices of these minutes."""

    minutes: range

    def decide(self, turn: Turn) -> None:
        for minute in self.minutes:
            first = bytes([minute % SLICES])
            DELETE_OVER.run(turn.db, least=first, greatest=first + b"\xff" * 31, now=turn.now)


def minute_of(now: float) -> int:
    """The minute of a time in Unix seconds."""
    return int(now) // MINUTE


def due(done: int, now: float) -> list[Forgetting]:
    """What the minutes after `done` until now ask for: nothing when the clock was set back, one round at most."""
    last = minute_of(now)
    minutes = range(max(done + 1, last + 1 - SLICES), last + 1)
    return [Forgetting(minutes[at : at + TOGETHER]) for at in range(0, len(minutes), TOGETHER)]
