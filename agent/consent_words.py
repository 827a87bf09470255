"""How an agreement stands, as a worker should read it (PROTOCOL.md J4, J12). Plain and kind; never about fault."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from schemas.agreement import Standing, State

SENTENCES: Mapping[State, str] = {
    "NOT_SOUGHT": "Not asked yet. That is a good answer too; ask when it is safe and the person is alone.",
    "GIVEN": "The person agreed.",
    "LIMITED": "The person agreed to part of it. The limits are theirs; keep to them.",
    "REFUSED": "The person said no. Their wish stands.",
    "WITHDRAWN": "The person took it back. What had not been collected was stopped.",
    "EXPIRED": "It ran out. Ask afresh when it is safe.",
    "CANNOT_GIVE": "The person cannot decide this now. Ask them as soon as they can.",
}
TIMES = {1: "once", 2: "twice"}
ENDS_SOON = "It ends soon. Ask the person, alone, whether it shall go on."
LOOK_AGAIN = "The day to look again has come: can the person decide now?"
STOPPED = (
    "The person told another agency to stop. Nothing goes there until your safeguarding lead has settled it."
)
ENDED = "The agreement was withdrawn."
NARROWED = "The person agrees to less than before, and no longer to this."
UNANSWERED = "Not answered yet"


def day(ts: int) -> str:
    """A day as people write it."""
    found = datetime.datetime.fromtimestamp(ts, datetime.UTC)
    return f"{found.day} {found:%B %Y}"


def label(standing: Standing, overrides: int) -> str:
    """The state in a word or two; an override never rewrites it (J4)."""
    if not overrides:
        return standing.state
    return f"{standing.state} (overridden {TIMES.get(overrides, f'{overrides} times')})"


def says(standing: Standing) -> str:
    """The state as a sentence, with the day that goes with it."""
    words = SENTENCES[standing.state]
    if standing.until is not None:
        return f"{words} Until {day(standing.until)}."
    if standing.ask_again_after is not None:
        return f"{words} Nobody asks again before {day(standing.ask_again_after)}, unless they raise it."
    if standing.review_on is not None:
        return f"{words} Look again by {day(standing.review_on)}."
    return words


def did(word: str, why: str | None) -> str:
    """An answer to a recall."""
    if word == "deleted":
        return "deleted"
    return "nothing was held" if word == "nothing-held" else f"kept: {(why or '').replace('-', ' ')}"
