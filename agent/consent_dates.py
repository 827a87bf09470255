"""Answers that a clock which was wrong has dated ahead (PROTOCOL.md J3).

Rules of this house:
- what a person said last is what was recorded last: the version says so, a date does not;
- stopping is never refused for a date, whichever clock was wrong, this one's or the one of before;
- what is dated ahead is dated anew only by a clock that the relay vouches for, and nothing lasts longer for it.
"""

from __future__ import annotations

from dataclasses import asdict, replace

from sqlalchemy import Connection, update

from agent.consent_ledger import Kept, note_answer
from agent.tables import agreements
from schemas.agreement import AHEAD, LONGEST, PAUSE, REVIEW, STANDING, Act, Standing
from schemas.directory import MAX_AGE
from schemas.errors import Refusal

STOPPING: frozenset[Act] = frozenset({"withdraw", "refuse", "cannot-give"})
UNSURE = (
    "The answer on record is dated after this machine's clock, and the relay has not said that the clock is right. Set "
    "it; when fenpost-agent doctor says that the relay answers, record this again."
)


def vouched(now: int, fresh: int) -> bool:
    """Whether the relay's last word on the time, at `fresh`, bears this clock out."""
    return fresh - AHEAD <= now <= fresh + MAX_AGE


def followed(c: Connection, kept: Kept, act: Act, now: int, fresh: int) -> Kept:
    """The agreement as this act finds it, dated so that the act can follow.

    Raises:
        Refusal: CLOCK for a yes after an answer that is dated ahead, while nobody knows whose clock is wrong.
    """
    kept = dated_anew(c, kept, now, fresh)
    since = kept.standing.since
    if since <= now:
        return kept
    narrowing = act == "limit" and kept.standing.state == "GIVEN"
    if since > now + AHEAD and act not in STOPPING and not narrowing:
        raise Refusal("CLOCK", UNSURE)
    return replace(kept, standing=replace(kept.standing, since=now))


def dated_anew(c: Connection, kept: Kept, now: int, fresh: int) -> Kept:
    """Give an answer that is dated ahead of a clock which is known to be right the present second, for good."""
    if kept.standing.since <= now + AHEAD or not vouched(now, fresh):
        return kept
    standing = _dated(kept.standing, now)
    c.execute(update(agreements).where(agreements.c.id == kept.id).values(**asdict(standing)))
    note_answer(c, kept, "dated-anew", now, {"was": kept.standing.since})
    return replace(kept, standing=standing)


def _dated(was: Standing, now: int) -> Standing:
    """The same answer, given now: days that somebody chose stay, and none is further off than a fresh answer allows."""
    again, review, until = was.ask_again_after, was.review_on, was.until
    if again is not None and again - was.since == PAUSE:  # nobody chose a day
        again = now + PAUSE
    if review is not None:
        review = min(review, now + REVIEW)
    if until is not None and was.state in STANDING:
        until = min(until, now + LONGEST)
    return replace(was, since=now, until=until, ask_again_after=again, review_on=review)
