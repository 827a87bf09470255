"""By when a message is acknowledged and answered, by the policy's periods (PROTOCOL.md Q11). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.lawful import Rag
from schemas.policy import Period, Policy
from schemas.reading import brought
from schemas.worktime import after_working_hours, close_after

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Unix seconds, UTC."""

    acknowledge: int
    respond: int


def deadlines(policy: Policy | None, rag: Rag, began: int) -> Deadlines:
    """The deadlines of a message of this colour that began to count at `began`.

    Without a policy the default one's periods count: a deadline is for people, and they need one.
    """
    colour = getattr((policy or brought()).periods, rag)
    return Deadlines(after(colour.acknowledge, began), after(colour.respond, began))


def after(period: Period, began: int) -> int:
    """When a period that begins at this time is over."""
    if period.unit == "H":
        return began + period.n * HOUR
    if period.unit == "WH":
        return after_working_hours(began, period.n * HOUR)
    return close_after(began, period.n)
