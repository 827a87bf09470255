"""How timely messages were taken on: each message at each desk, against its colour's period. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from keys_tooling.audit.queries.law import due
from keys_tooling.audit.queries.question import ENDINGS, Desk
from keys_tooling.audit.report.page import Chart
from keys_tooling.audit.report.periods import Period
from schemas.audit import Event
from schemas.lawful import RAGS

IN_TIME, LATE, NEVER, WAITING = "in time", "late", "not taken on", "still in time"
STATES = (IN_TIME, LATE, NEVER, WAITING)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message at a desk of an agency. `by` is when a person had to acknowledge it; `seq` the message's entry."""

    seq: int
    agency: str
    colour: str
    state: str
    by: int


def deliveries(desk: Desk, period: Period) -> tuple[list[Delivery], int]:
    """Those accepted in the period, and how many are left out because the policy of their time is not here."""
    found: list[Delivery] = []
    unread = 0
    for row in desk.rows(Event.ACCEPT):
        if not period.holds(row.ts):
            continue
        policy = desk.policy_of(row)
        if policy is None or row.rag not in RAGS:
            unread += 1
            continue
        by = due(row.ts, getattr(policy.periods, row.rag).acknowledge)
        for place in row.to:
            steps = desk.steps.get((row.eid, place), {})
            end = next((steps[event] for event in ENDINGS if event in steps), None)
            if end is not None and end.event in (Event.TAKEN_ON, Event.REJECTED):
                state = IN_TIME if end.ts < by else LATE
            else:
                state = WAITING if end is None and desk.now < by else NEVER
            found.append(Delivery(row.seq, place.agency, row.rag, state, by))
    return found, unread


def chart(desk: Desk, found: list[Delivery]) -> Chart:
    """By receiving agency and colour, most urgent first."""
    tally = Counter((desk.name(one.agency), one.colour, one.state) for one in found)
    rows = sorted({(agency, RAGS.index(colour), colour) for agency, colour, _ in tally})
    return Chart(
        "stacked", "How timely messages were taken on, by receiving agency and colour", "Agency and colour",
        tuple(f"{agency} · {colour}" for agency, _, colour in rows), tuple(state.capitalize() for state in STATES),
        tuple(tuple(tally[agency, colour, state] for state in STATES) for agency, _, colour in rows),
    )  # fmt: skip
