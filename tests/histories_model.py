"""What ought to happen in a random history: a handful of if-statements that a person can read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from schemas.worktime import after_working_days

HOUR, DAY = 3600, 24 * 3600
TWO_WORKING_DAYS = 2 * DAY
RED_LAPSES, RED_LOUD, RED_BELL = 4 * HOUR, HOUR, HOUR // 2
MISSING_MOST = 7


@dataclass
class Agreed:
    """An agreement: its newest version, what that allows, and how fresh its staple is."""

    grant: Any
    status: Any
    to: frozenset[str]
    purposes: frozenset[str]
    categories: frozenset[str]
    fresh_until: int
    version: int = 1
    withdrawn: bool = False

    def within(self, to: frozenset[str], purpose: str, categories: frozenset[str]) -> bool:
        return to <= self.to and purpose in self.purposes and categories <= self.categories


@dataclass
class Thread:
    """An override for a thread of risk: for whom, and until when."""

    id: str
    to: frozenset[str]
    until: int
    signed: Any


@dataclass
class Message:
    """A message: where it waits, what it rests on, whether a lead's word is awaited before it goes or after."""

    sealed: Any
    to: frozenset[str]
    agreed: Agreed | None
    purpose: str
    categories: frozenset[str]
    red: bool = False
    held: bool = False
    lapses: int = 0
    rings: int = 0
    loud: int = 0
    due: int | None = None
    missing: int = 0
    waiting: set[str] = field(default_factory=set)


class Model:
    """What ought to happen. `told` is what oversight hears and has not read yet."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}
        self.told: Counter[str] = Counter()
        self.missed = False

    @staticmethod
    def answer_agreed(
        agreed: Agreed, version: int, to: frozenset[str], purpose: str, categories: frozenset[str], now: int
    ) -> str:
        """To a message that says: she agreed, and here is the agreement."""
        if agreed.withdrawn or version != agreed.version or not agreed.within(to, purpose, categories):
            return "GRANT"
        return "STATUS_STALE" if now >= agreed.fresh_until else "accepted"

    @staticmethod
    def answer_thread(thread: Thread, to: frozenset[str], purpose: str, now: int) -> str:
        """To a message against her wish that names the override of its thread."""
        if now >= thread.until:
            return "OVERRIDE_EXPIRED"
        if not to <= thread.to:
            return "OVERRIDE_RECIPIENTS"
        return "accepted" if purpose == "RISK_MGMT" else "OVERRIDE_DIFFERS"

    def withdrawn(self, agreed: Agreed) -> int:
        """She withdrew: what rests on it and waits is gone; how many deliveries that is."""
        agreed.withdrawn = True
        return sum(self._stop(message) for message in self.messages.values() if message.agreed is agreed)

    def limited(self, agreed: Agreed) -> int:
        """She agreed to less: what waits and is more than that is gone."""
        return sum(
            self._stop(message)
            for message in self.messages.values()
            if message.agreed is agreed and not agreed.within(message.to, message.purpose, message.categories)
        )

    def held(self, message: Message, now: int) -> None:
        """It waits: a RED by the clock, another by working days."""
        message.held = True
        message.lapses = now + RED_LAPSES if message.red else after_working_days(now, TWO_WORKING_DAYS)
        message.rings, message.loud = now + RED_BELL, now + RED_LOUD

    def went(self, message: Message, now: int) -> None:
        """An emergency went without its lead."""
        message.due = now + DAY
        self.told["break-glass"] += 1
        self.told["ring"] += self.missed

    def looked(self, now: int) -> None:
        """The relay looked at what time brings."""
        for message in self.messages.values():
            if message.held:
                self._look_at_held(message, now)
            if message.due is not None and message.due <= now and message.missing < MISSING_MOST:
                message.due, message.missing, self.missed = now + DAY, message.missing + 1, True
                self.told["lead-missing"] += 1

    def mailbox(self, name: str) -> set[str]:
        return {eid for eid, message in self.messages.items() if name in message.waiting}

    def _look_at_held(self, message: Message, now: int) -> None:
        if now >= message.lapses:
            message.held = False
            self.told["lapsed"] += message.red
        elif message.red and now >= message.rings:
            coming = now + RED_BELL
            message.rings = coming if now >= message.loud else min(coming, message.loud)
            self.told["hold-escalated"] += now >= message.loud

    @staticmethod
    def _stop(message: Message) -> int:
        stopped, message.waiting = len(message.waiting), set()
        return stopped
