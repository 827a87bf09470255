"""Where a person's agreement stands, and what may change it: one pure table (PROTOCOL.md J1-J4).

This is the agreement as the agency keeps it that holds the relationship. What leaves that agency are handles
(schemas.grants), made from it for each set of recipients and purpose.

Rules of this house:
- a step is taken on what somebody said or decided, with its guards; nothing is guessed and silence is never agreement;
- stopping needs no guard: it is as easy as it can be;
- the person's wish is never rewritten: an override is counted beside it, a later answer is a new version after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.hashing import labelled

State = Literal["NOT_SOUGHT", "GIVEN", "LIMITED", "REFUSED", "WITHDRAWN", "EXPIRED", "CANNOT_GIVE"]
Act = Literal["give", "limit", "refuse", "withdraw", "expire", "cannot-give", "regain", "renew"]
STATES: tuple[State, ...] = get_args(State)
ACTS: tuple[Act, ...] = get_args(Act)

DAY = 24 * 3600
LONGEST = 366 * DAY
"""An agreement is asked afresh within twelve months."""
USUAL = 183 * DAY
"""How long it lasts when nobody says until when: six months."""
PAUSE = 28 * DAY
"""How long nobody asks again after a no, when no day was noted."""
REVIEW = 90 * DAY
"""Within how long somebody looks again whether a person can decide for themselves."""
AHEAD = 300
"""How far another machine's clock may be before ours, in seconds."""

STANDING: frozenset[State] = frozenset({"GIVEN", "LIMITED"})
ASKABLE: frozenset[State] = frozenset({"NOT_SOUGHT", "EXPIRED", "REFUSED", "WITHDRAWN"})
STRICTNESS: tuple[State, ...] = (
    "WITHDRAWN", "REFUSED", "CANNOT_GIVE", "EXPIRED", "NOT_SOUGHT", "LIMITED", "GIVEN",
)  # fmt: skip
"""Strictest first, for when two agencies heard different things (J4)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an agreement stands since `since`, as version `ver`; the last event's mark tells a replay from a new one.

    `until` goes with GIVEN and LIMITED, `ask_again_after` with REFUSED, `review_on` with CANNOT_GIVE.
    """

    state: State = "NOT_SOUGHT"
    ver: int = 0
    since: int = 0
    until: int | None = None
    ask_again_after: int | None = None
    review_on: int | None = None
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was said or decided at `at`, to become version `ver`.

    Args:
        mark: names this very event, so that it cannot count twice.
        alone: the person was asked away from whoever is causing harm.
        informed: the person was told who will see it, why, and how to stop it.
        own_accord: the person raised it, so nobody pressed.
        limits: how many limits the person set.
        until: the end of the agreement; six months when left out.
        ask_again_after: before when nobody asks again after a no; four weeks when left out.
        best_interests: a best-interests note is kept, and a safeguarding lead made the assessment.
        review_on: when somebody looks again whether the person can decide.
    """

    act: Act
    ver: int
    at: int
    mark: str
    alone: bool = False
    informed: bool = False
    own_accord: bool = False
    limits: int = 0
    until: int | None = None
    ask_again_after: int | None = None
    best_interests: bool = False
    review_on: int | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """From which states an act leads, and where to; None stays where it is."""

    sources: frozenset[State]
    target: State | None


# Whoever agreed to part may say more, or less, at any time: each with every guard of a first answer. A second no keeps
# its own day before which nobody asks again.
WAYS: Mapping[Act, Way] = {
    "give": Way(ASKABLE | {"LIMITED"}, "GIVEN"),
    "limit": Way(ASKABLE | STANDING, "LIMITED"),
    "refuse": Way(frozenset({"NOT_SOUGHT", "EXPIRED", "REFUSED"}), "REFUSED"),
    "withdraw": Way(STANDING, "WITHDRAWN"),
    "expire": Way(STANDING, "EXPIRED"),
    "cannot-give": Way(frozenset(STATES), "CANNOT_GIVE"),
    "regain": Way(frozenset({"CANNOT_GIVE"}), "NOT_SOUGHT"),
    "renew": Way(STANDING, None),
}
ASKING: frozenset[Act] = frozenset({"give", "limit", "renew"})


def evidence_hash(evidence: str, salt: bytes) -> str:
    """What a grant says of how the person was asked: a salted hash; the words stay at the agency (J6)."""
    return b64(labelled("fenpost/v1/evidence", evidence.encode(), key=salt))


def step(now: Standing, event: Event, clock: int) -> Standing:
    """The standing after an event (J1), as seen by a clock.

    Raises:
        Refusal: REPLAY (this very event is on record), OLDER (a newer version is), OUT_OF_ORDER (one in between is
            missing), FUTURE, NO_STEP (it does not follow from this state), NOT_ALONE, NOT_INFORMED, ASKED_LATELY,
            LIMITS, PERIOD, BEST_INTERESTS.
    """
    _in_order(now, event, clock)
    way = WAYS[event.act]
    if now.state not in way.sources:
        raise Refusal("NO_STEP")
    if event.act in ASKING:
        _asked_freely(now, event)
    until, again, review = None, None, None
    if event.act in ASKING:
        until = _end(event)
    elif event.act == "refuse":
        again = _pause(now, event)
    elif event.act == "cannot-give":
        review = _review(event)
    elif event.act == "expire" and (now.until is None or event.at < now.until):
        raise Refusal("NO_STEP", "The agreement has not ended yet.")
    return Standing(way.target or now.state, event.ver, event.at, until, again, review, event.mark)


def expired(now: Standing, clock: int) -> bool:
    """Whether the end of an agreement has passed, so that it behaves as if nobody had asked."""
    return now.state in STANDING and now.until is not None and clock >= now.until


def prompts(now: Standing, clock: int, ahead: int) -> bool:
    """Whether the agreement ends within `ahead` seconds, so that it is time to ask whether it shall go on."""
    return now.state in STANDING and now.until is not None and now.until - ahead <= clock < now.until


def stricter(states: Iterable[State]) -> State:
    """The state that counts where agencies differ about the same recipient (J4), until a lead has settled it."""
    return min(states, key=STRICTNESS.index)


def _in_order(now: Standing, event: Event, clock: int) -> None:
    if event.mark == now.mark:
        raise Refusal("REPLAY")
    if event.ver <= now.ver:
        raise Refusal("OLDER")
    if event.ver > now.ver + 1:
        raise Refusal("OUT_OF_ORDER")
    if event.at > clock + AHEAD:
        raise Refusal("FUTURE")
    if event.at < now.since:
        raise Refusal("OLDER")


def _asked_freely(now: Standing, event: Event) -> None:
    if not event.alone:
        raise Refusal("NOT_ALONE")
    if not event.informed:
        raise Refusal("NOT_INFORMED")
    if event.act == "limit" and event.limits < 1:
        raise Refusal("LIMITS")
    if event.act == "give" and event.limits:
        raise Refusal("LIMITS", "Agreement with limits is a limited agreement. Record it with: consent limit")
    _not_pressed(now, event)


def _not_pressed(now: Standing, event: Event) -> None:
    if event.own_accord or now.ask_again_after is None:
        return
    if event.at < now.ask_again_after:
        raise Refusal("ASKED_LATELY")


def _end(event: Event) -> int:
    until = event.at + USUAL if event.until is None else event.until
    if not event.at < until <= event.at + LONGEST:
        raise Refusal("PERIOD")
    return until


def _pause(now: Standing, event: Event) -> int:
    _not_pressed(now, event)
    again = event.at + PAUSE if event.ask_again_after is None else event.ask_again_after
    if not event.at < again:
        raise Refusal("PERIOD", "Nobody asks again before a day that lies ahead. Choose a later one.")
    return again


def _review(event: Event) -> int:
    if not event.best_interests or event.review_on is None:
        raise Refusal("BEST_INTERESTS")
    if not event.at < event.review_on <= event.at + REVIEW:
        raise Refusal("PERIOD", "Look again within 90 days whether the person can decide. Choose that day.")
    return event.review_on
