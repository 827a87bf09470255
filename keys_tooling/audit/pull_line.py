"""The relay, as a pull asks it: its pages, with patience for one that has too much to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agent.client import RelayRefusal
from keys_tooling.directory_reading import Source
from schemas import api

T = TypeVar("T")
PATIENCE = 100
LONGEST_WAIT = 60.0


class Relay(Source, Protocol):
    """What pulling asks of a relay: agent.client.Relay does it."""

    async def checkpoint(self) -> str: ...
    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]: ...
    async def head(self, log: str = api.LOG) -> api.WitnessPage: ...
    async def tile(self, path: str) -> bytes: ...
    async def policy(self, digest: str) -> bytes: ...
    async def records(self, start: int, limit: int) -> tuple[tuple[bytes, bytes], ...]: ...
    async def epochs(self, after: int) -> api.EpochsPage: ...
    async def retention(self, digest: str) -> bytes: ...


@dataclass(frozen=True, slots=True)
class PullLine:
    """A relay, and how its answers are waited for."""

    relay: Relay
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """The relay's answer, waited for as long as it says when it has too much to do."""
        for _ in range(PATIENCE):
            try:
                return await question()
            except RelayRefusal as refusal:
                if refusal.code != "LIMITED":
                    raise
                await self.sleep(min(refusal.after or 1.0, LONGEST_WAIT))
        return await question()
