"""The override desk: an author asks, a safeguarding lead authorises, the relay hears of it (PROTOCOL.md O4-O9).

Rules of this house:
- people sign where they sit: their keys never come to the agent, only their signatures do;
- the reason is kept in this store for the lead to read, sealed to officers for the log, and goes when it has served;
- nothing is posted before both signatures hold by this agent's own directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.client import Relay
from agent.clock import Clock
from agent.directory import Book
from agent.forms import Json
from agent.holding import SAYS, list_bells, list_holds, ring
from agent.override_cores import about_message, about_thread
from agent.override_forms import OverrideAsk
from agent.ring import HeldKeys
from agent.shares import mark_overridden
from agent.store import Store, note
from agent.tables import overrides, sealings
from schemas import api
from schemas.canonical import b64, encode, unb64
from schemas.directory import Directory
from schemas.envelope import parse_header
from schemas.errors import Refusal
from schemas.kinds import KINDS
from schemas.override import Core, parse_core, parse_override, role_key, terms_of, verify_override
from schemas.record_sealing import record_hash
from schemas.sealing import new_id, seal_record
from schemas.signing import Purpose, Signed

UNSENT = frozenset({"waiting", "held"})
"""States of a sealing that the relay has not let go: an override then names the basis that it names."""


class OverrideDesk:
    """Overrides of one agency. Every method raises Refusal with a code and a next step."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        book: Book,
        keys: HeldKeys,
        clock: Clock,
        draw: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._relay = relay
        self._book = book
        self._keys = keys
        self._clock = clock
        self._draw = draw
        self._posting = asyncio.Lock()
        self.kick = asyncio.Event()
        """Set when there is an override to hand in."""

    # --- the author

    async def draft(self, form: OverrideAsk) -> Json:
        """What an author is to sign, with her reason sealed; nothing is asked yet.

        Raises:
            Refusal: NOT_FOUND, OVERRIDE_SCOPE, BASIS, OFFICERS, FORM, of the author's key what `role_key` says, and of
                the basis and the reason what `about_message` says.
        """
        now, view = int(self._clock()), await self._view()
        terms = terms_of(self._book.policies.now)
        role_key(view, form.author, "author", self._keys.agency, now, terms.key_delay)
        oid = new_id(self._draw)
        plain = encode({"oid": oid, "reason": form.reason, "v": 1})
        record = seal_record(oid, plain, view.officers({self._keys.agency}, now), self._draw(32))
        about = await self._about(form, now)
        fixed: Json = {"author": form.author, "oid": oid, "rec": b64(record_hash(record)), "ts": now, "v": 1}
        core = parse_core(encode({**about, **fixed}))
        row = {
            "oid": oid, "mid": core.mid, "thr": core.thr, "state": "drafted", "core": core.text().decode("ascii"),
            "record": b64(record), "reason": form.reason, "ts": now, "exp": core.exp, "posted": 0,
        }  # fmt: skip
        await self._store.run(lambda c: c.execute(insert(overrides).values(**row)).close())
        return {"oid": oid, "core": row["core"]}

    async def ask(self, oid: str, signature: str) -> Json:
        """Take the author's signature: from now on the leads see the request. Raises Refusal SIGNATURE, CONFLICT."""
        row = await self._row(oid)
        if row.state not in ("drafted", "asked"):
            raise Refusal("CONFLICT", "This request was answered already. Look at it first.")
        request = Signed(row.core.encode("ascii"), unb64(signature, 64))
        core, view = parse_core(request.text), await self._view()
        delay = terms_of(self._book.policies.now).key_delay
        author = role_key(view, core.author, "author", self._keys.agency, core.ts, delay)
        request.verified(author.public, Purpose.OVERRIDE_REQUEST)
        await self._set(oid, "override-asked", state="asked", request_s=signature)
        return await self.one(oid)

    # --- the lead

    async def authorise(self, oid: str, signed: Signed) -> Json:
        """Take the lead's signature and hand the override in.

        Raises:
            Refusal: CONFLICT, what `verify_override` says, and the relay's own.
        """
        row, override = await self._row(oid), parse_override(signed)
        if row.state not in ("asked", "authorised"):
            raise Refusal("CONFLICT", "This is no open request. Look at it first.")
        if override.request.text != row.core.encode("ascii"):
            raise Refusal("CONFLICT", "That is another request than this one. Look at it first.")
        terms, now = terms_of(self._book.policies.now), int(self._clock())
        verify_override(override, await self._view(), terms, now)
        text, mark = signed.text.decode("ascii"), b64(signed.signature)
        await self._set(oid, "override-authorised", state="authorised", signed_t=text, signed_s=mark)
        self.kick.set()
        try:
            await self.flush()
        except Refusal as refusal:
            if not refusal.retry:
                raise
        done = await self.one(oid)
        if done["state"] == "refused":
            raise Refusal(str(done["code"]))
        return done

    async def flush(self) -> None:
        """Hand in what is authorised and not recorded yet. Raises Refusal RELAY_AWAY and the relay's own."""
        waiting = select(overrides).where(overrides.c.state == "authorised").order_by(overrides.c.ts)
        async with self._posting:
            for row in await self._store.run(lambda c: c.execute(waiting).all()):
                signed = api.SignedJson(s=row.signed_s, t=row.signed_t)
                item = api.StatementIn(kind="override", signed=signed, record=row.record)
                answer = await self._relay.post_statements(api.StatementsRequest(statements=(item,)))
                if len(answer.results) != 1:
                    raise Refusal("FORM", party="relay", retry=True)
                await self._settle(row.oid, answer.results[0])

    async def _settle(self, oid: str, result: api.StatementResult) -> None:
        code = result.code if result.code in KINDS else "FORM"
        if result.status == "refused" and code is not None:
            if KINDS[code].retry:
                raise Refusal(code)
            await self._set(oid, "override-refused", state="refused", code=code, posted=1)
            return
        await self._set(oid, "override-recorded", state="recorded", posted=1, reason=None)

    async def forget(self, now: int) -> None:
        """Wipe the reasons of requests whose time is over by then, whatever came of them."""
        over = update(overrides).where(overrides.c.exp <= now, overrides.c.reason.is_not(None))
        await self._store.run(lambda c: c.execute(over.values(reason=None)).close())

    async def usable(self, oid: str) -> Signed:
        """A recorded override of a thread, to send under. Raises Refusal OVERRIDE_UNKNOWN, OVERRIDE_EXPIRED."""
        row = await self._row(oid)
        if row.state != "recorded" or row.thr is None:
            raise Refusal("OVERRIDE_UNKNOWN")
        if row.exp <= self._clock():
            raise Refusal("OVERRIDE_EXPIRED")
        return Signed(row.signed_t.encode("ascii"), unb64(row.signed_s, 64))

    # --- looking

    async def one(self, oid: str) -> Json:
        """One override with its reason, while that is kept, and what the lead would sign."""
        row = await self._row(oid)
        signed = None if row.request_s is None else {"s": row.request_s, "t": row.core}
        return {**self._shown(row), "reason": row.reason, "request": signed}

    async def listed(self) -> Json:
        """What was asked and what came of it, newest first, and what the relay told about such things."""
        query = select(overrides).where(overrides.c.state != "drafted").order_by(overrides.c.ts.desc())
        rows = await self._store.run(lambda c: c.execute(query.limit(200)).all())
        told = await self._store.run(list_bells)
        return {"overrides": [self._shown(row) for row in rows], "told": [self._told(row) for row in told]}

    async def holds(self) -> Json:
        """What waits for a lead, and what went and waits for her signature."""
        rows = await self._store.run(list_holds)
        asked = select(overrides.c.mid, overrides.c.oid).where(overrides.c.state == "asked")
        open_ = {row.mid: row.oid for row in await self._store.run(lambda c: c.execute(asked).all())}
        return {"holds": [{**self._hold(row), "asked": open_.get(row.mid)} for row in rows]}

    # --- inside

    async def _view(self) -> Directory:
        """The directory as it is now, if it can be had: people's keys may have come or gone since."""
        with contextlib.suppress(Refusal):
            await self._book.refresh()
        return self._book.view()

    async def _about(self, form: OverrideAsk, now: int) -> Json:
        """What the core says of the message or the thread."""
        view, terms = self._book.view(), terms_of(self._book.policies.now)
        if form.thread is not None:
            return about_thread(form.thread, self._keys.agency, view, terms, now)
        found = select(sealings.c.header, sealings.c.state).where(sealings.c.mid == form.mid)
        row = await self._store.run(lambda c: c.execute(found).one_or_none())
        if row is None or row.header is None:
            raise Refusal("NOT_FOUND")
        header = parse_header(row.header.encode("ascii"))
        return about_message(form, header, view, terms, now, gone=row.state not in UNSENT)

    def _shown(self, row: Row[Any]) -> Json:
        core: Core = parse_core(row.core.encode("ascii"))
        return {
            "oid": row.oid,
            "state": row.state,
            "code": row.code,
            "scope": core.scope,
            "mid": core.mid,
            "thread": core.thr,
            "purpose": core.pur,
            "basis": core.basis,
            "why": core.reason,
            "categories": list(core.cat),
            "to": [{"agency": one.a, "name": self._name(one.a), "desk": one.d} for one in core.to],
            "asked": core.ts,
            "until": core.exp,
        }

    def _hold(self, row: Row[Any]) -> Json:
        return {
            "mid": row.mid,
            "kind": row.kind,
            "rag": row.rag,
            "thread": row.thr,
            "to": [{"agency": a, "name": self._name(a), "desk": d} for a, d in json.loads(row.desks)],
            "state": "held" if row.state == "held" else "sent, to be signed",
            "code": row.code,
            "since": row.ts,
            "expires": row.exp,
        }

    def _told(self, row: Row[Any]) -> Json:
        who = {"agency": row.a, "name": self._name(row.a), "desk": row.d}
        return {"kind": row.kind, "says": SAYS[row.kind], "at": row.ts, "mid": row.mid, "from": who}

    def _name(self, agency: str) -> str:
        known = self._book.latest.agencies.get(agency)
        return known.name if known is not None else ""

    async def _row(self, oid: str) -> Row[Any]:
        query = select(overrides).where(overrides.c.oid == oid)
        row = await self._store.run(lambda c: c.execute(query).one_or_none())
        if row is None:
            raise Refusal("NOT_FOUND")
        return row

    async def _set(self, oid: str, event: str, **values: Any) -> None:
        now = int(self._clock())

        def work(c: Connection) -> None:
            c.execute(update(overrides).where(overrides.c.oid == oid).values(**values))
            if values.get("state") == "recorded":
                mark_overridden(c, oid)
            if values.get("state") == "refused":  # its people cannot know: it may have waited here for hours
                about = c.execute(select(overrides.c.mid).where(overrides.c.oid == oid)).scalar()
                ring(c, "override-refused", about, self._keys.agency, now)
            note(c, now, event, str(values.get("code") or ""))

        await self._store.run(work)
