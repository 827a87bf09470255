"""When an agency's operational key and its roots are due to be followed by the next ones (PROTOCOL.md K26). Pure.

Neither ends by itself: an agency whose administrator is away must not be locked out. So somebody has to be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.keys import Use
from schemas.people import DAY, SOON, URGENT
from schemas.published import Agency

Speaking = Literal[Use.OP, Use.ROOT]
LASTS: dict[Speaking, int] = {Use.OP: 365 * DAY, Use.ROOT: 730 * DAY}
"""After how many seconds the next one is due."""


@dataclass(frozen=True, slots=True)
class Succession:
    """A key in force since `since`, whose successor is due at `due`, in Unix seconds.

    `urgent` when somebody must see to it now: within a fortnight of that day, or after it.
    """

    use: Speaking
    since: int
    due: int
    urgent: bool


def successions(agency: Agency, now: int) -> tuple[Succession, ...]:
    """What is due within sixty days or was due already: of the operational key first, then of the roots.

    Roots that named no next ones can never be followed, so nobody is asked to.
    """
    found = [_of(Use.OP, agency.op_since, now)]
    if agency.committed:
        found.append(_of(Use.ROOT, agency.roots_since, now))
    return tuple(one for one in found if one.due - now <= SOON)


def _of(use: Speaking, since: int, now: int) -> Succession:
    due = since + LASTS[use]
    return Succession(use, since, due, due - now <= URGENT)
