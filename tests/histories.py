"""Random histories of agreements, limits, messages, withdrawals, overrides and emergencies, against a model.

The relay is real, over real HTTP with a real store; the model is the handful of if-statements in histories_model. After
each step every mailbox must hold exactly what the model says, and oversight must have heard exactly what it should.
Time goes by, staples grow old, leads do not sign, the relay is restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
from collections import Counter
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
from schemas.override import parse_override
from schemas.signing import Purpose, Signed
from tests.broker.leads import EMERGENCY, REFUSED, People, header_of, post_override
from tests.histories_model import DAY, HOUR, Agreed, Message, Model, Thread
from tests.simulated_world import AGREED, World

NAMES = ("Peacock", "IDVAS", "Harbour")
OTHERS = ("IDVAS", "Harbour")
PURPOSES, CATEGORIES = ("SUPPORT", "HOUSING"), ("ask", "risk")
SOME = st.sets(st.sampled_from(OTHERS), min_size=1)
KINDS = st.sets(st.sampled_from(CATEGORIES), min_size=1)
LEADS = st.sampled_from(("lead", "lead", "second author", "their lead"))
LIFE = 7 * 24
"""Hours that a message lives."""


class Histories(RuleBasedStateMachine):
    """One history."""

    steps = 0
    reached: set[str] = set()  # noqa: RUF012 -- over all histories on purpose

    agreements = Bundle("agreements")
    waiting = Bundle("waiting")
    holding = Bundle("holding")
    threads = Bundle("threads")
    emergencies = Bundle("emergencies")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="fenpost-history-")
        self.world = World.found(Path(self.folder.name), *NAMES)
        self.people = People.of(self.world)
        self.model = Model()
        self.hours = 0
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()
        self.do(self._open())

    async def _open(self) -> None:
        self.relay = await self.stack.enter_async_context(self.world.relay(sweep_seconds=3600.0))
        self.http = await self.stack.enter_async_context(self.world.session())
        await self.relay.sweeper.sweep()
        self.model.looked(self.world.now)

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
        to=SOME,
        purposes=st.sets(st.sampled_from(PURPOSES), min_size=1),
        kinds=KINDS,
    )
    def agree(self, to: set[str], purposes: set[str], kinds: set[str]) -> Agreed:
        grant = self.world.grant("Peacock", *sorted(to), pur=sorted(purposes), cat=sorted(kinds))
        status = self.world.status("Peacock", grant)
        assert self.said("Peacock", ("grant", grant), ("status", status)) == ["recorded", "recorded"]
        self.note("agreed")
        fresh = self.world.now + 24 * HOUR
        told = frozenset(to) | {"Peacock"}
        return Agreed(grant, status, told, frozenset(purposes), frozenset(kinds), fresh)

    @rule(agreed=agreements, purposes=st.sets(st.sampled_from(PURPOSES), min_size=1), kinds=KINDS)
    def limit(self, agreed: Agreed, purposes: set[str], kinds: set[str]) -> None:
        """She agrees to part of it: a newer version under the same handle, and never to more."""
        grant = self.version(agreed, pur=sorted(purposes), cat=sorted(kinds))
        (said,) = self.said("Peacock", ("grant", grant))
        if agreed.withdrawn or not (purposes <= agreed.purposes and kinds <= agreed.categories):
            assert said == "refused", "an agreement grew, or came back"
            self.note("not more")
            return
        assert said == "recorded"
        agreed.grant, agreed.version = grant, agreed.version + 1
        agreed.purposes, agreed.categories = frozenset(purposes), frozenset(kinds)
        self.note("limited with mail" if self.model.limited(agreed) else "limited")

    @rule(
        target=agreements,
        to=SOME,
        purposes=st.sets(st.sampled_from(PURPOSES), min_size=1),
        kinds=KINDS,
        less=KINDS,
        stapled=st.booleans(),
        again=st.booleans(),
        who=st.sampled_from((None, None, "Peacock")),
    )
    def agree_and_change_at_once(
        self, to: set[str], purposes: set[str], kinds: set[str], less: set[str], stapled: bool, again: bool,
        who: str | None,
    ) -> Agreed:  # fmt: skip
        """All that was said while the relay was away, in one request: agreed, limited, stapled, perhaps taken back."""
        grant = self.world.grant("Peacock", *sorted(to), pur=sorted(purposes), cat=sorted(kinds))
        agreed = Agreed(
            grant, self.world.status("Peacock", grant), frozenset(to) | {"Peacock"}, frozenset(purposes),
            frozenset(kinds), self.world.now + 24 * HOUR,
        )  # fmt: skip
        limited = self.version(agreed, cat=sorted(less))
        words: list[tuple[str, Signed, str]] = [
            ("grant", grant, "recorded"),
            ("status", agreed.status, "recorded"),
        ]
        if less <= kinds:
            words.append(("grant", limited, "recorded"))
            agreed.grant, agreed.version, agreed.categories = limited, 2, frozenset(less)
        else:
            words.append(("grant", limited, "refused"))
        if stapled:
            self.world.clock.advance(1)
            agreed.status, agreed.fresh_until = (
                self.world.status("Peacock", grant),
                self.world.now + 24 * HOUR,
            )
            words.append(("status", agreed.status, "recorded"))
        if who is not None:
            words.append(("withdraw", self.world.withdrawal(who, grant), "recorded"))
            agreed.withdrawn = True
        if again:
            last = "refused" if agreed.withdrawn else "repeat" if agreed.version == 1 else "refused"
            words.append(("grant", grant, last))
        said = self.said("Peacock", *((kind, signed) for kind, signed, _ in words))
        assert said == [expected for _, _, expected in words]
        self.note("all at once")
        return agreed

    @rule(agreed=agreements, order=st.permutations(("limit", "staple", "withdraw")), kinds=KINDS)
    def change_at_once(self, agreed: Agreed, order: list[str], kinds: set[str]) -> None:
        """A limit, a staple and a withdrawal of one agreement, in one request and in any order: it has ended."""
        if agreed.withdrawn or not kinds <= agreed.categories:
            return
        signed = {
            "limit": ("grant", self.version(agreed, cat=sorted(kinds), pur=sorted(agreed.purposes))),
            "staple": ("status", self.world.status("Peacock", agreed.grant)),
            "withdraw": ("withdraw", self.world.withdrawal("Peacock", agreed.grant)),
        }
        said = dict(zip(order, self.said("Peacock", *(signed[name] for name in order)), strict=True))
        assert said["withdraw"] == "recorded"
        for name in ("limit", "staple"):
            before = order.index(name) < order.index("withdraw")
            assert said[name] in (("recorded", "repeat") if before else ("refused",)), (order, said)
        self.model.withdrawn(agreed)
        self.note("changed at once")

    @rule(target=agreements, agreed=agreements, gone=st.sampled_from(OTHERS))
    def limit_to_fewer(self, agreed: Agreed, gone: str) -> Any:
        """She rules a recipient out: never under the old handle, so that one ends and a new one begins."""
        left = sorted(agreed.to - {gone, "Peacock"})
        if gone not in agreed.to or not left or agreed.withdrawn:
            return multiple()
        agencies = [self.world.parties[name].id for name in ("Peacock", *left)]
        fewer = self.version(agreed, to=agencies, **{"from": agencies})
        assert self.said("Peacock", ("grant", fewer)) == ["refused"], "a handle changed its parties"
        self.withdrawn_by(agreed, "Peacock")
        self.note("fewer")
        return self.agree(set(left), set(agreed.purposes), set(agreed.categories))

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
        self.withdrawn_by(agreed, who)

    def withdrawn_by(self, agreed: Agreed, who: str) -> None:
        word = ("withdraw", self.world.withdrawal(who, agreed.grant))
        answer = self.do(self.world.post_statements(self.http, who, word))
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

    # --- what is sent

    @rule(
        target=waiting,
        agreed=agreements,
        to=SOME,
        purpose=st.sampled_from(PURPOSES),
        kinds=KINDS,
        quotes=st.sampled_from(("newest", "newest", "first")),
    )
    def send_agreed(self, agreed: Agreed, to: set[str], purpose: str, kinds: set[str], quotes: str) -> Any:
        version = agreed.version if quotes == "newest" else 1
        law = {**AGREED, "agree": "GIVEN" if version == 1 else "LIMITED", "agree_ver": version}
        categories = frozenset(kinds)
        sealed = self.world.seal(
            "Peacock", *sorted(to), grant=agreed.grant, status=agreed.status, law=law, purpose=purpose,
            categories=tuple(sorted(kinds)),
        )  # fmt: skip
        expected = self.model.answer_agreed(
            agreed, version, frozenset(to), purpose, categories, self.world.now
        )
        return self.sent(Message(sealed, frozenset(to), agreed, purpose, categories), expected)

    @rule(to=SOME)
    def send_refused(self, to: set[str]) -> None:
        self.sent(self.risky(to, {**REFUSED, "why_no": None}), "REFUSED")

    @rule(
        targets=(waiting, emergencies),
        to=SOME,
        agree=st.sampled_from(("REFUSED", "NOT_SOUGHT")),
        b6=st.sampled_from((None, "6f")),
    )
    def send_emergency(self, to: set[str], agree: str, b6: str | None) -> Any:
        law = {**EMERGENCY, "agree": agree, "b6": b6}
        message = self.risky(to, law, rag="RED")
        self.sent(message, "accepted")
        self.model.went(message, self.world.now)
        self.note("rung" if self.model.told["ring"] else "break-glass")
        return message

    @rule(target=holding, to=SOME, rag=st.sampled_from(("RED", "AMBER")))
    def send_overriding(self, to: set[str], rag: str) -> Any:
        return self.sent(self.risky(to, REFUSED, rag=rag), "held")

    @rule(target=threads, to=SOME, days=st.sampled_from((1, 28, 29)), lead=LEADS)
    def ask_for_a_thread(self, to: set[str], days: int, lead: str) -> Any:
        header = header_of(self.risky(to, REFUSED).sealed)
        until = self.world.now + days * DAY
        whole = {"scope": "thread", "mid": None, "thr": header.thr, "exp": until}
        signed, record = self.people.override(header, lead=lead, **whole)
        status, code = self.do(post_override(self.world, self.http, signed, record))
        if lead != "lead" or days > 28:
            assert status == "refused", "an override without a lead, or for too long"
            self.note("too long" if code == "OVERRIDE_LIFE" else "no lead")
            return multiple()
        assert status == "recorded"
        self.model.told["override"] += 1
        self.note("thread")
        return Thread(header.thr, frozenset(to), until, signed)

    @rule(
        target=waiting,
        thread=threads,
        to=SOME,
        purpose=st.sampled_from(("RISK_MGMT", "RISK_MGMT", "CHILD_PROT")),
    )
    def send_in_thread(self, thread: Thread, to: set[str], purpose: str) -> Any:
        named = (parse_override(thread.signed).hash, thread.signed)
        message = self.risky(to, REFUSED, purpose=purpose, thread=thread.id, override=named)
        expected = self.model.answer_thread(thread, message.to, purpose, self.world.now)
        return self.sent(message, expected)

    @rule(target=waiting, message=consumes(holding), lead=LEADS)
    def override(self, message: Message, lead: str) -> Any:
        signed, record = self.people.override(header_of(message.sealed), lead=lead)
        status, _ = self.do(post_override(self.world, self.http, signed, record))
        if lead != "lead":
            assert status == "refused", "somebody who is no lead of this agency overrode a wish"
            self.note("no lead")
            return multiple()
        assert status == "recorded"
        self.model.told["override"] += 1
        if not message.held:
            self.note("signed too late")
            return multiple()
        message.held, message.waiting = False, set(message.to)
        self.note("released")
        return message

    @rule(message=emergencies, lead=LEADS, basis=st.sampled_from(("6f", "6d")))
    def sign_afterwards(self, message: Message, lead: str, basis: str) -> None:
        signed, record = self.people.override(header_of(message.sealed), lead=lead, basis=basis)
        status, _ = self.do(post_override(self.world, self.http, signed, record))
        if lead != "lead":
            assert status == "refused", "somebody who is no lead of this agency signed for an emergency"
            self.note("no lead")
            return
        assert status == "recorded"
        self.model.told.update(["override"] if message.due is None else ["override", "lead-signed"])
        self.note("signed twice" if message.due is None else "signed afterwards")
        message.due = None

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

    def _pass(self, hours: int) -> None:
        """A history ends before its first message would: what expires has tests of its own, and the model knows none."""
        self.hours += hours
        if self.hours < LIFE:
            self.world.clock.advance(hours * HOUR)

    @rule(hours=st.sampled_from((1, 3, 11, 25)))
    def time_goes_by(self, hours: int) -> None:
        self._pass(hours)
        self.note("time")

    @rule(hours=st.sampled_from((0, 1, 6, 25)))
    def the_relay_looks(self, hours: int) -> None:
        """What time brings: bells, lapses, missing signatures; and oversight reads what it was told."""
        self._pass(hours)
        self.do(self.relay.sweeper.sweep())
        self.model.looked(self.world.now)
        for kind in ("lead-missing", "hold-escalated", "lapsed"):
            if self.model.told[kind]:
                self.note(kind)
        self.oversight_reads()
        self.note("looked")

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

    def oversight_reads(self) -> None:
        heard: Counter[str] = Counter()
        while notices := self.do(self.world.mailbox(self.http, "oversight")).head.notices:
            heard.update(notice.kind for notice in notices)
            read = tuple(notice.id for notice in notices)
            self.do(self.world.post_receipts(self.http, "oversight", notices=read))
        assert heard == +self.model.told
        self.model.told.clear()

    # --- how it is asked

    def version(self, agreed: Agreed, **changes: Any) -> Signed:
        """A later version of an agreement, limited."""
        consent = self.world.parties["Peacock"].member.agent.consent
        later = {**agreed.grant.peek(), "ver": agreed.version + 1, "limited": True, **changes}
        return Signed.make(consent, Purpose.GRANT, later)

    def risky(self, to: set[str], law: Any, rag: str = "AMBER", **changes: Any) -> Message:
        """A message of a risk, against a wish or without one."""
        values = {"purpose": "RISK_MGMT", "thread": b64(secrets.token_bytes(16)), **changes}
        sealed = self.world.seal("Peacock", *sorted(to), law=law, rag=rag, **values)
        purpose = values["purpose"]
        return Message(sealed, frozenset(to), None, purpose, frozenset({"ask"}), red=rag == "RED")

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
        if expected == "held":
            self.model.held(message, self.world.now)
        else:
            message.waiting = set(message.to)
        return message


EVERYTHING = frozenset({
    "agreed", "stapled", "no new life", "replayed", "withdrawn", "withdrawn with mail", "withdrawn twice", "stranger",
    "limited", "limited with mail", "not more", "fewer", "all at once", "changed at once",
    "sent: accepted", "sent: GRANT", "sent: STATUS_STALE", "sent: REFUSED", "sent: held", "released", "no lead",
    "thread", "too long", "sent: OVERRIDE_RECIPIENTS", "sent: OVERRIDE_DIFFERS", "sent: OVERRIDE_EXPIRED",
    "break-glass", "rung", "signed afterwards", "signed twice", "signed too late", "lead-missing", "hold-escalated",
    "lapsed", "repeated", "ended", "time", "looked", "restarted",
})  # fmt: skip


def play(steps: int, everything: frozenset[str], first: int = 0) -> int:
    """Histories until so many steps were taken and all of `everything` happened; says how many steps.

    `first` is the first seed: a short run begins where much happens early.
    """
    Histories.steps, Histories.reached = 0, set()
    machine = settings(
        max_examples=5, stateful_step_count=50, deadline=None, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    number = first
    while Histories.steps < steps or not everything <= Histories.reached:
        assert number < first + 80, f"never reached: {everything - Histories.reached}"
        run_state_machine_as_test(seed(number)(Histories), settings=machine)
        number += 1
    return Histories.steps
