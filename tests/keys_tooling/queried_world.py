"""A small partnership's fortnight, played through the real relay, for the questions that officers ask of it.

`Story.play` gives every message a name; `asked` answers a question as an officer of one party would get it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from keys_tooling.audit.index import open_index
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.openings import Journal, unlogged
from keys_tooling.audit.queries.catalogue import BY_NAME
from keys_tooling.audit.queries.question import Answer, Desk
from keys_tooling.audit.query import read_params
from keys_tooling.audit.verify import verify
from schemas.canonical import b64
from schemas.chain import Chain
from schemas.sealing import Sealed
from schemas.signing import Purpose, Signed
from tests.broker.leads import EMERGENCY, REFUSED, People, header_of, one, post_override, risky
from tests.keys_tooling.mirrored import pull_served
from tests.policy_world import next_policy, publish
from tests.simulated_world import AGREED, NOW, World

HOUR, DAY = 3600, 24 * 3600
SECTORS = {"Peacock": "da_support", "IDVAS": "idva", "Police": "police", "Council": "childrens_services"}
CASE = b64(b"one case of many")
ASKED = {
    **AGREED, "agree": "NOT_SOUGHT", "agree_by": None, "agree_ver": None, "b6": "6f", "why_no": "A", "told": "YES",
}  # fmt: skip
ATTESTED = ["VIR-LINE", "VIR-NECESSARY", "VIR-PROPORTIONATE", "VIR-LAST-RESORT"]


@dataclass
class Story:
    """What happened: messages by name, and the world in which it did."""

    world: World
    folder: Path
    mids: dict[str, str] = field(default_factory=dict)
    sealed: dict[str, Sealed] = field(default_factory=dict)
    gids: dict[str, str] = field(default_factory=dict)
    began: int = 0
    opened: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def told(cls, folder: Path) -> Story:
        # People's keys count two days after they were published: the story begins when they do.
        world = World.found(folder / "world", *SECTORS, sectors=SECTORS, now=NOW - 2 * DAY)
        people = People.of(world)
        admin = world.parties["IDVAS"].admin
        chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
        world.take(chain.roster("intake", ("manager",), world.now))
        world.parties["IDVAS"].admin = replace(admin, seq=chain.seq, head=chain.head)
        world.write_relay_folder()
        story = cls(world, folder, began=world.now)
        asyncio.run(story.play(people))
        return story

    async def play(self, people: People) -> None:
        world = self.world
        async with world.relay() as relay, world.session() as http:
            await self._agreed(http)
            await self._without(http, people)
            world.clock.advance(DAY + 10 * HOUR)  # Monday, ten in the morning
            await self._worked(http)
            await self._withdrawn(http)
            await self._policy(http)
            for seconds in (5 * HOUR, 3 * DAY):
                world.clock.advance(seconds)
                await relay.sweeper.sweep()
            world.clock.advance(5 * DAY)
            await relay.sweeper.sweep()
            for party in ("Peacock", "IDVAS", "oversight"):
                await self._pull(party)

    async def _send(self, http: Any, name: str, sealed: Sealed, sender: str = "Peacock") -> str:
        self.mids[name], self.sealed[name] = sealed.mid, sealed
        return str((await one(self.world, http, sealed, sender))["status"])

    async def _climb(self, http: Any, name: str, party: str, *states: str, **changes: Any) -> None:
        page = await self.world.mailbox(http, party)
        delivery = next(d for d in page.deliveries if d.envelope.header.mid == self.mids[name])
        for state in states:
            signed = self.world.receipt(party, delivery, state, **(changes if state == states[-1] else {}))
            answer = await self.world.post_receipts(http, party, signed)
            assert answer.json()["results"][0]["status"] == "recorded", answer.body

    def _statement(self, name: str, grant: Signed) -> Signed:
        self.gids[name] = grant.peek()["gid"]
        return grant

    async def _agreed(self, http: Any) -> None:
        """Sunday night: an agreement, a message on it that IDVAS takes on, one about a child, one of another case."""
        world = self.world
        grant = self._statement(
            "kept", world.grant("Peacock", "IDVAS", exp=world.now + 60 * DAY, cat=["ask", "health"])
        )
        status = world.status("Peacock", grant)
        await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
        on = {"grant": grant, "status": status}
        assert (
            await self._send(http, "agreed", world.seal("Peacock", "IDVAS", subject=CASE, **on)) == "accepted"
        )
        await self._climb(http, "agreed", "IDVAS", "collected", "opened", "taken-on")
        child = world.seal("Peacock", "IDVAS", law={**AGREED, "child": True}, **on)
        assert await self._send(http, "child", child) == "accepted"
        much = world.seal("Peacock", "IDVAS", categories=("ask", "health"), **on)
        assert await self._send(http, "much", much) == "accepted"
        passed = {
            **AGREED,
            "src": [{"leave": None, "mid": self.mids["agreed"], "onward": "NONE", "pur": "SUPPORT"}],
        }
        onward = world.seal("IDVAS", "Peacock", law=passed, rag="RED", **on)
        assert await self._send(http, "onward", onward, "IDVAS") == "accepted"

    async def _without(self, http: Any, people: People) -> None:
        """What went without the person's agreement."""
        world = self.world
        for name, who in (("overridden", "lead"), ("waiting", "")):
            sealed = risky(world, law={**REFUSED, "told": "YES"})
            assert await self._send(http, name, sealed) == "held"
            if who:
                signed, record = people.override(header_of(sealed))
                assert await post_override(world, http, signed, record) == ("recorded", None)
        for name in ("emergency", "signed emergency"):
            sealed = risky(world, rag="RED", law=EMERGENCY)
            assert await self._send(http, name, sealed) == "accepted"
        signed, record = people.override(header_of(self.sealed["signed emergency"]), reason="F")
        assert await post_override(world, http, signed, record) == ("recorded", None)
        unsafe = {**ASKED, "told": "UNSAFE", "told_by": world.now + 2 * DAY}
        assert await self._send(http, "unsafe", risky(world, rag="RED", law=unsafe)) == "accepted"
        special = {**ASKED, "spec": True, "s1": [], "b9": None}
        assert await self._send(http, "special", risky(world, rag="RED", law=special)) == "accepted"
        lawful = {**ASKED, "spec": True, "b9": "9g", "s1": ["s1:18"], "adult_at_risk": True}
        assert await self._send(http, "lawful", risky(world, rag="RED", law=lawful)) == "accepted"
        for n in range(5):
            blocked = world.seal("Peacock", "IDVAS", law=REFUSED, rag="GREEN")
            assert await self._send(http, f"blocked {n}", blocked) == "refused"
        for name, vir in (("noticed", [*ATTESTED, "VIR-NOTICE"]), ("unnoticed", ATTESTED)):
            law = {**ASKED, "b6": "LE", "vir": vir, "agree": "NOT_SOUGHT", "gw": []}
            sealed = world.seal("Police", "Peacock", law=law, cls="INFOREQ", rag="RED", purpose="CRIME")
            assert await self._send(http, name, sealed, "Police") == "accepted"

    async def _worked(self, http: Any) -> None:
        """Monday in working hours."""
        world = self.world
        assert await self._send(http, "plain", world.seal("Peacock", "Council")) == "accepted"
        await self._climb(http, "plain", "Council", "collected", "opened", "taken-on")
        await self._climb(http, "special", "IDVAS", "collected", "opened", "taken-on")
        await self._climb(http, "lawful", "IDVAS", "collected", "opened", "rejected", reason="over-shared")

    async def _withdrawn(self, http: Any) -> None:
        """An agreement that ends: one party answers, the other does not."""
        world = self.world
        ended = self._statement("ended", world.grant("Peacock", "IDVAS", "Council"))
        status = world.status("Peacock", ended)
        await world.post_statements(http, "Peacock", ("grant", ended), ("status", status))
        on = {"grant": ended, "status": status, "subject": b64(b"of the ended one")}
        assert await self._send(http, "before", world.seal("Peacock", "IDVAS", **on)) == "accepted"
        await self._climb(http, "before", "IDVAS", "collected", "opened", "taken-on")
        assert await self._send(http, "stopped", world.seal("Peacock", "IDVAS", **on)) == "accepted"
        gone = world.withdrawal("Peacock", ended)
        await world.post_statements(http, "Peacock", ("withdraw", gone))
        from schemas.grants import withdrawal_hash

        key = world.parties["IDVAS"].member.agent.consent
        said = {
            "a": world.parties["IDVAS"].id, "did": "deleted", "gid": ended.peek()["gid"], "outside": False,
            "passed": [world.parties["Council"].id], "signer": key.kid, "ts": world.now, "v": 1,
            "wd": b64(withdrawal_hash(gone)), "why": None,
        }  # fmt: skip
        await world.post_statements(http, "IDVAS", ("recalled", Signed.make(key, Purpose.RECALLED, said)))
        world.clock.advance(HOUR)
        after = risky(world, rag="RED", law=ASKED, subject=b64(b"of the ended one"))
        assert await self._send(http, "after", after) == "accepted"

    async def _policy(self, http: Any) -> None:
        """A policy under which one basis has ended, and only Peacock and IDVAS share for risk."""
        world = self.world
        text = json.loads(world.founded.policy.text)
        bases = [
            {**entry, "to": world.now} if entry["code"] == "6f" else entry
            for entry in text["vocabulary"]["bases"]
        ]
        pair = sorted(world.parties[name].id for name in ("Peacock", "IDVAS"))
        sharing = [{**text["agreements"][0], "id": "pair", "parties": pair}]
        changes = {"vocabulary": {**text["vocabulary"], "bases": bases}, "agreements": sharing}
        await publish(world, http, next_policy(world, **changes))
        world.clock.advance(60)
        assert await self._send(http, "outdated", risky(world, rag="RED", law=ASKED)) == "accepted"
        assert (
            await self._send(http, "stranger", risky(world, "Police", rag="RED", law={**ASKED, "b6": "6d"}))
            == "accepted"
        )

    # --- officers

    def _place(self, party: str) -> Path:
        return self.folder / party

    async def _pull(self, party: str) -> None:
        await pull_served(self.world, self._place(party), party)

    def asked(self, name: str, party: str = "Peacock", at: int | None = None, **given: str) -> Answer:
        """What an officer of `party` is answered, at a time in seconds."""
        question, desk = BY_NAME[name], self.desk(party, at)
        return question.ask(desk, read_params(question.params, given, desk.view, desk.agency))

    def desk(self, party: str = "Peacock", at: int | None = None) -> Desk:
        """What questions are asked of, as the officer of `party` has it."""
        world, folder = self.world, self._place(party)
        partnership, keys = world.founded.partnership, world.parties[party].officer

        def check() -> Any:
            with open_mirror(folder, write=False) as mirror:
                return verify(mirror, partnership, lambda _at: None)

        if party not in self.opened:
            with open_index(folder, partnership, keys, secrets.token_bytes, lambda _at: None) as index:
                self.opened[party] = (tuple(index.rows()), index.officer, index.closed)
        rows, officer, closed = self.opened[party]
        return Desk(
            load=lambda events: [row for row in rows if row.event in events], agency=officer.agency.id,
            view=officer.view, shelf=officer.shelf, now=world.now if at is None else at, closed=closed, verify=check,
            unlogged=lambda: unlogged(Journal(folder), rows, world.now),
        )  # fmt: skip

    def named(self, answer: Answer) -> set[str]:
        """The names of the messages in an answer."""
        known = {mid: name for name, mid in self.mids.items()}
        at = answer.columns.index("message")
        return {known.get(str(row[at]), "unknown") for row in answer.rows}
