"""Random histories of agreements, messages, withdrawals and overrides, against a model that a person can read.

The relay is real, over real HTTP with a real store; the model is the handful of if-statements in `Model`. After each
step every mailbox must hold exactly what the model says. Time goes by, staples grow old, the relay is restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from schemas.canonical import b64
from tests.broker.leads import EMERGENCY, REFUSED, People, header_of, post_override
from tests.simulated_world import World

HOUR = 3600
NAMES = ("Peacock", "IDVAS", "Harbour")
OTHERS = ("IDVAS", "Harbour")
WISHES = {"refused": {**REFUSED, "why_no": None}, "overriding": REFUSED, "emergency": EMERGENCY}
"""Messages against a wish, by why: no reason at all, a reason that a lead must sign, danger now."""


@dataclass
class Agreed:
    """An agreement as the model knows it."""

    grant: Any
    status: Any
    to: frozenset[str]
    purposes: frozenset[str]
    fresh_until: int
    withdrawn: bool = False


@dataclass
class Message:
    """A message as the model knows it: where it waits, what it rests on, whether a lead's word is awaited."""

    sealed: Any
    to: frozenset[str]
    agreed: Agreed | None
    wish: str
    held: bool = False
    waiting: set[str] = field(default_factory=set)


class Model:
    """What ought to happen."""

    def __init__(self) -> None:
        self.messages: dict[str, Message] = {}

    @staticmethod
    def answer_agreed(agreed: Agreed, to: frozenset[str], purpose: str, now: int) -> str:
        """To a message that says: she agreed, and here is the agreement."""
        if agreed.withdrawn:
            return "GRANT"
        if not to <= agreed.to or purpose not in agreed.purposes:
            return "GRANT"
        if now >= agreed.fresh_until:
            return "STATUS_STALE"
        return "accepted"

    @staticmethod
    def answer_wish(wish: str) -> str:
        """To a message against her wish."""
        return {"refused": "REFUSED", "overriding": "held", "emergency": "accepted"}[wish]

    def withdrawn(self, agreed: Agreed) -> int:
        """She withdrew: what rests on it and waits is gone; how many deliveries that is."""
        agreed.withdrawn = True
        stopped = 0
        for message in self.messages.values():
            if message.agreed is agreed:
                stopped += len(message.waiting)
                message.waiting = set()
        return stopped

    def mailbox(self, name: str) -> set[str]:
        return {eid for eid, message in self.messages.items() if name in message.waiting}


class Histories(RuleBasedStateMachine):
    """One history."""

    steps = 0
    reached: set[str] = set()  # noqa: RUF012 -- over all histories on purpose

    agreements = Bundle("agreements")
    waiting = Bundle("waiting")
    holding = Bundle("holding")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="fenpost-history-")
        self.world = World.found(Path(self.folder.name), *NAMES)
        self.people = People.of(self.world)
        self.model = Model()
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.do(self._open())

    async def _open(self) -> None:
        self.relay = await self.stack.enter_async_context(self.world.relay(sweep_seconds=3600.0))
        self.http = await self.stack.enter_async_context(self.world.session())

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    def note(self, what: str) -> None:
        Histories.steps += 1
        Histories.reached.add(what)

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    # --- what people do

    @rule(
        target=agreements,
        to=st.sets(st.sampled_from(OTHERS), min_size=1),
        purposes=st.sets(st.sampled_from(("SUPPORT", "HOUSING")), min_size=1),
    )
    def agree(self, to: set[str], purposes: set[str]) -> Agreed:
        grant = self.world.grant("Peacock", *sorted(to), pur=sorted(purposes))
        status = self.world.status("Peacock", grant)
        assert self.said("Peacock", ("grant", grant), ("status", status)) == ["recorded", "recorded"]
        self.note("agreed")
        fresh = self.world.now + 24 * HOUR
        return Agreed(grant, status, frozenset(to) | {"Peacock"}, frozenset(purposes), fresh)

    @rule(agreed=agreements)
    def staple(self, agreed: Agreed) -> None:
        status = self.world.status("Peacock", agreed.grant)
        said = self.said("Peacock", ("status", status))
        if agreed.withdrawn:
            assert said[0] not in ("recorded", "repeat"), "a withdrawn agreement was given new life"
            self.note("no new life")
            return
        assert said[0] in ("recorded", "repeat"), said
        agreed.status, agreed.fresh_until = status, self.world.now + 24 * HOUR
        self.note("stapled")

    @rule(agreed=agreements)
    def replay(self, agreed: Agreed) -> None:
        """The old word of agreement, handed in once more, changes nothing."""
        before = agreed.withdrawn
        said = self.said("Peacock", ("grant", agreed.grant))
        assert said != ["recorded"], "an old agreement was taken as new"
        assert agreed.withdrawn is before
        self.note("replayed")

    @rule(agreed=agreements, who=st.sampled_from(NAMES))
    def withdraw(self, agreed: Agreed, who: str) -> None:
        answer = self.do(
            self.world.post_statements(self.http, who, ("withdraw", self.world.withdrawal(who, agreed.grant)))
        )
        (result,) = answer.json()["results"]
        if who not in agreed.to:
            assert result["status"] == "refused", "a stranger ended an agreement"
            self.note("stranger")
            return
        if agreed.withdrawn:
            assert result["status"] != "refused" or result["code"], result
            self.note("withdrawn twice")
            return
        stopped = self.model.withdrawn(agreed)
        assert (result["status"], result["stopped"]) == ("recorded", stopped)
        self.note("withdrawn with mail" if stopped else "withdrawn")

    @rule(
        target=waiting,
        agreed=agreements,
        to=st.sets(st.sampled_from(OTHERS), min_size=1),
        purpose=st.sampled_from(("SUPPORT", "HOUSING")),
    )
    def send_agreed(self, agreed: Agreed, to: set[str], purpose: str) -> Any:
        sealed = self.world.seal(
            "Peacock", *sorted(to), grant=agreed.grant, status=agreed.status, purpose=purpose
        )
        expected = self.model.answer_agreed(agreed, frozenset(to), purpose, self.world.now)
        return self.sent(Message(sealed, frozenset(to), agreed, "agreed"), expected)

    @rule(
        target=waiting,
        to=st.sets(st.sampled_from(OTHERS), min_size=1),
        wish=st.sampled_from(("refused", "emergency")),
    )
    def send_against(self, to: set[str], wish: str) -> Any:
        rag = "RED" if wish == "emergency" else "AMBER"
        sealed = self.world.seal("Peacock", *sorted(to), law=WISHES[wish], purpose="RISK_MGMT", rag=rag)
        return self.sent(Message(sealed, frozenset(to), None, wish), self.model.answer_wish(wish))

    @rule(target=holding, to=st.sets(st.sampled_from(OTHERS), min_size=1))
    def send_overriding(self, to: set[str]) -> Any:
        sealed = self.world.seal("Peacock", *sorted(to), law=REFUSED, purpose="RISK_MGMT")
        return self.sent(Message(sealed, frozenset(to), None, "overriding"), "held")

    @rule(
        target=waiting,
        message=consumes(holding),
        lead=st.sampled_from(("lead", "second author", "their lead")),
    )
    def override(self, message: Message, lead: str) -> Any:
        signed, record = self.people.override(header_of(message.sealed), lead=lead)
        status, _ = self.do(post_override(self.world, self.http, signed, record))
        if lead != "lead":
            assert status == "refused", "somebody who is no lead of this agency overrode a wish"
            self.note("no lead")
            return multiple()
        assert status == "recorded"
        message.held, message.waiting = False, set(message.to)
        self.note("released")
        return message

    @rule(message=waiting)
    def send_again(self, message: Message) -> None:
        answer = self.do(self.world.post_envelopes(self.http, "Peacock", message.sealed))
        assert answer.json()["results"][0]["status"] == "repeat"
        self.note("repeated")

    @rule(message=waiting, who=st.sampled_from(OTHERS), state=st.sampled_from(("taken-on", "rejected")))
    def end(self, message: Message, who: str, state: str) -> None:
        page = self.do(self.world.mailbox(self.http, who))
        found = [d for d in page.deliveries if b64(d.envelope.eid) == message.sealed.eid]
        assert len(found) == (who in message.waiting)
        if not found:
            return
        answer = self.do(self.world.post_receipts(self.http, who, self.world.receipt(who, found[0], state)))
        assert answer.json()["results"][0]["status"] == "recorded"
        message.waiting.discard(who)
        self.note("ended")

    @rule(hours=st.sampled_from((1, 3, 11, 25)))
    def time_goes_by(self, hours: int) -> None:
        self.world.clock.advance(hours * HOUR)
        self.note("time")

    @rule()
    def restart(self) -> None:
        self.do(self.stack.aclose())
        self.stack = contextlib.AsyncExitStack()
        self.do(self._open())
        self.note("restarted")

    # --- what must hold

    @invariant()
    def every_mailbox_is_as_the_model_says(self) -> None:
        for name in OTHERS:
            page = self.do(self.world.mailbox(self.http, name))
            assert {item.eid for item in page.head.items} == self.model.mailbox(name)

    # --- how it is asked

    def said(self, who: str, *pairs: Any) -> list[str]:
        answer = self.do(self.world.post_statements(self.http, who, *pairs))
        return [result["status"] for result in answer.json()["results"]]

    def sent(self, message: Message, expected: str) -> Any:
        answer = self.do(self.world.post_envelopes(self.http, "Peacock", message.sealed))
        told = answer.json()["results"][0]["status"] if answer.status == 200 else answer.json()["code"]
        assert told == expected
        self.note(f"sent: {expected}")
        if expected not in ("accepted", "held"):
            return multiple()
        self.model.messages[message.sealed.eid] = message
        message.held = expected == "held"
        message.waiting = set() if message.held else set(message.to)
        return message


EVERYTHING = frozenset({
    "agreed", "stapled", "no new life", "replayed", "withdrawn", "withdrawn with mail", "withdrawn twice", "stranger",
    "sent: accepted", "sent: GRANT", "sent: STATUS_STALE", "sent: REFUSED", "sent: held", "released", "no lead",
    "repeated", "ended", "time", "restarted",
})  # fmt: skip


def play(steps: int, everything: frozenset[str]) -> int:
    """Histories until so many steps were taken and all of `everything` happened; says how many steps."""
    Histories.steps, Histories.reached = 0, set()
    machine = settings(
        max_examples=5, stateful_step_count=50, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    number = 0
    while Histories.steps < steps or not everything <= Histories.reached:
        assert number < 80, f"never reached: {everything - Histories.reached}"
        run_state_machine_as_test(seed(number)(Histories), settings=machine)
        number += 1
    return Histories.steps
