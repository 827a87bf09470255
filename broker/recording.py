"""The records of a turn are sealed: one or two where they arise, more by the calculator, with the keys they want."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from broker.calculating import Calculator
from broker.calculator import SEAL
from broker.drafts import packed, read
from broker.memory import wipe
from broker.turn import Entry

FEW = 2
"""Records that are not worth the way to another process and back."""


@dataclass(frozen=True, slots=True)
class Sealing:
    """Records that are being sealed; `away` is the calculator's answer, where it was asked."""

    entries: Sequence[Entry]
    away: asyncio.Future[bytes | None] | None

    async def done(self) -> None:
        """Give each entry its leaf and its records."""
        answer = None if self.away is None else await self.away
        drafts = [entry.draft for entry in self.entries]
        made = [draft.made() for draft in drafts] if answer is None else read(answer, len(drafts))
        for entry, one in zip(self.entries, made, strict=True):
            entry.keep(one)


class Recorder:
    """Seals what a turn decided to record."""

    def __init__(self, calculator: Calculator) -> None:
        self._calculator = calculator

    def begin(self, entries: Sequence[Entry]) -> Sealing:
        """Have it begun at once: the turn writes meanwhile."""
        if len(entries) <= FEW or not self._calculator.ready:
            return Sealing(entries, None)
        batch = packed([entry.draft for entry in entries])
        away = self._calculator.ask(SEAL, batch)
        wipe(batch)  # whoever was asked has a copy; the drafts stay, for when there is no answer
        return Sealing(entries, away)
