"""Running keys renew themselves: drawn, published, used, erased, each step durable first (PROTOCOL.md G16, K21).

Rules of this house:
- a key is in the store before the relay hears of it: a kill at any instant leaves one that can be published, or one
  that is, and never one that others seal to and nobody holds;
- a key signs when every view that may still decide has it, and the one before it stands until then and beyond;
- an agent that was away renews what is due when it is back; what it could not publish it says;
- a key that waits to be published is drawn anew after an emergency: whoever copied the folder may have it too.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select

from agent import own_chain, ring
from agent.client import Relay
from agent.clock import Clock
from agent.directory import Book
from agent.directory_tables import old_sealers
from agent.forms import Json
from agent.logs import log
from agent.ring import Own, Ring
from agent.store import Store, note, read_kv, write_kv
from schemas import api
from schemas.chain import Chain
from schemas.directory import MAX_AGE, Key
from schemas.errors import Refusal
from schemas.keys import LIFE, RUNNING, OpeningKey, SigningKey, Use
from schemas.signing import Signed

DAY = 24 * 3600
WEEK = 7 * DAY
REST = {Use.MSG: 30 * DAY, Use.AUTH: 10 * DAY, Use.CONSENT: 30 * DAY, Use.WITNESS: 90 * DAY}
"""How long before its end a key is renewed: long enough for an agent that is switched off over a holiday."""
SETTLE = {Use.MSG: MAX_AGE, Use.CONSENT: MAX_AGE}
"""How long after its publication a key first signs; at once where it is not here. What the relay checks it knows at
once; messages and agreements are checked by members whose view may be a day old."""
DRAIN = {Use.MSG: 25 * 3600, Use.CONSENT: 25 * 3600, Use.PREKEY: 25 * 3600, Use.AUTH: 900, Use.WITNESS: 900}
"""How long a key that was replaced by command still stands: what a lawful view of the directory allows goes on."""
ATTEMPTS = 5
ENDING = "rotation-ends"
DRAWN = "rotation-drawn"
PLANNED = frozenset({None, "rotated"})
"""Why keys end in the ordinary course of things. Any other reason may mean that somebody had the folder."""


@dataclass(frozen=True, slots=True)
class Step:
    """A use that gets a new key; `ends` are the keys that are over once it has."""

    use: Use
    ends: tuple[str, ...] = ()


class Rotation:
    """Renews what is due (`round`), or what somebody asks for (`rotate`). Call `load` before anything else."""

    def __init__(
        self,
        store: Store,
        relay: Relay,
        book: Book,
        keys: Ring,
        clock: Clock,
        draw: Callable[[int], bytes],
    ) -> None:
        self._store, self._relay, self._book, self._ring = store, relay, book, keys
        self._clock, self._draw = clock, draw
        self._lock = asyncio.Lock()
        self.kick = asyncio.Event()
        """Set when a round has something to do before its time."""
        self.code = ""
        """Why the last round could not publish; empty when it could, or had nothing to."""

    async def load(self) -> None:
        """Take up the keys in the store: before the book is loaded, or they would be strangers to it."""
        self._ring.take(await self._store.run(ring.kept))
        self._book.held |= self._ring.kids

    def look(self) -> None:
        """Sign with what the newest view leaves us; where it leaves nothing, or something is due, ask for a round."""
        self._ring.choose(self._book.latest, self._clock())
        if self.due():
            self.kick.set()

    async def round(self) -> None:
        """Erase what is over, publish what is due, end what was replaced.

        Raises:
            Refusal: what keeps it from publishing; it stays due.
        """
        async with self._lock:
            self.kick.clear()
            await self._erase()
            try:
                self._book.view()  # nothing is even drawn on a view that decides nothing any more
                self._ring.choose(self._book.latest, self._clock())  # what asks for it may have been ended
                if self.due():
                    await self._book.refresh()  # a command may have published it while this agent was off
                    self._ring.choose(self._book.latest, self._clock())
                await self._carry_out([Step(use) for use in self.due()])
                self.code = ""
            except Refusal as refusal:
                self.code = refusal.code
                raise
            finally:
                self._ring.choose(self._book.latest, self._clock())

    async def rotate(self, uses: Sequence[Use], *, dry_run: bool) -> Json:
        """Give each of these uses a new key now. The old ones stand until what is under way has arrived, then end.

        Raises:
            Refusal: RENEW for a use that is not a running one; STALE_DIRECTORY and what keeps it from publishing.
        """
        if not uses or any(use not in RUNNING for use in uses):
            raise Refusal("RENEW")
        async with self._lock:
            await self._book.refresh()
            steps = [Step(use, tuple(key.kid for key in self._standing(use))) for use in dict.fromkeys(uses)]
            plan = self._plan(steps)
            if not dry_run:
                plan["publish"] = await self._carry_out(steps)
                self._ring.choose(self._book.latest, self._clock())
                await self._store.run(lambda c: note(c, int(self._clock()), "rotated", ""))
            return plan

    def due(self) -> list[Use]:
        """The uses whose newest key is about to end, or that have none."""
        now, waiting = self._clock(), {own.use for own in self._ring.own if own.published is None}
        return [use for use in RUNNING if use in waiting or self.next_due(use) <= now]

    def next_due(self, use: Use) -> int:
        """When the next key of this use is to be published, in Unix seconds; 0 when none stands."""
        newest = max(self._standing(use), key=lambda key: key.nbf, default=None)
        if newest is None:
            return 0
        return newest.nbf + WEEK if use is Use.PREKEY else newest.exp - REST[use]

    async def state(self) -> Json:
        """Every key of this agent that the directory shows and that is not over, and what is due when."""
        now, held = self._clock(), self._ring.kids
        keys = [
            {
                "use": str(key.use),
                "kid": key.kid,
                "nbf": key.nbf,
                "exp": key.exp,
                "held": key.kid in held,
                "revoked": key.revoked,
                "next_due": self.next_due(key.use) if key.use in RUNNING else key.exp,
                "signs": key.use in ring.SIGNING and self._ring.key(key.use).kid == key.kid,
            }
            for key in self._published()
            if key.use in (*RUNNING, Use.RENEW) and now < key.exp
        ]
        late = await self._store.run(lambda c: c.execute(select(old_sealers)).all())
        name = self._book.latest.agencies
        return {
            "keys": keys,
            "due": [str(use) for use in self.due()],
            "code": self.code,
            "sealing_to_old": [
                {"agency": row.a, "name": name[row.a].name, "count": row.count, "last": row.last}
                for row in late
                if row.a in name and row.last > now - 7 * DAY
            ],
        }

    # --- steps

    async def _carry_out(self, steps: Sequence[Step]) -> list[Json]:
        done: list[Json] = []
        for step in steps:
            own = await self._drawn(step)
            await self._published_now(own)
            done.append({"use": str(own.use), "kid": own.kid, "nbf": own.nbf, "exp": own.exp})
            log.info("renewed", use=str(own.use))
        await self._end()
        return done

    async def _drawn(self, step: Step) -> Own:
        """A key of this use that waits to be published, or a new one: in the store, with its dates as they are now."""
        now = self._now()
        waiting = next((o for o in self._ring.own if o.use is step.use and o.published is None), None)
        times = self._times()
        if waiting is not None and not self._shows(waiting.kid):
            drawn = (await self._store.run(_drawn)).get(waiting.kid)
            # Nobody may publish a key twice, and a thief's copy of it must not become ours. Posted before, it can come
            # no more: our chain has moved on since.
            if self._is_anothers(waiting.kid) or drawn != times:
                await self._take(lambda c, kid=waiting.kid: ring.forget(c, kid))  # type: ignore[misc]
                waiting = None
        seed = self._draw(32) if waiting is None else waiting.seed
        key = OpeningKey(seed) if step.use is Use.PREKEY else SigningKey(seed)
        shown = next((one for one in self._published() if one.kid == key.kid), None)
        own = Own(key.kid, step.use, seed, now, now + LIFE[step.use])
        if shown is not None:  # the relay took it, and we never heard so
            own = replace(own, nbf=shown.nbf, exp=shown.exp)

        def work(c: Connection) -> None:
            if waiting is None:
                ring.keep(c, own)
                waits = {one.kid for one in ring.kept(c) if one.published is None}
                known = {kid: at for kid, at in _drawn(c).items() if kid in waits}
                write_kv(c, DRAWN, json.dumps({**known, own.kid: times}))
            else:
                ring.dated(c, own.kid, own.nbf, own.exp)
            ends = _ending(c) | dict.fromkeys(step.ends, now + DRAIN[step.use])
            write_kv(c, ENDING, json.dumps(ends))

        await self._take(work)
        self._book.held.add(own.kid)
        return own

    async def _published_now(self, own: Own) -> None:
        if not self._shows(own.kid):
            await self._post(
                lambda chain, ts: chain.add_key(own.use, own.public, own.nbf, own.exp, ts),
                lambda: self._shows(own.kid),
            )
        now = int(self._clock())
        alone = not any(key.kid != own.kid and key.stands(now) for key in self._standing(own.use))
        since = now if alone else now + SETTLE.get(own.use, 0)
        await self._take(lambda c: ring.published(c, own.kid, now, since))

    async def _end(self) -> None:
        """End what was replaced by command; also what an earlier run did not come to."""
        for kid, since in (await self._store.run(_ending)).items():
            key = next((one for one in self._published() if one.kid == kid), None)
            if key is not None and key.revoked is None and since < key.exp:
                await self._post(
                    lambda chain, ts, kid=kid, since=since: chain.revoke(kid, "rotated", max(since, ts), ts),  # type: ignore[misc]
                    lambda kid=kid: self._is_ended(kid),  # type: ignore[misc]
                )
            await self._store.run(lambda c, kid=kid: _ended(c, kid))  # type: ignore[misc]

    async def _post(self, make: Callable[[Chain, int], Signed], done: Callable[[], bool]) -> None:
        """Post one statement where our chain stands now: the administrator may have written meanwhile."""
        for _ in range(ATTEMPTS):
            now, mine = self._now(), self._book.latest.agencies[self._ring.agency]
            signed = make(Chain(mine.id, self._ring.renew, mine.seq, mine.head), now)
            await self._store.run(lambda c, one=signed, ts=now: own_chain.post(c, one, ts))  # type: ignore[misc]
            item = api.StatementIn(kind="directory", signed=api.SignedJson(**signed.to_json()))
            answer = await self._relay.post_statements(api.StatementsRequest(statements=(item,)))
            result = answer.results[0]
            await self._book.refresh()
            if done():
                return
            if result.status == "refused" and result.code != "DIRECTORY":
                raise Refusal(result.code or "UNFORESEEN")
        raise Refusal("CONFLICT", "The directory changes faster than this agent can follow.", retry=True)

    async def _erase(self) -> None:
        gone = 0

        def work(c: Connection) -> None:
            nonlocal gone
            gone = ring.erase(c, self._book.certain)

        await self._take(work)
        if gone:
            await self._store.empty_log()
            log.info("erased", count=gone)

    # --- looking

    def _now(self) -> int:
        """Our clock, or the time of our chain's last statement: the administrator's clock may be minutes ahead."""
        mine = self._book.latest.agencies.get(self._ring.agency)
        return max(int(self._clock()), 0 if mine is None else mine.ts)

    def _times(self) -> str:
        """What changes with each emergency in our name: who speaks for us, and how many keys ended out of turn."""
        mine = self._book.latest.agencies.get(self._ring.agency)
        ended = sum(key.reason not in PLANNED for key in self._published())
        return "" if mine is None else f"{mine.op_kid} {ended}"

    def _published(self) -> Iterable[Key]:
        mine = self._book.latest.agencies.get(self._ring.agency)
        return () if mine is None else tuple(mine.keys.values())

    def _standing(self, use: Use) -> list[Key]:
        """Our keys of this use that stand or are yet to begin."""
        now, held = self._clock(), self._ring.kids
        return [
            key
            for key in self._published()
            if key.use is use and key.kid in held and now < key.exp and key.revoked is None
        ]

    def _is_anothers(self, kid: str) -> bool:
        """Whether somebody who saw it on its way has published it: by the directory, and not by the relay's word."""
        return self._book.latest.ids.get(kid) not in (None, self._ring.agency)

    def _shows(self, kid: str) -> bool:
        return any(key.kid == kid for key in self._published())

    def _is_ended(self, kid: str) -> bool:
        return any(key.kid == kid and key.revoked is not None for key in self._published())

    def _plan(self, steps: Sequence[Step]) -> Json:
        now, view = int(self._clock()), self._book.latest
        return {
            "publish": [
                {"use": str(s.use), "kid": None, "nbf": now, "exp": now + LIFE[s.use]} for s in steps
            ],
            "revoke": [
                {"kid": kid, "reason": "rotated", "since": now + DRAIN[s.use]}
                for s in steps
                for kid in s.ends
            ],
            "affected": [
                {"agency": one.id, "name": one.name}
                for one in view.agencies.values()
                if one.member and one.id != self._ring.agency
            ],
        }

    async def _take(self, work: Callable[[Connection], None]) -> None:
        """Change the store's keys; the ring follows in the same breath."""

        def both(c: Connection) -> tuple[Own, ...]:
            work(c)
            return ring.kept(c)

        self._ring.take(await self._store.run(both))


def _drawn(c: Connection) -> dict[str, str]:
    """The keys that wait to be published, each with the times in which it was drawn."""
    return dict(json.loads(read_kv(c, DRAWN) or "{}"))


def _ending(c: Connection) -> dict[str, int]:
    return dict(json.loads(read_kv(c, ENDING) or "{}"))


def _ended(c: Connection, kid: str) -> None:
    write_kv(c, ENDING, json.dumps({other: since for other, since in _ending(c).items() if other != kid}))
