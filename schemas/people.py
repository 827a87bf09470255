"""What is due about people's keys: which end soon, and which nobody looked at for a quarter (PROTOCOL.md K24). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.keys import Use
from schemas.published import Agency, Key

DAY = 24 * 3600
QUARTER = 90 * DAY
"""After which an agency looks over its people's keys again."""
SOON = 60 * DAY
"""How long before a person's key ends its agency is reminded: a card, a call and a day's delay take time."""
URGENT = 14 * DAY
"""From then on somebody must see to it."""
PEOPLE = (Use.PERSON, Use.IG, Use.IG_AUTH, Use.POLICY)


@dataclass(frozen=True, slots=True)
class Reminder:
    """One thing that is due about a person's key: its end at `at`, or that it was last looked at then."""

    key: Key
    why: Literal["ends", "look"]
    at: int
    urgent: bool


def reminders(agency: Agency, now: int) -> tuple[Reminder, ...]:
    """What is due about an agency's people's keys that stand, by use and tag."""
    found = list[Reminder]()
    for key in sorted(agency.keys.values(), key=lambda k: (k.use, k.person or "", k.nbf)):
        if key.use in PEOPLE and key.stands(now):
            found += due(agency, key, now)
    return tuple(found)


def due(agency: Agency, key: Key, now: int) -> list[Reminder]:
    """What is due about one key: not its end where its holder has a later one, and no look where it names nobody."""
    found, looked = list[Reminder](), agency.certified(key.kid)
    if key.exp - now <= SOON and not _followed(agency, key):
        found.append(Reminder(key, "ends", key.exp, key.exp - now <= URGENT))
    if key.person is not None and now - looked >= QUARTER:
        found.append(Reminder(key, "look", looked, urgent=True))
    return found


def _followed(agency: Agency, key: Key) -> bool:
    return any(
        one.use == key.use and one.person == key.person and one.exp > key.exp and one.revoked is None
        for one in agency.keys.values()
    )
