"""Whether a delivery may be kept and opened, by every rule of receipt (PROTOCOL.md V1-V9).

It writes nothing: what follows from its word is the inbox's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Row

from agent.clock import Clock
from agent.directory import Book
from agent.endings import TakenBack
from agent.overriding import decided_at
from agent.references import at_hand
from agent.ring import HeldKeys, is_old
from agent.rules import Clear, NoAuthority, Shown, clear, sealed
from agent.store import Store
from agent.trust import LogTrust
from schemas.envelope import Delivery, Header, parse_header
from schemas.errors import Refusal

REFRESH = frozenset({"UNKNOWN_KEY", "UNKNOWN_AGENCY", "UNKNOWN_DESK", "STALE_KEY", "STALE_DIRECTORY"})
"""What a newer view of the directory may answer otherwise."""


class Judge:
    """Holds a delivery against the rules, and once more where the directory or the policy may be newer by now."""

    def __init__(self, store: Store, book: Book, trust: LogTrust, keys: HeldKeys, clock: Clock) -> None:
        self._store = store
        self._book = book
        self._trust = trust
        self._keys = keys
        self._clock = clock

    # --- rules 1 to 5

    async def cleared(self, delivery: Delivery, desk: str) -> Clear:
        """Rules 1 to 5 (V1-V5). Raises Refusal as agent.rules.clear."""
        try:
            return self._clear(delivery, desk)
        except Refusal as refusal:
            if refusal.code not in REFRESH:
                raise
        await self._book.refresh()
        return self._clear(delivery, desk)

    def _clear(self, delivery: Delivery, desk: str) -> Clear:
        return clear(delivery, desk, self._book.view(), self._keys, self._trust.key, self._clock())

    def sealed_to_old(self, passed: Clear) -> bool:
        """Whether the sender still seals to a receiving key that a newer one has followed."""
        return is_old(self._keys, passed.key.kid, passed.header.ts)

    # --- rules 6 to 9

    async def shown(self, row: Row[Any], gone: str, after: bool) -> Shown:
        """Rules 6 to 9: the message as it may be shown. Raises Refusal as agent.rules.sealed, TakenBack."""
        header = parse_header(row.header.encode("ascii"))
        known = await self._store.run(lambda c: at_hand(c, header))
        try:
            return self._open_one(row, gone, after, known)
        except NoAuthority:  # a policy may have come in force that this agent has not heard of
            await self._book.refresh()
            return self._open_one(row, gone, after, known)

    def _open_one(self, row: Row[Any], gone: str, after: bool, known: Sequence[Header]) -> Shown:
        # Rules 2 to 5 held before it was stored; they are cheap, and the key is found on the way.
        passed = self._clear(Delivery.parse(row.delivery), row.d)
        view, around = self._book.view(), self._book.policies.around
        policies = around(decided_at(passed.header, row.override, view, around, self._clock()))
        weigh = partial(sealed, passed, view, policies, override=row.override, switched=after, at_hand=known)
        shown = weigh(withdrawn=False)
        if not gone or shown.alone:
            return shown
        if not row.late:
            raise TakenBack(gone)
        try:
            return weigh(withdrawn=True)
        except NoAuthority as refusal:
            raise NoAuthority(refusal.code, gone) from None
