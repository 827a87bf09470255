"""A connection to the relay, as a command opens it: at the charter's address, signing with a key that it was given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from agent.client import Relay
from keys_tooling.console import World
from schemas.keys import Signer
from schemas.partnership import Charter

L = TypeVar("L", bound=Relay)
T = TypeVar("T")


def connected(kind: type[L], charter: Charter, key: Signer | None, world: World) -> L:
    """A connection, to be entered. Without a key it reaches only what an agency needs that is not known yet."""
    return kind(charter.relay, charter.authority, key, world.clock, world.draw)


def asked(
    kind: type[L], charter: Charter, key: Signer | None, world: World, ask: Callable[[L], Awaitable[T]]
) -> T:
    """What `ask` learns or does at the relay. Raises as it does; Refusal RELAY_AWAY."""

    async def work() -> T:
        async with connected(kind, charter, key, world) as line:
            return await ask(line)

    return asyncio.run(work())
