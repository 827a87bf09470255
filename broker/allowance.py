"""How many directory statements one key may have recorded: everybody replays them for ever (PROTOCOL.md K8).

Rules of this house:
- what roots or two people signed is never counted: it is how an agency outruns a thief who has used up everything;
- the operational key and the renew keys count apart, and roots begin anew: whoever stole one of them cannot shut the
  others out;
- only what was recorded is counted, so nobody uses up another's with signatures that do not hold.
"""

from __future__ import annotations

from broker.rates import Buckets
from schemas.directory import Directory
from schemas.directory_statement import Statement

FREE = frozenset({"inception", "rotate-root", "emergency-revoke"})


class Allowance:
    """What each agency's keys may still state."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def check(self, view: Directory, statement: Statement) -> str | None:
        """What to count this statement under when it is recorded; `view` is the one before it.

        Raises:
            Limited: the key has stated too much of late.
        """
        if (name := _name(view, statement)) is not None:
            self._buckets.check(name)
        return name

    def count(self, name: str | None) -> None:
        """The statement that `check` gave this for is to be recorded."""
        if name is not None:
            self._buckets.take(name)


def _name(view: Directory, statement: Statement) -> str | None:
    agency = view.agencies.get(statement.agency)
    if agency is None or statement.op in FREE:
        return None
    role = "renew" if statement.by in agency.keys else "op"
    return f"{agency.id} {role} {min(agency.committed, default='')}"  # committed to anew by each rotation of the roots
