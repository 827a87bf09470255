"""What the consent rule may know of a message, and nothing else (PROTOCOL.md C8).

Whoever decides fills these in from what it can prove itself: the sender's agent before sealing, the relay at its turn,
the recipient when opening, an auditor from the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.directory import Party
from schemas.envelope import Header
from schemas.policy import Policy

Coverage = Literal["none", "covers", "outside", "withdrawn", "stale", "unknown"]
"""What is provable about the agreement that a header names: none is named, it covers this message, it does not,
it was withdrawn, its status is older than a day, or nobody holds such an agreement."""


@dataclass(frozen=True, slots=True)
class OverrideFacts:
    """What is known of the override that covers a message: who asked, who authorised, in which role, for what.

    `valid`: both signatures hold, by keys that count, within its dates. `covers`: it is for this message and everybody
    in it. `author` and `authoriser` are whatever tells two people apart, empty when nobody can show the override;
    `authoriser_role` is a role of the policy.
    """

    authoriser_role: str
    author: str
    authoriser: str
    scope: Literal["msg", "thread"]
    valid: bool
    covers: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What is known of the request that an answer names: whether it is open, and which categories it may hold."""

    open: bool
    asked: frozenset[str]


@dataclass(frozen=True, slots=True)
class OnwardFacts:
    """What its source said of a message that is passed on: its onward code, its purpose, whether leave was given."""

    source: str
    purpose: str
    granted: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the rule may know. `parties` are the recipients, in header order.

    `policy` is the one in force at `now`; None when it cannot be had. `switched` says that the agreement which the
    message names was withdrawn before it was written, so that another basis came in its place. `leads` says
    whether the sender's agency has a safeguarding lead whose key counts. `onward` are the messages that it passes on.
    """

    header: Header
    coverage: Coverage
    sender: Party
    parties: tuple[Party, ...]
    policy: Policy | None
    now: int
    override: OverrideFacts | None = None
    request: RequestFacts | None = None
    onward: tuple[OnwardFacts, ...] = ()
    switched: bool = False
    leads: bool = True
