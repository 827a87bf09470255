"""The consent desk: agreements given and withdrawn here, and the daily word that they still stand (PROTOCOL.md C1-C6).

Rules of this house:
- how she was asked stays in this agency's store; what leaves is a salted hash of it;
- withdrawing takes a handle and nothing else, works for every agency that is named in the agreement, and is final;
- the staple of an agreement made here is renewed twice a day; a withdrawn agreement is never renewed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.client import Relay
from agent.clock import Clock
from agent.logs import log
from agent.proofs import verified_status, verified_withdrawal
from agent.store import Store, note
from agent.tables import grants, inbox, posts
from schemas.api import SignedJson
from schemas.canonical import b64, unb64
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.grants import (
    MAX_GRANT,
    MAX_STATUS,
    Grant,
    Withdrawal,
    parse_grant,
    parse_status,
    parse_withdrawal,
)
from schemas.hashing import labelled
from schemas.keyring import AgentKeys
from schemas.sealing import new_id
from schemas.signing import Purpose, Signed

RENEW = 12 * 3600
FETCH = 6 * 3600
Draw = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person agreed to. `evidence` is the printed `consent.grant` form, but for its handle."""

    to: tuple[str, ...]
    purposes: tuple[str, ...]
    categories: tuple[str, ...]
    limited: bool
    agree_by: str
    until: int
    evidence: Callable[[str], str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Held:
    """An agreement as this agent knows it."""

    signed: Signed
    grant: Grant
    mine: bool
    status: Signed | None
    withdrawal: Withdrawal | None
    agree_by: str
    limits: Mapping[str, Any]
    """What the person ruled out, from the evidence of an agreement made here."""


class ConsentDesk:
    """Agreements of one agency."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        view: Callable[[], Directory],
        keys: AgentKeys,
        clock: Clock,
        draw: Draw,
    ) -> None:
        self._store = store
        self._view = view
        self._relay = relay
        self._keys = keys
        self._clock = clock
        self._draw = draw
        self.posted = asyncio.Event()
        """Set when there is a statement to post."""

    async def give(self, wish: Wish) -> str:
        """Record an agreement and have it posted; returns its handle. Raises Refusal GRANT."""
        now = int(self._clock())
        gid, salt = new_id(self._draw), self._draw(32)
        evidence = wish.evidence(gid)
        parties = sorted({self._keys.agency, *wish.to})
        body = {
            "cat": sorted(set(wish.categories)),
            "ev": b64(labelled("fenpost/v1/evidence", evidence.encode(), key=salt)),
            "exp": min(wish.until, now + MAX_GRANT),
            "from": parties,
            "gid": gid,
            "iss": self._keys.agency,
            "limited": wish.limited,
            "nbf": now,
            "pur": sorted(set(wish.purposes)),
            "signer": self._keys.consent.kid,
            "to": parties,
            "v": 1,
            "ver": 1,
        }
        signed = Signed.make(self._keys.consent, Purpose.GRANT, body)
        grant, status = parse_grant(signed), self._staple(gid, now)

        def work(c: Connection) -> None:
            c.execute(
                insert(grants).values(
                    gid=gid, mine=1, exp=grant.exp, grant_s=b64(signed.signature), grant_t=_text(signed),
                    agree_by=wish.agree_by, evidence=evidence, salt=b64(salt), **_status(status, now),
                )
            )  # fmt: skip
            _post(c, "grant", gid, signed)
            _post(c, "status", gid, status)
            note(c, now, "consent-given", "")

        await self._store.run(work)
        self.posted.set()
        return gid

    async def withdraw(self, gid: str) -> bool:
        """End an agreement; returns False when it had ended before. Raises Refusal NOT_FOUND."""
        held = await self.held(gid)
        if held.withdrawal is not None:
            return False
        now = int(self._clock())
        body = {"by": self._keys.agency, "gid": gid, "signer": self._keys.consent.kid, "ts": now, "v": 1}
        signed = Signed.make(self._keys.consent, Purpose.WITHDRAW, body)

        def work(c: Connection) -> None:
            c.execute(update(grants).where(grants.c.gid == gid).values(**_withdrawal(signed)))
            c.execute(
                update(posts)
                .where(posts.c.gid == gid, posts.c.kind == "status", posts.c.posted == 0)
                .values(posted=1)
            )
            _post(c, "withdraw", gid, signed)
            note(c, now, "consent-withdrawn", "")

        await self._store.run(work)
        self.posted.set()
        return True

    async def held(self, gid: str) -> Held:
        """The agreement with this handle. Raises Refusal NOT_FOUND."""
        row = await self._store.run(
            lambda c: c.execute(select(grants).where(grants.c.gid == gid)).one_or_none()
        )
        if row is None:
            raise Refusal("NOT_FOUND")
        return _held(row)

    async def usable(self, gid: str) -> Held:
        """The agreement with a staple fresh enough to seal with, when one can be had."""
        held = await self.held(gid)
        now = int(self._clock())
        status = None if held.status is None else parse_status(held.status)
        if held.withdrawal is not None or now >= held.grant.exp:
            return held
        if held.mine and (status is None or now - status.ts >= RENEW):
            await self._renew((gid,), now)
        elif not held.mine and (status is None or status.exp - now < FETCH):
            await self.ask(gid)
        else:
            return held
        return await self.held(gid)

    async def renew_due(self) -> int:
        """Renew the staples of agreements made here that are half a day old; returns how many."""
        now = int(self._clock())
        due = select(grants.c.gid).where(
            grants.c.mine == 1,
            grants.c.exp > now,
            grants.c.withdrawal_t.is_(None),
            grants.c.status_ts <= now - RENEW,
        )
        gids = tuple(await self._store.run(lambda c: list(c.execute(due).scalars())))
        if gids:
            await self._renew(gids, now)
        return len(gids)

    async def ask(self, gid: str) -> None:
        """Ask the relay how another agency's agreement stands now.

        A relay that is away, or that shows what does not verify, changes nothing.
        """
        try:
            page = await self._relay.grant(gid)
            held, view = await self.held(gid), self._view()
            status = None if page.status is None else _signed(page.status)
            withdrawal = None if page.withdrawal is None else _signed(page.withdrawal)
            if status is not None:
                verified_status(status, held.grant, view)
            if withdrawal is not None:
                verified_withdrawal(withdrawal, view, held.grant)
        except Refusal as refusal:
            log.info("grant-not-asked", code=refusal.code)
            return
        await self._store.run(lambda c: _learn(c, gid, status, withdrawal))

    async def _renew(self, gids: tuple[str, ...], now: int) -> None:
        staples = {gid: self._staple(gid, now) for gid in gids}

        def work(c: Connection) -> None:
            for gid, status in staples.items():
                c.execute(update(grants).where(grants.c.gid == gid).values(**_status(status, now)))
                _post(c, "status", gid, status)

        await self._store.run(work)
        self.posted.set()

    def _staple(self, gid: str, now: int) -> Signed:
        body = {
            "exp": now + MAX_STATUS,
            "gid": gid,
            "signer": self._keys.consent.kid,
            "state": "active",
            "ts": now,
            "v": 1,
        }
        return Signed.make(self._keys.consent, Purpose.STATUS, body)


def _learn(c: Connection, gid: str, status: Signed | None, withdrawal: Signed | None) -> None:
    if status is not None:
        ts = parse_status(status).ts
        newer = (grants.c.status_ts.is_(None)) | (grants.c.status_ts < ts)
        c.execute(update(grants).where(grants.c.gid == gid, newer).values(**_status(status, ts)))
    if withdrawal is not None:
        c.execute(update(grants).where(grants.c.gid == gid).values(**_withdrawal(withdrawal)))


def remember(c: Connection, signed: Signed, status: Signed | None) -> None:
    """Keep another agency's agreement that came inside a message; one that is known keeps its newer staple."""
    grant = parse_grant(signed)
    values = {} if status is None else _status(status, parse_status(status).ts)
    c.execute(
        insert(grants)
        .prefix_with("OR IGNORE")
        .values(
            gid=grant.gid,
            mine=0,
            exp=grant.exp,
            grant_s=b64(signed.signature),
            grant_t=_text(signed),
            **values,
        )
    )


def mark_withdrawn(c: Connection, signed: Signed) -> None:
    """Keep a verified withdrawal, and mark every message that was handed over under it, ended or not (V8)."""
    said = parse_withdrawal(signed)
    c.execute(update(grants).where(grants.c.gid == said.gid).values(**_withdrawal(signed)))
    shown = (inbox.c.gid == said.gid) & inbox.c.handed.is_not(None) & inbox.c.withdrawn.is_(None)
    c.execute(update(inbox).where(shown).values(withdrawn=said.ts, recalled=0))


def _post(c: Connection, kind: str, gid: str, signed: Signed) -> None:
    c.execute(insert(posts).values(kind=kind, gid=gid, sig=b64(signed.signature), text=_text(signed)))


def _status(signed: Signed, ts: int) -> dict[str, Any]:
    return {"status_s": b64(signed.signature), "status_t": _text(signed), "status_ts": ts}


def _withdrawal(signed: Signed) -> dict[str, Any]:
    return {"withdrawal_s": b64(signed.signature), "withdrawal_t": _text(signed)}


def _text(signed: Signed) -> str:
    return signed.text.decode("ascii")


def _signed(item: SignedJson) -> Signed:
    return Signed.from_json(item.model_dump())


def _held(row: Row[Any]) -> Held:
    signed = Signed(row.grant_t.encode("ascii"), unb64(row.grant_s, 64))
    status = None if row.status_t is None else Signed(row.status_t.encode("ascii"), unb64(row.status_s, 64))
    gone = None
    if row.withdrawal_t is not None:
        gone = parse_withdrawal(Signed(row.withdrawal_t.encode("ascii"), unb64(row.withdrawal_s, 64)))
    limits = {} if row.evidence is None else json.loads(row.evidence).get("limits", {})
    return Held(signed, parse_grant(signed), bool(row.mine), status, gone, row.agree_by or "SELF", limits)
