"""Statements about agreements, on their way to the relay: in the order they were made, until each is recorded.

Rules of this house:
- what the relay does not take for its date or its key is signed anew and posted again, and what it still refuses waits
  for the next try: a withdrawal, a limit or an answer is never given up.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, select, update

from agent.client import Relay
from agent.clock import Clock
from agent.endings import relay_knows
from agent.logs import log
from agent.signatures import Signatures
from agent.store import Store, note
from agent.tables import posts
from schemas import api
from schemas.errors import Refusal
from schemas.kinds import KINDS


class Posting:
    """Posts what one agency has to say: grants, staples, withdrawals, answers to recalls, decisions not to share."""

    def __init__(self, store: Store, relay: Relay, signatures: Signatures, clock: Clock) -> None:
        self._store = store
        self._relay = relay
        self._signatures = signatures
        self._clock = clock
        self._lock = asyncio.Lock()

    async def flush(self) -> bool:
        """Post what waits; whether all of it was taken or refused for good.

        What the relay refused although it had just been signed anew stays, and holds nothing else up.

        Raises:
            Refusal: RELAY_AWAY and the relay's own; what was not recorded stays.
        """
        anew, stuck = set[int](), set[int]()
        async with self._lock:
            while rows := await self._store.run(partial(_waiting, without=stuck)):
                items = tuple(
                    api.StatementIn(
                        kind=row.kind, signed=api.SignedJson(s=row.sig, t=row.text), record=row.record
                    )
                    for row in rows
                )
                answer = await self._relay.post_statements(api.StatementsRequest(statements=items))
                if len(answer.results) != len(rows):
                    raise Refusal("FORM", party="relay", retry=True)
                kept = await self._settle(list(zip(rows, answer.results, strict=True)))
                stuck |= kept & anew
                anew |= kept
        return not stuck

    async def _settle(self, pairs: list[tuple[Row[Any], api.StatementResult]]) -> set[int]:
        """Note what became of each; returns those that were signed anew instead, and are to be posted again."""
        now = int(self._clock())
        for row, result in pairs:
            code = result.code or ""
            if result.status == "refused" and code in KINDS and KINDS[code].retry:
                raise Refusal(code)
            if result.status == "refused":
                log.warning("statement-refused", kind=row.kind, code=code)

        def work(c: Connection) -> set[int]:
            kept = set[int]()
            for row, result in pairs:
                if result.status == "refused":
                    if result.code != row.code:
                        note(c, now, f"statement-{row.kind}", result.code or "UNFORESEEN")
                    if self._signatures.anew(c, row, result.code or "", now):
                        kept.add(row.n)
                elif row.kind in ("withdraw", "grant"):
                    relay_knows(c, row.gid, row.text)
                words = {"posted": int(row.n not in kept), "code": result.code, "stopped": result.stopped}
                c.execute(update(posts).where(posts.c.n == row.n).values(**words))
            return kept

        return await self._store.run(work)


def _waiting(c: Connection, *, without: set[int]) -> list[Row[Any]]:
    found = select(posts).where(posts.c.posted == 0, posts.c.n.not_in(without)).order_by(posts.c.n)
    return list(c.execute(found.limit(api.BATCH_STATEMENTS)).all())
