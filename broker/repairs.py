"""What an administrator may do to the log of a relay that stands still (PROTOCOL.md L24)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from broker import anchored
from broker.anchor import Anchor, Kept
from broker.anchored import Heads
from broker.ledger import Ledger
from broker.refilling import refill, refill_directory
from broker.settings import Settings
from broker.store import Store
from broker.stored import reopened
from broker.view import View
from schemas.errors import Refusal
from schemas.partnership import Partnership


@dataclass(frozen=True, slots=True)
class Found:
    """The stored logs, hashed anew, and the anchor beside them; `heads` is None when it is missing or damaged."""

    connection: AsyncConnection
    partnership: Partnership
    ledger: Ledger
    view: View
    anchor: Anchor
    kept: Kept | None
    heads: Heads | None


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Found]:
    """Open the store of a relay that does not run; what was done is committed when the block ends well.

    Raises:
        Refusal: STORE_BUSY, SETTINGS, KEYFILE, FORK, as build.
    """
    partnership, keys, anchor = settings.read_partnership(), settings.read_keys(), Anchor(settings.anchor)
    store = Store(settings.database)
    with anchor.alone():
        try:
            await store.open()
            async with store.turn() as connection:
                view, ledger = await reopened(connection, partnership.charter, keys, settings.read_founding())
                kept, heads = _read(anchor, partnership)
                yield Found(connection, partnership, ledger, view, anchor, kept, heads)
        finally:
            await store.close()


def _read(anchor: Anchor, partnership: Partnership) -> tuple[Kept | None, Heads | None]:
    try:
        kept = anchor.read()
        return kept, None if kept is None else Heads.of(kept.log, kept.keys, partnership)
    except Refusal as refusal:
        if refusal.code != "ANCHOR":
            raise
        return None, None


async def check(settings: Settings) -> str:
    """Hash every stored leaf anew and hold the log against the anchor. Raises Refusal FORK, ANCHOR, as `opened`."""
    async with opened(settings) as found:
        kept = found.anchor.read()
        await anchored.held(found.connection, kept, found.ledger, found.view, found.partnership)
        return f"The stored log is whole: {found.ledger.size} entries, and the anchor fits it."


async def refilled(settings: Settings, mirror: Path) -> str:
    """Append the missing entries from an officer's mirror. Raises Refusal as `refill` and `opened`."""
    async with opened(settings) as found:
        if found.heads is None:
            raise Refusal("ANCHOR", "Without an anchor nobody knows what is missing. Find the anchor first.")
        most, keys, known = found.heads.log.size, found.heads.keys.size, found.view.directory
        said = await refill_directory(found.connection, known, mirror, found.partnership, keys)
        count = 0
        if found.ledger.size < most or not said:
            count = await refill(found.connection, found.ledger, mirror, found.partnership, most)
        left, unsaid = most - found.ledger.size - count, max(keys - known.size, 0) - said
    told = f"{count} entries are back in the log; {left} are still missing."
    if said or unsaid:
        told += f" {said} statements are back in the directory; {unsaid} are still missing."
    return told


async def loss_accepted(settings: Settings, said: str, now: int) -> str:
    """Write an anchor that lets the relay go on without what is missing, and beside it what the relay signs about it.

    Raises:
        Refusal: as `accepted` and `opened`.
    """
    async with opened(settings) as found:
        kept = anchored.accepted(found.kept, found.heads, found.ledger, found.view, said, now)
        statement = found.anchor.path.with_name(f"loss-{now}.json")
        loss = kept.losses[-1]
        statement.write_text(json.dumps({"s": loss.s, "t": loss.t}, indent=1) + "\n", encoding="ascii")
        found.anchor.write(kept)
    return (
        "Accepted. The relay may be started: its next entries tell the officers of every agency what is missing. "
        f"Agents that saw more of the log stop sending, as they must. Send {statement} to oversight: with their "
        "signature on it each agency's administrator can go on (fenpost-agent alarm lift)."
    )
