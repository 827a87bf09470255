"""Handing over to a case system that reads files, and what a kill in the middle of it leaves (PROTOCOL.md G7, V8, J7).

Rules of this house:
- what names an agreement is written down before its file is: killed between the two, this agent cannot know whether
  anybody has read it, so it counts as seen, whatever is heard of its agreement afterwards;
- it is handed over once more under its name, unless by then its agreement has ended: then people hear of that.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from agent.clock import Clock
from agent.endings import ended, mark_handed
from agent.logs import log
from agent.store import Store, read_kv, write_kv
from agent.tables import inbox
from schemas.envelope import parse_header

BEGUN = "handing"
TOGETHER = 64
"""How many are noted as handed over in one transaction."""


class Handing:
    """Hands over.

    `hand_over` writes one message to where the case system looks, if `writes`; else people read it here and nothing
    can be left half done. `ask` has the relay say how an agreement stands.
    """

    def __init__(
        self,
        store: Store,
        hand_over: Callable[[Row[Any]], Awaitable[None]],
        ask: Callable[[str], Awaitable[bool]],
        clock: Clock,
        *,
        writes: bool,
    ) -> None:
        self._store = store
        self._hand_over = hand_over
        self._ask = ask
        self._clock = clock
        self._writes = writes
        self._cut_off: list[str] | None = None  # what a kill left, once it was looked for

    async def take_up(self) -> None:
        """Count as seen what was being handed over when this agent was killed: before the relay is heard again."""
        if self._cut_off is not None:
            return
        now = int(self._clock())

        def work(c: Connection) -> list[str]:
            begun = list(json.loads(read_kv(c, BEGUN) or "[]"))
            unseen = select(inbox.c.id).where(
                inbox.c.id.in_(begun), inbox.c.state == "opened", inbox.c.handed.is_(None)
            )
            if begun:
                mark_handed(c, list(c.execute(unseen).scalars()), now)
            return begun

        self._cut_off = await self._store.run(work)

    async def again(self) -> None:
        """Hand over once more what a kill left, if its agreement stands. Raises as `hand_over`."""
        await self.take_up()
        if not self._cut_off:
            return
        asked = select(inbox).where(
            inbox.c.id.in_(self._cut_off), inbox.c.state == "opened", inbox.c.message.is_not(None)
        )
        for row in await self._store.run(lambda c: c.execute(asked).all()):
            await self._ask(row.gid)
            if not await self._store.run(lambda c, r=row: ended(c, parse_header(r.header.encode()))):  # type: ignore[misc]
                await self._hand_over(row)
        await self._store.run(lambda c: write_kv(c, BEGUN, "[]"))
        self._cut_off = []

    async def give(self, rows: Sequence[Row[Any]]) -> None:
        """Hand these over, at least once, always under the same id. Raises as `hand_over`."""
        for first in range(0, len(rows), TOGETHER):
            await self._give(rows[first : first + TOGETHER])

    async def _give(self, rows: Sequence[Row[Any]]) -> None:
        begun, handed, refused = list[str](), list[str](), False
        try:
            for row in rows:
                if self._writes and row.gid is not None:
                    begun.append(row.id)
                    await self._store.run(lambda c: write_kv(c, BEGUN, json.dumps(begun)))
                await self._hand_over(row)
                handed.append(row.id)
        except Exception:
            refused = True  # then it is not there
            raise
        finally:
            now = int(self._clock())
            left = [] if refused else [place for place in begun if place not in handed]

            def work(c: Connection) -> None:
                mark_handed(c, handed, now)
                write_kv(c, BEGUN, json.dumps(left))

            if handed or begun:
                await self._store.run(work)
                log.info("handed-over", count=len(handed))
