"""Statements about agreements, on their way to the relay: in the order they were made, until each is recorded."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import Connection, Row, select, update

from agent.client import Relay
from agent.clock import Clock
from agent.endings import relay_knows
from agent.logs import log
from agent.store import Store, note
from agent.tables import posts
from schemas import api
from schemas.errors import KINDS, Refusal


class Posting:
    """Posts grants, staples and withdrawals."""

    def __init__(self, store: Store, relay: Relay, clock: Clock) -> None:
        self._store = store
        self._relay = relay
        self._clock = clock
        self._lock = asyncio.Lock()

    async def flush(self) -> None:
        """Post what waits.

        Raises:
            Refusal: RELAY_AWAY and the relay's own; what was not recorded stays.
        """
        waiting = select(posts).where(posts.c.posted == 0).order_by(posts.c.n).limit(api.BATCH_STATEMENTS)
        async with self._lock:
            while rows := await self._store.run(lambda c: c.execute(waiting).all()):
                items = tuple(
                    api.StatementIn(
                        kind=row.kind, signed=api.SignedJson(s=row.sig, t=row.text), record=row.record
                    )
                    for row in rows
                )
                answer = await self._relay.post_statements(api.StatementsRequest(statements=items))
                if len(answer.results) != len(rows):
                    raise Refusal("FORM", party="relay", retry=True)
                await self._settle(list(zip(rows, answer.results, strict=True)))

    async def _settle(self, pairs: list[tuple[Row[Any], api.StatementResult]]) -> None:
        now = int(self._clock())
        for row, result in pairs:
            code = result.code or ""
            if result.status == "refused" and code in KINDS and KINDS[code].retry:
                raise Refusal(code)
            if result.status == "refused":
                log.warning("statement-refused", kind=row.kind, code=code)

        def work(c: Connection) -> None:
            for row, result in pairs:
                c.execute(
                    update(posts)
                    .where(posts.c.n == row.n)
                    .values(posted=1, code=result.code, stopped=result.stopped)
                )
                if result.status == "refused":
                    note(c, now, f"statement-{row.kind}", result.code or "UNFORESEEN")
                elif row.kind in ("withdraw", "grant"):
                    relay_knows(c, row.gid, row.text)

        await self._store.run(work)
