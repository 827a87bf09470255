"""The ladder in honest words: what a sender may believe of a message, and what not yet (PROTOCOL.md D1-D4).

"Delivered" is said of nothing: a message is here, at the relay, collected, opened, or somebody has taken it on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ORDER: Mapping[str, int] = {
    "waiting": 0,
    "held": 1,
    "queued": 1,
    "collected": 2,
    "opened": 3,
    "recalled": 4,
    "expired": 5,
    "withdrawn": 6,
    "rejected": 7,
    "taken-on": 8,
    "refused": 9,
}
ENDED = frozenset({"taken-on", "rejected", "withdrawn", "expired", "refused", "stopped"})
REASONS: Mapping[str, str] = {
    "wrong-recipient": "not for this desk",
    "over-shared": "it held more than it said",
    "cannot-read": "it could not be read there",
    "no-authority": "nothing allows it to be shared with them",
    "gate-fault": "nothing allows it, and the relay should have stopped it; tell your IG officer",
    "not-confirmed": "nobody could tell them that the agreement still stands; ask the person, and send it afresh",
}
SENTENCES: Mapping[str, str] = {
    "waiting": "queued here",
    "held": "waits at the relay for your safeguarding lead",
    "queued": "at the relay",
    "collected": "collected",
    "opened": "opened",
    "recalled": "agreement withdrawn after they had it",
    "withdrawn": "stopped: agreement withdrawn",
    "expired": "expired: nobody took it on",
}


def rank(state: str) -> int:
    """How far a state is on the ladder."""
    return ORDER.get(state, 0)


def furthest(states: Iterable[str]) -> str:
    """The state that counts, of all that were reported for a desk."""
    return max(states, key=rank, default="waiting")


def sentence(state: str, role: str | None = None, reason: str | None = None, say: str | None = None) -> str:
    """A state as a person reads it."""
    if state == "taken-on":
        return f"taken on by {role}" if role else "taken on"
    if state == "rejected":
        return f"rejected: {REASONS.get(reason or '', 'it could not be taken')}"
    if state == "refused":
        return f"refused by the relay: {say}" if say else "refused by the relay"
    return SENTENCES.get(state, state)
