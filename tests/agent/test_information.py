"""Requests for information, their answers, and what is passed on, between real agents (PROTOCOL.md C19, C20, G14)."""

import json

import pytest
from sqlalchemy import select, update

from agent.explained import Explained
from agent.forms import Send
from agent.send import seal_plan
from agent.tables import inbox, journal, sealings
from schemas.errors import Refusal
from schemas.references import OPEN_FOR
from tests.agent.agencies import MESSAGE, quiet
from tests.messages.samples import least
from tests.simulated_world import World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")
DESK = "intake"
DUTY = {
    "why_no": "E",
    "gw": ["COURT"],
    "b6": "6c",
    "conf": "statute",
    "told": "YES",
    "b9": "9g",
    "s1": ["s1:6"],
}
"""Nothing but the rows about requests and passing on has anything to say."""


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour", sectors={"IDVAS": "health"})


def form(kind, to, payload, **changes):
    value = {
        "kind": kind,
        "payload": payload,
        "to": [{"agency": name, "desk": DESK} for name in to],
        "law": DUTY,
    }
    return Send.model_validate_json(json.dumps(value | changes))


def request(to=("Peacock",), items=("contact", "needs"), **changes):
    return form("info.request", to, least("info.request") | {"items": list(items)}, **changes)


def answer(mid, to=("IDVAS",), onward="ASK", payload=None, **changes):
    said = least("info.give") | {"rfi_ref": mid, "onward": onward} | (payload or {})
    return form("info.give", to, said, **changes)


def note(onward="ASK", to=("IDVAS",), **changes):
    """Something told under a word about passing it on."""
    law = {**DUTY, "onward": onward, **changes.pop("law", {})}
    return form("referral.universal", to, MESSAGE, law=law, **changes)


async def send(agent, asked):
    queued = await agent.office.send(asked)
    await agent.outbox.flush()
    return queued


async def received(agent):
    await agent.inbox.collect(0)
    rows = await agent.store.run(lambda c: c.execute(select(inbox).order_by(inbox.c.received)).all())
    return rows[-1]


async def carry(sender, recipient, asked):
    """Send, collect and open; the item of the inbox."""
    queued = await send(sender, asked)
    rows = await state(sender, queued["mid"])
    assert rows == ("accepted", None)
    await recipient.inbox.collect(0)
    found = select(inbox).where(inbox.c.mid == queued["mid"])
    return await recipient.store.run(lambda c: c.execute(found).one())


async def state(agent, mid):
    found = select(sealings.c.state, sealings.c.code).where(sealings.c.mid == mid)
    return tuple(await agent.store.run(lambda c: c.execute(found).one()))


async def refused(agent, asked):
    with pytest.raises(Explained) as caught:
        await agent.office.send(asked)
    return caught.value.code, [step["code"] for step in caught.value.steps]


async def relay_says(agent, asked):
    """What the relay makes of a message that its agent was told to send anyway."""
    return await state(agent, (await send(agent, asked.model_copy(update={"anyway": True})))["mid"])


async def test_a_request_is_answered_while_it_is_open_and_every_party_finds_the_same(world):
    async with world.relay(), quiet(world, "IDVAS") as asker, quiet(world, "Peacock") as holder:
        asked = await carry(asker, holder, request())
        header = json.loads(asked.header)
        assert header["cls"] == "INFOREQ"
        assert header["law"]["asks"] == [
            "contact",
            "needs",
            "reasons",
            "response",
            "statements",
            "third_party",
        ]
        given = await carry(holder, asker, answer(asked.mid, answers=asked.id))
        assert (given.state, given.thr) == ("opened", asked.thr)
        assert json.loads(given.header)["law"]["rfi"] == asked.mid
        for age, said in ((OPEN_FOR - 60, None), (OPEN_FOR, "NO_REQUEST")):
            header = json.loads(asked.header)
            header |= {"ts": header["ts"] - age, "exp": header["exp"] - age}
            text = json.dumps(header, sort_keys=True, separators=(",", ":"))
            await holder.store.run(lambda c, t=text: c.execute(update(inbox).values(header=t)).close())
            if said:
                assert (await refused(holder, answer(asked.mid)))[0] == said
            else:
                assert (await holder.office.send(answer(asked.mid)))["warnings"] == []
        for law in ({"asks": ["health"]}, {"src": []}, {"vir": ["VIR-LINE"]}):
            with pytest.raises(Refusal) as caught:
                await asker.office.send(request(law={**DUTY, **law}))
            assert caught.value.code == "FORM"


async def test_an_answer_without_an_open_request_is_refused_before_sealing_and_at_the_relay(world):
    async with (
        world.relay(), quiet(world, "IDVAS") as asker, quiet(world, "Peacock") as holder, quiet(world, "Harbour") as third,
    ):  # fmt: skip
        asked = await carry(asker, holder, request())
        health = {"given": [{"item": "health", "lines": least("info.give")["given"][0]["lines"]}]}
        for agent, wrong in (
            (holder, answer("A" * 22)),
            (holder, answer(asked.mid, payload=health)),
            (holder, answer(asked.mid, to=("Harbour",))),
            (holder, answer(asked.mid, to=("IDVAS", "Harbour"))),
            (third, answer(asked.mid)),
        ):
            assert await refused(agent, wrong) == ("NO_REQUEST", ["ask-again", "own-message", "ring"])
            assert await relay_says(agent, wrong) == ("refused", "NO_REQUEST")
        red = await carry(holder, asker, answer("A" * 22, rag="RED"))
        assert (red.state, red.alert) == ("opened", 1)  # a fault on paper never stops a RED


async def test_a_relay_that_let_an_unasked_answer_through_is_found_out(world, monkeypatch):
    from broker import intake
    from schemas.consent import decide

    def asleep(facts):
        found = decide(facts)
        return type(found)(0, "", (7,)) if found.code in ("NO_REQUEST", "ONWARD") else found

    async with world.relay(), quiet(world, "IDVAS") as asker, quiet(world, "Peacock") as holder:
        asked = await carry(asker, holder, request())
        monkeypatch.setattr(intake, "decide", asleep)
        health = {"given": [{"item": "health", "lines": least("info.give")["given"][0]["lines"]}]}
        for wrong in (answer("A" * 22), answer(asked.mid, payload=health)):
            got = await carry(holder, asker, wrong.model_copy(update={"anyway": True}))
            assert (got.state, got.code, got.message) == ("rejected", "NO_REQUEST", None)
        faults = select(journal.c.code).where(journal.c.event == "gate-fault")
        assert await asker.store.run(lambda c: c.execute(faults).scalars().all()) == ["NO_REQUEST"] * 2


async def test_a_header_that_is_not_its_forms_is_rejected(world, monkeypatch):
    from agent import office

    def other(plan, *rest):
        plan.law["asks"] = ["health"]
        return seal_plan(plan, *rest)

    async with world.relay(), quiet(world, "IDVAS") as asker, quiet(world, "Peacock") as holder:
        monkeypatch.setattr(office, "seal_plan", other)
        got = await carry(asker, holder, request())
        assert (got.state, got.code) == ("rejected", "CLASS_DIFFERS")


async def test_a_police_request_attests_and_says_what_the_victim_was_told(tmp_path):
    world = World.found(tmp_path, "Peacock", "IDVAS", sectors={"IDVAS": "police"})
    async with world.relay(), quiet(world, "IDVAS") as police, quiet(world, "Peacock") as holder:
        for rag in ("AMBER", "RED"):
            plain = least("info.request") | {"rag": rag, "rag_why": "A bail hearing today"}
            said = {
                "vir": ["VIR-LINE", "VIR-NECESSARY", "VIR-PROPORTIONATE", "VIR-LAST-RESORT"],
                "victim_notice": "given",
            }
            assert (await refused(police, form("info.request", ("Peacock",), plain)))[0] == "VIR"
            with pytest.raises(Refusal) as caught:
                await police.office.send(form("info.request", ("Peacock",), plain | {"vir": said["vir"]}))
            assert (caught.value.code, caught.value.detail) == ("MISSING", ("victim_notice",))
            got = await carry(police, holder, form("info.request", ("Peacock",), plain | said))
            assert (got.state, json.loads(got.header)["law"]["vir"]) == ("opened", sorted(said["vir"]))


# --- passed on


async def test_what_was_told_under_a_word_is_passed_on_under_it(world):
    async with (
        world.relay(), quiet(world, "Peacock") as source, quiet(world, "IDVAS") as holder, quiet(world, "Harbour") as third,
    ):  # fmt: skip
        for onward, purpose, code in (
            ("NONE", "SUPPORT", "ONWARD"),
            ("ASK", "SUPPORT", "ONWARD"),
            ("WITHIN_PURPOSE", "SUPPORT", None),
            ("WITHIN_PURPOSE", "HOUSING", "ONWARD"),
        ):
            got = await carry(source, holder, note(onward))
            on = note("NONE", to=("Harbour",), passes_on=[got.id], purpose=purpose)
            if code is None:
                there = await carry(holder, third, on)
                expected = [{"leave": None, "mid": got.mid, "onward": onward, "pur": "SUPPORT"}]
                assert json.loads(there.header)["law"]["src"] == expected
                continue
            assert await refused(holder, on) == ("ONWARD", ["source", "source-goes", "danger"])
            assert await relay_says(holder, on) == ("refused", code)
            urgent = note("NONE", to=("Harbour",), passes_on=[got.id], purpose=purpose)
            urgent = urgent.model_copy(update={"payload": {**MESSAGE, "rag": "RED"}})
            red = await carry(holder, third, urgent)
            assert (red.state, red.alert) == ("opened", 1)


async def test_what_goes_on_in_its_thread_is_passed_on_whether_or_not_anybody_says_so(world):
    async with world.relay(), quiet(world, "Peacock") as source, quiet(world, "IDVAS") as holder:
        got = await carry(source, holder, note("NONE"))
        assert (await refused(holder, note("NONE", to=("Harbour",), answers=got.id)))[0] == "ONWARD"
        assert (await refused(holder, note("NONE", to=("Peacock", "Harbour"), answers=got.id)))[0] == "ONWARD"
        back = await carry(holder, source, note("NONE", to=("Peacock",), answers=got.id))
        assert (back.state, "src" in json.loads(back.header)["law"]) == ("opened", False)
        with pytest.raises(Refusal) as caught:
            await holder.office.send(note("ASK", to=("Harbour",), passes_on=["nothing-intake"]))
        assert caught.value.code == "NOT_FOUND"


async def test_whoever_had_it_is_told_nothing_new_and_whoever_had_not_no_more_freely(world):
    async with world.relay(), quiet(world, "Peacock") as source, quiet(world, "IDVAS") as holder:
        got = await carry(source, holder, note("NONE", to=("IDVAS", "Harbour")))
        queued = await holder.office.send(note("NONE", to=("Harbour",), passes_on=[got.id]))
        assert queued["warnings"] == []
        close = await carry(source, holder, note("ASK"))
        freer = note("WITHIN_PURPOSE", to=("Harbour",), passes_on=[close.id], anyway=True)
        with pytest.raises(Refusal) as caught:
            await holder.office.send(freer)
        assert (caught.value.code, caught.value.detail) == ("FORM", ("law.onward",))


async def test_leave_is_asked_given_for_these_agencies_and_this_purpose_and_taken_back(world):
    async with (
        world.relay(), quiet(world, "Peacock") as source, quiet(world, "IDVAS") as holder, quiet(world, "Harbour") as third,
    ):  # fmt: skip
        got = await carry(source, holder, note("ASK"))
        harbour = world.parties["Harbour"].id
        about = {"source": got.mid, "to": [harbour], "purpose": "SUPPORT"}
        asking = form("onward.ask", ("Peacock",), least("onward.ask") | about, law={})
        asked = await carry(holder, source, asking)
        assert (asked.state, json.loads(asked.header)["law"]["pd"]) == ("opened", "none")

        def reply(**said):
            return form("onward.answer", (), least("onward.answer") | about | said, answers=asked.id, law={})

        on = note("ASK", to=("Harbour",), passes_on=[got.id])
        await carry(third, holder, form("onward.answer", ("IDVAS",), least("onward.answer") | about, law={}))
        assert (await refused(holder, on))[0] == "ONWARD"  # nobody but its writer gives leave
        for said in (
            {"to": [world.parties["Peacock"].id]}, {"purpose": "HOUSING"}, {"source": "A" * 22}, {"until": "2026-01-01"},
        ):  # fmt: skip
            await carry(source, holder, reply(**said))
            assert (await refused(holder, on))[0] == "ONWARD", said
        world.clock.advance(2)
        yes = await carry(source, holder, reply())
        there = await carry(holder, third, on)
        assert json.loads(there.header)["law"]["src"][0]["leave"] == yes.mid
        world.clock.advance(2)
        await carry(source, holder, reply(answer="no"))
        assert (await refused(holder, on))[0] == "ONWARD"


async def test_a_recipient_that_knows_the_source_goes_by_what_the_source_said(world, monkeypatch):
    """The header claims that its source allowed it; the source's own writer is among the recipients."""
    from agent import office

    def claimed(plan, *rest):
        plan.law["src"][0]["onward"] = "WITHIN_PURPOSE"
        return seal_plan(plan, *rest)

    async with (
        world.relay(), quiet(world, "Peacock") as source, quiet(world, "IDVAS") as holder, quiet(world, "Harbour") as third,
    ):  # fmt: skip
        got = await carry(source, holder, note("NONE"))
        monkeypatch.setattr(office, "seal_plan", claimed)
        monkeypatch.setattr(office, "at_hand", lambda _c, _header: ())
        on = note("NONE", to=("Harbour", "Peacock"), passes_on=[got.id])
        there = await carry(holder, third, on)
        assert there.state == "opened"  # it cannot know
        await source.inbox.collect(0)
        row = await received(source)
        assert (row.mid, row.state, row.code) == (there.mid, "rejected", "ONWARD")
