"""The records of a turn are sealed: one or two where they arise, more by the calculator, which wants their keys for it."""

from __future__ import annotations

from collections.abc import Sequence

from broker.calculating import Calculator
from broker.calculator import SEAL
from broker.drafts import Draft, Sealed, packed, read
from broker.turn import Entry

FEW = 2
"""Records that are not worth the way to another process and back."""


class Recorder:
    """Seals what a turn decided to record."""

    def __init__(self, calculator: Calculator) -> None:
        self._calculator = calculator

    async def seal(self, entries: Sequence[Entry]) -> None:
        """Give each entry its record and its leaf."""
        for entry, sealed in zip(entries, await self._sealed([e.draft for e in entries]), strict=True):
            entry.keep(*sealed)

    async def _sealed(self, drafts: list[Draft]) -> list[Sealed]:
        if len(drafts) > FEW and self._calculator.ready:
            answer = await self._calculator.ask(SEAL, packed(drafts))
            if answer is not None:
                return read(answer)
        return [draft.sealed() for draft in drafts]
