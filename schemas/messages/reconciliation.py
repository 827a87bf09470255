"""What an agent tells another once a day: what it sent and got on a day that is over (PROTOCOL.md M17, N1-N4).

Agents write and read this form by themselves; no desk ever sees it. It holds ids, counts, steps and times: nothing
about anybody, so it has no category.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.categories import Holds
from schemas.envelope import DeskId, Hash32, Seconds
from schemas.messages.asked import Block, Day

PART_LINES = 320
"""Lines in one part: with the longest desk names they still fit a payload."""
PARTS = 16
NUMBERS = 512
Step = Literal["queued", "collected", "opened", "taken-on", "rejected", "withdrawn", "expired"]
Number = Annotated[int, Field(ge=0, le=2**40)]
Numbers = Annotated[tuple[Number, ...], Field(max_length=NUMBERS), Holds(None, "O")]


class Tally(Block):
    """How many, and one hash over which."""

    count: Annotated[int, Field(ge=0, le=2**31), Holds(None, "O")]
    root: Annotated[Hash32, Holds(None, "O")]


class Line(Block):
    """One message at one desk.

    `ts` is the header's; `n` the running number inside the message, 0 where it is not known; `state` the step that it
    stands on and `at` since when, by the clock of whoever signed that step.
    """

    eid: Annotated[Hash32, Holds(None, "O")]
    d: Annotated[DeskId, Holds(None, "O")]
    ts: Annotated[Seconds, Holds(None, "O")]
    n: Annotated[Number, Holds(None, "O")] = 0
    state: Annotated[Step, Holds(None, "O")]
    at: Annotated[Seconds, Holds(None, "O")]


Lines = Annotated[tuple[Line, ...], Field(max_length=PART_LINES)]


class Sent(Block):
    """What the writer sent to the reader.

    `lines` are of the day; `earlier` those of days before that were not listed as ended yet; `unsent` the running
    numbers of messages that have not left.
    """

    sent: Tally
    collected: Tally
    taken_on: Tally
    lines: Lines = ()
    earlier: Lines = ()
    unsent: Numbers = ()


class Got(Block):
    """What the writer has from the reader, `lines` in the order in which it came; `missing` are running numbers."""

    collected: Tally
    taken_on: Tally
    lines: Lines = ()
    earlier: Lines = ()
    missing: Numbers = ()


class Reconcile(Block):
    """`reconcile`, version 1: one part of what an agent says of one day (UTC) and one other agency."""

    type: Annotated[Literal["reconcile"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    day: Annotated[Day, Holds(None, "O")]
    made: Annotated[Seconds, Holds(None, "O")]
    part: Annotated[Annotated[int, Field(ge=1, le=PARTS)], Holds(None, "O")]
    parts: Annotated[Annotated[int, Field(ge=1, le=PARTS)], Holds(None, "O")]
    sent: Sent
    got: Got
