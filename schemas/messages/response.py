"""The answer to a referral (PROTOCOL.md M11; trauma-informed charter: listen, follow through, no "not my job").

Rules of this house:
- every wish gets a reply; where nobody could ask, wish 1 stands for how the person will be asked;
- a service that cannot take it on cites the criterion that it has published, and says who takes the next step;
- nothing here judges the person, and no code says that the person did anything wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from schemas.categories import NOT_ASKED, Holds
from schemas.errors import Refusal
from schemas.messages.asked import Asked, Block, Day
from schemas.messages.handling import FreeTextHolds, ReplyTo
from schemas.messages.referral import Referral
from schemas.messages.text import Short, Text

Outcome = Literal["accepted", "accepted_waiting", "need_more", "declined_onward", "redirect_warm"]
WishAnswer = Literal["we_will", "we_will_in_part", "we_cannot", "we_will_ask"]
WhoNext = Literal["we_will", "you_will", "we_will_together"]

# What each outcome makes necessary. A bare decline is the one answer that the charter rules out.
_OWED: Mapping[str, tuple[str, ...]] = {
    "accepted": ("first_contact_by",),
    "accepted_waiting": ("first_contact_by", "wait_estimate", "holding_support"),
    "need_more": ("questions",),
    "declined_onward": ("criterion_cited", "onward"),
    "redirect_warm": ("onward",),
}


class WishReply(Block):
    """What will happen about one wish: `wish` counts from 1, in the order of the referral's `wants`."""

    wish: Annotated[Annotated[int, Field(ge=1, le=10)], Holds("response", "O")]
    answer: Annotated[WishAnswer, Holds("response", "W")]
    what: Annotated[Text, Holds("response", "W")]
    by: Annotated[Asked[Day], Holds("response", "O")] = NOT_ASKED


class Onward(Block):
    """Where the person can turn instead, and who makes the step with them."""

    service_ref: Annotated[Short, Holds("response", "O")]
    who_will_do_it: Annotated[WhoNext, Holds("response", "O")]
    by: Annotated[Asked[Day], Holds("response", "O")] = NOT_ASKED


def _each_wish_once(replies: tuple[WishReply, ...]) -> tuple[WishReply, ...]:
    if len({reply.wish for reply in replies}) != len(replies):
        raise PydanticCustomError("twice", "answers a wish twice")
    return replies


WishReplies = Annotated[
    tuple[WishReply, ...], Field(min_length=1, max_length=10), AfterValidator(_each_wish_once)
]
Questions = Annotated[tuple[Text, ...], Field(min_length=1, max_length=5)]


class Response(Block):
    """`referral.response`, version 1.

    Required: outcome, wish_replies, reply_to.desk; then by outcome: first_contact_by (accepted, accepted_waiting),
    wait_estimate and holding_support (accepted_waiting), questions (need_more), criterion_cited and onward
    (declined_onward), onward (redirect_warm).
    """

    type: Annotated[Literal["referral.response"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    outcome: Annotated[Outcome, Holds("response", "O")]
    wish_replies: WishReplies
    criterion_cited: Annotated[Asked[Text], Holds("response", "O")] = NOT_ASKED
    onward: Asked[Onward] = NOT_ASKED
    wait_estimate: Annotated[Asked[Short], Holds("response", "O")] = NOT_ASKED
    holding_support: Annotated[Asked[Text], Holds("response", "P")] = NOT_ASKED
    questions: Annotated[Asked[Questions], Holds("response", "P")] = NOT_ASKED
    first_contact_by: Annotated[Asked[Day], Holds("response", "O")] = NOT_ASKED
    reply_to: ReplyTo
    also_holds: FreeTextHolds = NOT_ASKED

    @classmethod
    def owed(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """What the outcome makes necessary."""
        yield from (name for name in _OWED.get(str(given.get("outcome")), ()) if name not in given)


def check_replies(referral: Referral, response: Response) -> None:
    """Hold an answer against the referral it answers: each wish has its reply, and no reply lacks a wish.

    Raises:
        Refusal: WISH_UNANSWERED, naming the wishes by number.
    """
    wants = referral.wishes.wants
    wishes = set(range(1, len(wants) + 1)) if isinstance(wants, tuple) else {1}
    differ = wishes ^ {reply.wish for reply in response.wish_replies}
    if differ:
        raise Refusal(
            "WISH_UNANSWERED",
            "Each thing that the person wants needs a reply of its own: say what will happen about it.",
            party="sender",
            detail=tuple(f"wish {number}" for number in sorted(differ)),
        )
