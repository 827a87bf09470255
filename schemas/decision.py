"""What the consent rule answers: the outcome, why, and what the author does now (PROTOCOL.md C7)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from schemas.kinds import KINDS

Lead = Literal["", "before", "after"]
"""When the sender's safeguarding lead signs: never, before it goes, or within the policy's time after it went."""


class Outcome(IntEnum):
    """What happens to the message, mildest first."""

    DELIVER = 0
    DELIVER_ALERT = 1
    HOLD = 2
    BLOCK = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row's word. `note` is told to the sender's agency whatever the outcome is."""

    outcome: Outcome
    code: str = ""
    lead: Lead = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule's answer.

    `code` says why, empty when it simply goes; `rows` are the rows that decided, and `codes` all that they said;
    `lead` says when the safeguarding lead signs; `notes` are reminders.
    """

    outcome: Outcome
    code: str
    rows: tuple[int, ...]
    codes: tuple[str, ...] = ()
    lead: Lead = ""
    notes: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        return self.outcome <= Outcome.DELIVER_ALERT

    @property
    def next_step(self) -> str:
        """What the author does now, in plain words; empty when there is nothing to do."""
        said = [KINDS[code].say for code in (*self.codes, *self.notes)]
        if self.lead == "after" and "LEAD_AFTER" not in self.codes:
            said.append(KINDS["LEAD_AFTER"].say)
        return " ".join(said)
