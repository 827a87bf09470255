"""What the relay tells of a message, held against our own copy of it (PROTOCOL.md D7). Pure.

Rules of this house:
- an ending counts for a message that names that agreement, and a narrowing only for one that it leaves out;
- what no signature proves (expired, lapsed) counts when our own copy and our own clock bear it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from schemas.envelope import parse_header
from schemas.grants import AHEAD, Grant, ending, within
from schemas.policy import Policy
from schemas.reading import brought
from schemas.signing import Signed
from schemas.worktime import after_working_days

RED = 0
"""The rank of a RED among what we sent."""


def rests_on(row: Row[Any], signed: Signed) -> bool:
    """Whether a verified withdrawal, or a verified later version, is an end for this message of ours or of theirs."""
    said = ending(signed)
    if row.gid is None or row.gid != said.gid:
        return False
    if not isinstance(said, Grant) or row.header is None:
        return True
    return not within(parse_header(row.header.encode("ascii")), said)


def over(exp: int, now: int) -> bool:
    """Whether a message's time may be over by a clock that is up to five minutes from ours."""
    return exp <= now + AHEAD


def may_have_lapsed(row: Row[Any], policies: Sequence[Policy | None], now: int) -> bool:
    """Whether what waited for its lead may have waited long enough, by any policy that counted when it was sent (O12).

    What the relay proved to have taken cannot lapse.
    """
    if row.state != "held":
        return bool(row.state != "accepted")
    ways = [(policy or brought()).thresholds for policy in policies]
    ends = (
        row.ts + said.hold_red_s if row.rank == RED else after_working_days(row.ts, said.hold_amber_s)
        for said in ways
    )
    return over(min(ends), now)
