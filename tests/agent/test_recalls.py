"""Recalls at the agents, a gate that slept, and asking again on opening (J7-J10, V8)."""

import json
import time

import pytest
from sqlalchemy import select

from agent.consent_forms import Answer
from agent.forms import Give, Send
from agent.rules import NoAuthority
from agent.tables import inbox, journal, recalls
from schemas.canonical import b64
from schemas.keys import SigningKey
from schemas.signing import Purpose, Signed
from tests.agent.agencies import CATEGORIES, agreement, eventually, form, quiet, running
from tests.agent.test_rules import TEXT, agreed, check, deliver
from tests.simulated_world import AGREED, World

DAY = 24 * 3600


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


async def referred(world, peacock, idvas):
    """An agreement, and a message under it that IDVAS was shown."""
    given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
    queued = await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
    await peacock.posting.flush()
    await peacock.outbox.flush()
    await idvas.inbox.collect(0)
    (item,) = await idvas.showing.inbox()
    return given, queued, item


async def events(agent, event):
    found = select(journal.c.code).where(journal.c.event == event)
    return await agent.store.run(lambda c: list(c.execute(found).scalars()))


async def test_what_was_taken_on_long_ago_is_recalled_and_both_sides_see_what_became_of_it(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given, _, item = await referred(world, peacock, idvas)
        from agent.forms import TakeOn

        await idvas.office.take_on(item["id"], TakeOn(role="idva"))
        await idvas.inbox.resume()
        await peacock.inbox.collect(0)
        await peacock.agreements.withdraw(given["id"])
        assert (await peacock.view.agreement(given["id"]))["recalls"][0]["says"] == "Not answered yet"
        assert (await peacock.showing.status())["recalls_unanswered"] == 1
        await idvas.inbox.collect(0)
        (owed,) = (await idvas.agreements.owed())["recalls"]
        assert (owed["gid"], owed["messages"], owed["by"]["name"]) == (given["gid"], [item["id"]], "Peacock")
        assert (await idvas.showing.status())["recalls_to_answer"] == 1
        assert (await idvas.showing.received(item["id"]))["agreement_withdrawn"] is not None
        kept = read(Answer, did="kept", why="legal-duty", passed_to=["Harbour"], outside=True)
        assert (await idvas.agreements.answer(given["gid"], kept))["at_the_relay"]
        assert (await idvas.showing.received(item["id"]))["message"] is not None
        assert (await idvas.agreements.owed())["recalls"] == []
        await peacock.inbox.collect(0)
        (heard,) = (await peacock.view.agreement(given["id"]))["recalls"]
        assert (heard["says"], heard["passed_to"][0]["name"], heard["passed_outside"]) == (
            "kept: legal duty", "Harbour", True,
        )  # fmt: skip
        assert (await peacock.showing.status())["recalls_unanswered"] == 0
        await idvas.agreements.answer(given["gid"], read(Answer, did="deleted"))
        assert (await idvas.showing.received(item["id"]))["message"] is None
        await peacock.inbox.collect(0)
        assert (await peacock.view.agreement(given["id"]))["recalls"][0]["says"] == "deleted"


async def test_what_nobody_saw_is_answered_by_the_agent_itself(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
        await peacock.agreements.withdraw(given["id"])
        await idvas.inbox.collect(0)
        assert (await idvas.agreements.owed())["recalls"] == []
        await idvas.posting.flush()
        await peacock.inbox.collect(0)
        assert (await peacock.view.agreement(given["id"]))["recalls"][0]["says"] == "nothing was held"


async def test_a_recall_that_is_told_again_is_answered_again_with_the_same_words(world):
    async with world.relay() as relay, quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given, _, item = await referred(world, peacock, idvas)
        await peacock.agreements.withdraw(given["id"])
        await idvas.inbox.collect(0)
        await idvas.inbox.resume()
        world.clock.advance(DAY + 60)
        await idvas.store.run(lambda c: c.execute(inbox.update().values(recalled=1)).close())
        await relay.sweeper.sweep()
        await idvas.inbox.collect(0)
        (row,) = await idvas.store.run(lambda c: c.execute(select(inbox)).all())
        assert row.recalled == 0  # the case system is told once more
        assert item["id"] in (await idvas.agreements.owed())["recalls"][0]["messages"]


async def test_a_party_that_was_told_to_stop_recalls_from_everybody_else(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given, _, _ = await referred(world, peacock, idvas)
        await idvas.agreements.withdraw(given["gid"])
        await peacock.inbox.collect(0)
        shown = await peacock.view.agreement(given["id"])
        assert shown["handles"][0]["state"] == "withdrawn"
        assert shown["stopped"][0]["name"] == "IDVAS"
        await peacock.posting.flush()  # Peacock holds no message of IDVAS's: its agent says so
        await idvas.inbox.collect(0)
        assert (await idvas.view.agreement(given["gid"]))["recalls"][0]["says"] == "nothing was held"


async def test_an_answer_that_its_party_did_not_sign_is_not_believed(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given, _, _ = await referred(world, peacock, idvas)
        await peacock.agreements.withdraw(given["id"])
        (row,) = await peacock.store.run(lambda c: c.execute(select(recalls)).all())
        from schemas.api import Notice, SignedJson

        for signer, purpose, gid in (
            ("Harbour", Purpose.RECALLED, given["gid"]),
            ("IDVAS", Purpose.WITHDRAW, given["gid"]),
            ("IDVAS", Purpose.RECALLED, b64(bytes(16))),
        ):
            key = world.parties[signer].member.agent.consent
            body = {
                "a": world.parties["IDVAS"].id, "did": "deleted", "gid": gid, "outside": False, "passed": [],
                "signer": key.kid, "ts": world.now, "v": 1, "wd": row.wd, "why": None,
            }  # fmt: skip
            signed = Signed.make(key, purpose, body)
            notice = Notice(
                id=1, kind="recalled", ts=world.now, eid=None, mid=None, gid=gid, a=body["a"], d=None,
                evidence=SignedJson(**signed.to_json()),
            )  # fmt: skip
            await peacock.notices.take((notice,))
        assert len(await events(peacock, "notice-recalled")) == 3
        assert (await peacock.showing.status())["recalls_unanswered"] == 1


async def test_a_message_that_the_gate_should_have_stopped_is_given_back_and_reported_on_both_sides(
    world, monkeypatch
):
    """The relay's own rule is switched off: the recipient's agent finds it, says so, and both journals keep the code."""
    from broker import intake

    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given = await peacock.agreements.give(
            read(Give, **agreement("Harbour"))
        )  # an agreement for another recipient
        value = form("IDVAS", gid=given["gid"], anyway=True)
        queued = await peacock.office.send(read(Send, **value))
        real = intake.decide
        monkeypatch.setattr(intake, "decide", lambda facts: _passing(real(facts)))
        await peacock.posting.flush()
        await peacock.outbox.flush()
        monkeypatch.undo()
        await idvas.inbox.collect(0)
        assert await idvas.showing.inbox() == []
        assert await events(idvas, "gate-fault") == ["SCOPE"]
        assert (await idvas.showing.status())["gate_faults"] == 1
        await peacock.inbox.collect(0)
        shown = await peacock.showing.message(queued["mid"])
        assert shown["desks"][0]["says"].startswith(
            "rejected: nothing allows it, and the relay should have stopped it"
        )
        assert (shown["alert"], shown["desks"][0]["reason"]) == (True, "gate-fault")
        assert await events(peacock, "gate-fault") == ["NO_AUTHORITY"]
        assert peacock.trust.alarm is None  # other people's messages must not wait for it


def _passing(decision):
    from dataclasses import replace

    return replace(decision, outcome=type(decision.outcome)(0), code="")


async def test_opening_a_message_asks_how_its_agreement_stands(world):
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS", wait=30) as idvas:
        await eventually(lambda: fresh(peacock))
        given = await peacock.ok("POST", "/v1/consent", agreement("IDVAS"))
        await peacock.ok("POST", "/v1/messages", form("IDVAS", gid=given["gid"]))
        item = await idvas.first_in()
        opened = await idvas.ok("GET", f"/v1/inbox/{item['id']}")
        assert (opened["agreement_asked"], opened["agreement_withdrawn"]) == (True, None)
        for task in idvas.agent._tasks:
            task.cancel()  # nothing but the opening itself may tell it
        await peacock.ok("POST", f"/v1/consent/{given['id']}/withdraw")
        opened = await idvas.ok("GET", f"/v1/inbox/{item['id']}")
        assert opened["agreement_withdrawn"] is not None
        assert opened["message"] is not None  # it marks, and does not undo


async def test_a_relay_that_is_away_keeps_nobody_from_reading(world):
    async with quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        async with world.relay():
            await peacock.book.refresh()
            await idvas.book.refresh()
            _, _, item = await referred(world, peacock, idvas)
        began = time.monotonic()
        assert await idvas.agreements.look(item["id"]) is False
        assert time.monotonic() - began < 4
        assert (await idvas.showing.received(item["id"]))["message"] is not None


async def test_an_agency_that_listens_is_told_of_a_withdrawal_at_once(world):
    """Two running agents, a long poll of 30 seconds between them and the relay; the aim is 60 seconds."""
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS", wait=30) as idvas:
        await eventually(lambda: fresh(peacock))
        given = await peacock.ok("POST", "/v1/consent", agreement("IDVAS"))
        await peacock.ok("POST", "/v1/messages", form("IDVAS", gid=given["gid"]))
        item = await idvas.first_in()

        async def told():
            rows = (await idvas.ok("GET", "/v1/inbox"))["items"]
            return rows and rows[0]["agreement_withdrawn"]

        began = time.monotonic()
        await peacock.ok("POST", f"/v1/consent/{given['id']}/withdraw")
        await eventually(told)
        assert time.monotonic() - began < 25
        assert (await idvas.ok("GET", "/v1/recalls"))["recalls"][0]["messages"] == [item["id"]]
        await idvas.ok("POST", f"/v1/recalls/{given['gid']}", {"did": "deleted"})

        async def heard():
            return (await peacock.ok("GET", f"/v1/consent/{given['id']}"))["recalls"][0]["says"] == "deleted"

        await eventually(heard)


async def fresh(caller):
    state = await caller.ok("GET", "/v1/status")
    return state["directory_fresh"] and not state["relay"]["code"]


# --- bad statements at the recipient: whatever the relay let pass, each has its own code


@pytest.mark.parametrize(
    ("changes", "staple", "law", "why"),
    [
        ({"nbf": -3 * DAY, "exp": -DAY}, {}, {}, "EXPIRED"),
        ({}, {"ts": -3 * DAY, "exp": -2 * DAY}, {}, "STATUS_STALE"),
        ({"nbf": 3600, "exp": 4 * DAY}, {}, {}, "FUTURE"),
        ({}, {"ts": 3600, "exp": 7200}, {}, "FUTURE"),
        ({"ver": 2}, {}, {"agree_ver": 1}, "OLDER"),
        ({}, {}, {"agree_ver": 2}, "OUT_OF_ORDER"),
        ({}, {}, {"agree": "LIMITED"}, "GRANT"),
        ({"limited": True}, {}, {}, "GRANT"),
        ({"to": "Harbour"}, {}, {}, "SCOPE"),
        ({"cat": ["ask"]}, {}, {}, "SCOPE"),
        ({"key": "Harbour"}, {}, {}, "UNKNOWN_KEY"),
        ({"key": "nobody"}, {}, {}, "UNKNOWN_KEY"),
        ({"limited": "Yes"}, {}, {}, "FORM"),
        ({"limited": None}, {}, {}, "FORM"),
        ({"exp": "true"}, {}, {}, "FORM"),
    ],
    ids=str,
)
def test_a_statement_that_does_not_hold_gives_no_authority(world, changes, staple, law, why):
    world.clock.advance(5 * DAY)  # so that keys stood when the older of these were signed
    keys = {"Harbour": world.parties["Harbour"].member.agent.consent, "nobody": SigningKey(bytes(range(32)))}
    moved = {
        name: world.now + one if type(one) is int and name != "ver" else one for name, one in changes.items()
    }
    if changes.get("to") == "Harbour":
        moved["to"] = [world.parties["Harbour"].id]
    if "key" in moved:
        moved["key"] = keys[moved["key"]]
    cat = moved.pop("cat", sorted(CATEGORIES))
    grant = world.grant("Peacock", "IDVAS", cat=cat, **moved)
    times = {name: world.now + one for name, one in staple.items()}
    rests = {"grant": grant, "status": world.status("Peacock", grant, **times)}
    with pytest.raises(NoAuthority) as refusal:
        check(world, deliver(world, law={**AGREED, **law}, payload=TEXT, **rests))
    assert refusal.value.why == why


def test_a_yes_that_is_shown_again_after_the_no_gives_no_authority(world):
    with pytest.raises(NoAuthority) as refusal:
        check(world, deliver(world), withdrawn=True)
    assert refusal.value.why == "AGREEMENT_ENDED"


def test_a_staple_of_another_handle_gives_no_authority(world):
    one, other = agreed(world), agreed(world)
    with pytest.raises(NoAuthority) as refusal:
        check(world, deliver(world, law=AGREED, grant=one["grant"], status=other["status"]))
    assert refusal.value.why in {"GRANT", "GRANT_UNKNOWN"}
