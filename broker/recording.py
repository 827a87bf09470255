"""The leaves of a turn are made while it is decided: one or two where they arise, more by the calculator, in parts.

A turn waits for its last leaf before it can be written, so the calculator begins with the first of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from broker.calculating import Calculator
from broker.calculator import SEAL
from broker.drafts import packed, read
from broker.memory import wipe
from broker.turn import Entry

FEW = 2
"""Leaves that are not worth the way to another process and back."""
PART = 12
"""Leaves that are: when so many were drafted they go, and the turn decides on."""


class Sealing:
    """The leaves of one turn: tell it what is drafted as that grows, ask for the `rest`, wait until they are `done`."""

    def __init__(self, calculator: Calculator) -> None:
        self._calculator = calculator
        self._begun = 0
        self._parts: list[tuple[Sequence[Entry], asyncio.Future[bytes | None] | None]] = []

    def drafted(self, entries: Sequence[Entry]) -> None:
        """Of all these entries, have those made that came since, if they are enough for a part."""
        if len(entries) >= self._begun + PART:
            self.rest(entries)

    def rest(self, entries: Sequence[Entry]) -> None:
        """Of all these entries, have those made that came since."""
        part, self._begun = entries[self._begun :], len(entries)
        few = len(part) <= FEW and not self._parts
        if part:
            self._parts.append((part, None if few or not self._calculator.ready else self._away(part)))

    async def done(self) -> None:
        """Give each entry its leaf and its records."""
        for part, away in self._parts:
            drafts = [entry.draft for entry in part]
            answer = None if away is None else await away
            made = [draft.made() for draft in drafts] if answer is None else read(answer, len(drafts))
            for entry, one in zip(part, made, strict=True):
                entry.keep(one)

    def _away(self, part: Sequence[Entry]) -> asyncio.Future[bytes | None]:
        batch = packed([entry.draft for entry in part])
        away = self._calculator.ask(SEAL, batch)
        wipe(batch)  # whoever was asked has a copy; the drafts stay, for when there is no answer
        return away
