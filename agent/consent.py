"""The handles of agreements, and the daily word that they still stand (PROTOCOL.md C1-C6, J4-J6).

Rules of this house:
- one handle for each set of recipients and each purpose, drawn when a message first needs it; nothing in a handle
  leads to another, and how the person was asked stays in this agency's store;
- withdrawing works for every agency that is named in a handle, and is final;
- the staple of a handle made here is renewed twice a day; a withdrawn one is never renewed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.client import Relay
from agent.clock import Clock
from agent.consent_ledger import Kept, Scope, find
from agent.logs import log
from agent.others import learn, mark_withdrawn, staple_words
from agent.proofs import verified_grant, verified_status, verified_withdrawal
from agent.recalls import expect_answers
from agent.ring import HeldKeys
from agent.store import Store
from agent.tables import grants, posts
from schemas.agreement import STANDING, State, evidence_hash
from schemas.api import SignedJson
from schemas.canonical import b64, unb64
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.grants import (
    AHEAD,
    MAX_STATUS,
    Grant,
    Withdrawal,
    parse_grant,
    parse_status,
    parse_withdrawal,
)
from schemas.messages.catalogue import parse_payload, print_payload
from schemas.sealing import new_id
from schemas.signing import Purpose, Signed

DAY = 24 * 3600
RENEW = 12 * 3600
PATIENCE = 3.0
"""Seconds that a person may be kept waiting for the relay's word on an agreement."""
SHORTEST, LONGEST = 60 * DAY, 85 * DAY
"""Between these the life of a handle is drawn: none is used for 90 days, and no two end together (J5)."""
EARLIEST, LATEST = 5 * DAY, 20 * DAY
"""Between these is drawn how much of its life a handle has left when the next one takes its place."""
CUT = 6 * 3600
Draw = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Held:
    """A handle as this agent knows it."""

    signed: Signed
    grant: Grant
    mine: bool
    status: Signed | None
    withdrawal: Withdrawal | None
    agree_by: str
    limits: Mapping[str, Any]
    """What the person ruled out, from the evidence of an agreement made here."""


@dataclass(frozen=True, slots=True)
class Rest:
    """What a message rests on: a handle, or the state of an agreement that gives none."""

    held: Held | None
    state: State | None = None
    agreement: str | None = None


class ConsentDesk:
    """Handles of one agency."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        view: Callable[[], Directory],
        keys: HeldKeys,
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

    # --- what a message rests on

    async def resting(self, name: str, agencies: frozenset[str], purpose: str) -> Rest:
        """The handle for these recipients and this purpose, of the agreement or handle `name`.

        Raises:
            Refusal: NOT_FOUND; UNSETTLED when the person told one of them to stop.
        """
        now = int(self._clock())

        def work(c: Connection) -> tuple[str | None, Kept | None]:
            mine = c.execute(select(grants.c.mine).where(grants.c.gid == name)).scalar()
            if mine == 0:
                return name, None
            kept = find(c, name, now)
            return self._handle(c, kept, agencies, purpose, now), kept

        gid, kept = await self._store.run(work)
        if kept is not None and gid is None:
            return Rest(None, kept.standing.state, kept.id)
        self.posted.set()
        return Rest(await self.usable(gid or name), None, None if kept is None else kept.id)

    def _handle(
        self, c: Connection, kept: Kept, agencies: frozenset[str], purpose: str, now: int
    ) -> str | None:
        state, scope = kept.standing.state, kept.scope
        if scope is None or state not in (*STANDING, "WITHDRAWN"):
            return None
        if state in STANDING and scope.covers(agencies, purpose):
            if kept.state_towards(agencies) not in STANDING:
                raise Refusal("UNSETTLED")
            return self.handle_for(c, kept, scope, agencies, purpose, now)
        # Outside of what was agreed, or withdrawn: a handle that stands, or the newest, by which the rule says so.
        known = select(grants.c.gid).where(grants.c.agreement == kept.id)
        order = (grants.c.withdrawal_t.is_not(None), grants.c.exp.desc())
        return c.execute(known.order_by(*order).limit(1)).scalar()

    def handle_for(
        self, c: Connection, kept: Kept, scope: Scope, agencies: frozenset[str], purpose: str, now: int
    ) -> str:
        """The handle for exactly these recipients and this purpose: one that stands, or a new one."""
        parties = frozenset({self._keys.agency, *agencies})
        for row in self.standing(c, kept.id, now):
            grant = parse_grant(signed_grant(row))
            fits = (grant.parties(), row.purpose) == (parties, purpose) and grant.ver >= kept.answer
            fits = fits and grant.nbf <= now + AHEAD  # else a clock that was wrong has dated it
            if fits and row.exp - now > row.rest and self._counts(grant.signer, grant.nbf):
                return str(row.gid)
        return self._issue(c, kept, scope, parties, purpose, now)

    def standing(self, c: Connection, agreement: str, at: int) -> list[Row[Any]]:
        """The handles of an agreement that had not ended at a time and were not withdrawn."""
        alive = select(grants).where(
            grants.c.agreement == agreement, grants.c.exp > at, grants.c.withdrawal_t.is_(None)
        )
        return list(c.execute(alive.order_by(grants.c.exp.desc())).all())

    def _issue(
        self, c: Connection, kept: Kept, scope: Scope, parties: frozenset[str], purpose: str, now: int
    ) -> str:
        gid = new_id(self._draw)
        end = now + SHORTEST + self._below(LONGEST - SHORTEST)
        if kept.standing.until is not None and end >= kept.standing.until:
            room = min(CUT, (kept.standing.until - now) // 2)
            end = kept.standing.until - self._below(room)
        rest = min(EARLIEST + self._below(LATEST - EARLIEST), (end - now) // 4)
        names = {"agreement": kept.id, "purpose": purpose, "rest": rest, "mine": 1}
        self._write(c, gid, kept, scope, parties, purpose, now, end, names)
        return gid

    def narrow(self, c: Connection, row: Row[Any], kept: Kept, scope: Scope, now: int) -> None:
        """The same handle, a version later, with what the person still agrees to (J3)."""
        grant = parse_grant(signed_grant(row))
        end = min(grant.exp, kept.standing.until or grant.exp)
        values = {"nbf": max(grant.nbf, self._began(grant.nbf))}
        signed = self._write(c, row.gid, kept, scope, grant.parties(), row.purpose, now, end, {}, values)
        expect_answers(c, grant, signed, self._keys.agency, now)

    def _write(
        self,
        c: Connection,
        gid: str,
        kept: Kept,
        scope: Scope,
        parties: frozenset[str],
        purpose: str,
        now: int,
        end: int,
        names: Mapping[str, Any],
        changes: Mapping[str, Any] | None = None,
    ) -> Signed:
        salt, evidence = self._draw(32), _evidence(scope, gid)
        body = {
            "cat": sorted(scope.kinds),
            "ev": evidence_hash(evidence, salt),
            "exp": end,
            "from": sorted(parties),
            "gid": gid,
            "iss": self._keys.agency,
            "limited": scope.limited,
            "nbf": now,
            "pur": [purpose],
            "signer": self._keys.consent.kid,
            "to": sorted(parties),
            "v": 1,
            "ver": kept.standing.ver,
            **(changes or {}),
        }
        signed, status = Signed.make(self._keys.consent, Purpose.GRANT, body), self._staple(gid, now)
        parse_grant(signed)
        values = {
            "exp": end, "grant_s": b64(signed.signature), "grant_t": _text(signed), "agree_by": scope.agree_by,
            "heard": None, "evidence": evidence, "salt": b64(salt), **staple_words(status, now),
        }  # fmt: skip
        if names:
            c.execute(insert(grants).values(gid=gid, **names, **values))
        else:
            c.execute(update(grants).where(grants.c.gid == gid).values(**values))
        post(c, "grant", gid, signed)
        post(c, "status", gid, status)
        return signed

    def _began(self, otherwise: int) -> int:
        """Since when our key stands: what it signs is not dated earlier, or nobody believes it (C5)."""
        agency = self._view().agencies.get(self._keys.agency)
        key = None if agency is None else agency.keys.get(self._keys.consent.kid)
        return otherwise if key is None else key.nbf

    def _counts(self, kid: str, at: int) -> bool:
        """Whether others may believe what this key signed then: it may have been revoked back to before that."""
        agency = self._view().agencies.get(self._keys.agency)
        key = None if agency is None else agency.keys.get(kid)
        return key is None or key.revoked is None or at < key.revoked

    def _vouched(self, row: Row[Any]) -> bool:
        status = parse_status(Signed(row.status_t.encode("ascii"), unb64(row.status_s, 64)))
        return self._counts(status.signer, status.ts)

    def _below(self, bound: int) -> int:
        return int.from_bytes(self._draw(8), "big") % max(1, bound)

    # --- ending

    def end(self, c: Connection, gid: str, now: int) -> bool:
        """Withdraw a handle; False when it had been withdrawn before. Raises Refusal NOT_FOUND."""
        held = _held(_row(c, gid))
        if held.withdrawal is not None:
            return False
        signed = self._withdrawal(gid, now)
        mark_withdrawn(c, signed)
        unposted = (posts.c.gid == gid) & (posts.c.kind == "status") & (posts.c.posted == 0)
        c.execute(update(posts).where(unposted).values(posted=1))
        post(c, "withdraw", gid, signed)
        expect_answers(c, held.grant, signed, self._keys.agency, now)
        return True

    def _withdrawal(self, gid: str, now: int) -> Signed:
        body = {"by": self._keys.agency, "gid": gid, "signer": self._keys.consent.kid, "ts": now, "v": 1}
        return Signed.make(self._keys.consent, Purpose.WITHDRAW, body)

    # --- handles as they are

    async def held(self, gid: str) -> Held:
        """The handle. Raises Refusal NOT_FOUND."""
        return await self._store.run(lambda c: _held(_row(c, gid)))

    async def usable(self, gid: str) -> Held:
        """The handle with a staple fresh enough to seal with, when one can be had."""
        held = await self.held(gid)
        now = int(self._clock())
        status = None if held.status is None else parse_status(held.status)
        if held.withdrawal is not None or now >= held.grant.exp:
            return held
        if not held.mine:
            await self.ask(gid)
        elif status is None or _off(status.ts, now) or not self._counts(status.signer, status.ts):
            await self._renew((gid,), now)
        else:
            return held
        return await self.held(gid)

    async def renew_due(self) -> int:
        """Renew the staples of handles made here that are half a day old, or whose key was lost; returns how many."""
        now, with_ours = int(self._clock()), f'%"signer":"{self._keys.consent.kid}"%'
        due = select(grants).where(
            grants.c.mine == 1,
            grants.c.exp > now,
            grants.c.withdrawal_t.is_(None),
            (grants.c.status_ts <= now - RENEW)
            | (grants.c.status_ts > now + AHEAD)
            | grants.c.status_t.not_like(with_ours),
        )
        rows = await self._store.run(lambda c: c.execute(due).all())
        gids = tuple(row.gid for row in rows if _off(row.status_ts, now) or not self._vouched(row))
        if gids:
            await self._renew(gids, now)
        return len(gids)

    async def ask(self, gid: str) -> bool:
        """Ask the relay how a handle stands now; False when it could not be learnt.

        A relay that is away or slow, or that shows what does not verify, changes nothing.
        """
        try:
            async with asyncio.timeout(PATIENCE):
                page = await self._relay.grant(gid)
            held, view = await self.held(gid), self._view()
            signed = _signed(page.grant)
            grant = verified_grant(signed, view)
            if (grant.gid, grant.iss) != (gid, held.grant.iss):
                raise Refusal("GRANT", party="relay")
            status = None if page.status is None else _signed(page.status)
            withdrawal = None if page.withdrawal is None else _signed(page.withdrawal)
            if status is not None:
                verified_status(status, held.grant, view)
            if withdrawal is not None:
                verified_withdrawal(withdrawal, view, held.grant)
        except TimeoutError:
            log.info("grant-not-asked", code="RELAY_AWAY")
            return False
        except Refusal as refusal:
            log.info("grant-not-asked", code=refusal.code)
            return False
        await self._store.run(lambda c: learn(c, signed, status, withdrawal))
        return True

    async def _renew(self, gids: tuple[str, ...], now: int) -> None:
        staples = {gid: self._staple(gid, now) for gid in gids}

        def work(c: Connection) -> None:
            for gid, status in staples.items():
                c.execute(update(grants).where(grants.c.gid == gid).values(**staple_words(status, now)))
                post(c, "status", gid, status)

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


def _off(staple: int, now: int) -> bool:
    """Whether a staple of that second is too old, or was dated by a clock that had gone wrong."""
    return not now - RENEW < staple <= now + AHEAD


def post(c: Connection, kind: str, gid: str, signed: Signed) -> None:
    """Have a statement posted."""
    c.execute(insert(posts).values(kind=kind, gid=gid, sig=b64(signed.signature), text=_text(signed)))


def signed_grant(row: Row[Any]) -> Signed:
    return Signed(row.grant_t.encode("ascii"), unb64(row.grant_s, 64))


def _evidence(scope: Scope, gid: str) -> str:
    value = {**scope.evidence, "type": "consent.grant", "v": 1, "gid": gid}
    return print_payload(parse_payload(json.dumps(value)))


def _row(c: Connection, gid: str) -> Row[Any]:
    row = c.execute(select(grants).where(grants.c.gid == gid)).one_or_none()
    if row is None:
        raise Refusal("NOT_FOUND")
    return row


def _text(signed: Signed) -> str:
    return signed.text.decode("ascii")


def _signed(item: SignedJson) -> Signed:
    return Signed.from_json(item.model_dump())


def _held(row: Row[Any]) -> Held:
    signed = signed_grant(row)
    status = None if row.status_t is None else Signed(row.status_t.encode("ascii"), unb64(row.status_s, 64))
    gone = None
    if row.withdrawal_t is not None:
        gone = parse_withdrawal(Signed(row.withdrawal_t.encode("ascii"), unb64(row.withdrawal_s, 64)))
    limits = {} if row.evidence is None else json.loads(row.evidence).get("limits", {})
    return Held(signed, parse_grant(signed), bool(row.mine), status, gone, row.agree_by or "SELF", limits)
