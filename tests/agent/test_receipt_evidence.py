"""A receipt counts as recorded with its evidence: proof, record and key, each checked (D5, D6)."""

import secrets
from typing import ClassVar

import pytest
from sqlalchemy import select

from agent.client import Relay
from agent.tables import inbox, receipts
from schemas import api
from schemas.canonical import b64, encode
from schemas.errors import Refusal
from schemas.signing import Purpose
from tests.agent.agencies import agreement, eventually, form, quiet, running
from tests.simulated_world import World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")


class Clerk(Relay):
    """The line to the real relay; a test changes what it answers to receipts."""

    change: ClassVar[object] = None
    heard: ClassVar[list] = []

    async def post_receipts(self, request):
        answer = await super().post_receipts(request)
        Clerk.heard += answer.results
        change = Clerk.change or (lambda result: result)
        return api.ReceiptResults(results=tuple(change(result) for result in answer.results))


@pytest.fixture(autouse=True)
def honest():
    Clerk.change, Clerk.heard = None, []
    yield
    Clerk.change, Clerk.heard = None, []


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "broker.app.PROCESSORS", 1
    )  # signatures are checked in this process: it starts faster
    return World.again(tmp_path, "Peacock", "IDVAS")


async def posted(peacock):
    """A message to IDVAS, at the relay; `collect` takes every step up to the desk."""
    from agent.forms import Give, Send

    given = await peacock.agreements.give(Give.model_validate_json(encode(agreement("IDVAS"))))
    sent = Send.model_validate_json(encode(form("IDVAS", gid=given["gid"])))
    queued = await peacock.office.send(sent)
    await peacock.outbox.flush()
    return queued


async def kept(agent):
    return await agent.store.run(lambda c: c.execute(select(receipts).order_by(receipts.c.n)).all())


async def in_hand(agent, eid):
    return await agent.store.run(lambda c: c.execute(select(inbox).where(inbox.c.eid == eid)).one())


async def test_each_step_is_kept_with_the_proof_and_the_record_that_names_it(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Clerk) as idvas:
        await posted(peacock)
        await idvas.inbox.collect(0)
        assert [row.state for row in await kept(idvas)] == ["collected", "opened"]
        assert all(row.posted and row.proof and row.record and row.rk for row in await kept(idvas))
        assert idvas.trust.alarm is None


LIES = {
    "no proof": (lambda r: r.model_copy(update={"proof": None}), "PROOF"),
    "no record": (lambda r: r.model_copy(update={"record": None}), "PROOF"),
    "no key": (lambda r: r.model_copy(update={"rk": None}), "RECORD"),
    "another key": (lambda r: r.model_copy(update={"rk": b64(bytes(32))}), "RECORD"),
    "half a record": (lambda r: r.model_copy(update={"record": r.record[: len(r.record) // 2]}), None),
    "not base64": (lambda r: r.model_copy(update={"record": "%%%"}), "RECORD"),
    "another place": (lambda r: r.model_copy(update={"index": (r.index or 0) + 1}), "PROOF"),
    "another message": (lambda r: r.model_copy(update={"eid": b64(secrets.token_bytes(32))}), "PROOF"),
}


async def test_evidence_that_does_not_hold_raises_the_alarm_and_keeps_the_receipt_open(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Clerk) as idvas:
        for lie, (change, code) in LIES.items():
            queued = await posted(peacock)
            Clerk.change = change
            with pytest.raises(Refusal) as refusal:
                await idvas.inbox.collect(0)
            assert code is None or refusal.value.code == code, lie
            assert idvas.trust.alarm.code == refusal.value.code, lie
            ours = [row for row in await kept(idvas) if row.eid == queued["eid"]]
            assert ours, lie
            assert not any(row.posted for row in ours), lie
            # The desk does not go without a message because its relay lies.
            assert (await in_hand(idvas, queued["eid"])).handed is not None, lie
            Clerk.change, idvas.trust.alarm = None, None
            await idvas.inbox.resume()
            assert all(row.posted for row in await kept(idvas)), lie


async def test_the_record_of_another_step_is_not_taken_for_this_one(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Clerk) as idvas:
        await posted(peacock)
        Clerk.change = lambda r: Clerk.heard[0].model_copy(update={"eid": r.eid, "d": r.d})
        with pytest.raises(Refusal) as refusal:
            await idvas.inbox.collect(0)
        assert refusal.value.code == "PROOF"


async def test_a_record_that_quotes_another_receipt_is_found_out(world, monkeypatch):
    # The relay itself writes the lie, so that hash, leaf and proof all hold.
    from broker.turn import Turn

    log_step = Turn.log_step

    def misquoted(turn, held, desk, event, facts):
        text = facts["receipt"]["t"].replace('"role":null', '"role":"lead"')
        return log_step(turn, held, desk, event, {"receipt": {**facts["receipt"], "t": text}})

    monkeypatch.setattr(Turn, "log_step", misquoted)
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Clerk) as idvas:
        await posted(peacock)
        with pytest.raises(Refusal) as refusal:
            await idvas.inbox.collect(0)
        assert refusal.value.code == "RECORD_DIFFERS"
        assert idvas.trust.alarm.code == "RECORD_DIFFERS"


async def test_an_answer_that_was_lost_is_asked_for_again_and_a_repeat_has_its_proof(world):
    class Deaf(Clerk):
        async def post_receipts(self, request):
            await super().post_receipts(request)
            if all(result.status == "recorded" for result in Clerk.heard):
                raise Refusal("RELAY_AWAY")
            return api.ReceiptResults(results=tuple(Clerk.heard[-len(request.receipts) :]))

    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Deaf) as idvas:
        await posted(peacock)
        with pytest.raises(Refusal, match="RELAY_AWAY"):
            await idvas.inbox.collect(0)
        assert not any(row.posted for row in await kept(idvas))
        await idvas.inbox.resume()
        rows = await kept(idvas)
        assert [result.status for result in Clerk.heard] == ["recorded", "recorded", "repeat", "repeat"]
        assert all(row.posted and row.proof and row.record is None for row in rows)
        assert idvas.trust.alarm is None


async def test_a_repeat_without_its_proof_is_not_believed(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Clerk) as idvas:
        queued = await posted(peacock)
        await idvas.inbox.collect(0)
        before = [row.record for row in await kept(idvas)]
        await idvas.store.run(lambda c: idvas.receipts.again(c, queued["eid"], "intake"))
        Clerk.change = lambda r: r.model_copy(update={"proof": None})
        with pytest.raises(Refusal) as refusal:
            await idvas.receipts.flush()
        assert refusal.value.code == "PROOF"
        Clerk.change = None
        await idvas.receipts.flush()
        assert [row.record for row in await kept(idvas)] == before


async def test_running_agents_keep_evidence_of_every_step(world):
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:

        async def ready():
            return (await peacock.ok("GET", "/v1/status"))["directory_fresh"]

        await eventually(ready)
        given = await peacock.ok("POST", "/v1/consent", agreement("IDVAS"))
        queued = await peacock.ok("POST", "/v1/messages", form("IDVAS", gid=given["gid"]))
        item = await idvas.first_in()
        await idvas.ok("POST", f"/v1/inbox/{item['id']}/take-on", {"role": "idva"})
        await peacock.until(queued["mid"], "taken-on")

        async def settled():
            rows = await kept(idvas.agent)
            return len(rows) == 3 and all(row.proof and row.record for row in rows)

        await eventually(settled)
        assert idvas.agent.trust.alarm is None


async def test_nothing_that_the_relay_took_is_answered_without_evidence(world):
    """Over real HTTP and for every kind of taking: accepted, repeated, recorded, repeated (D6)."""
    async with world.relay(), world.session() as http:
        first, second = world.seal("Peacock", "IDVAS"), world.seal("Peacock", "IDVAS")
        said = (await world.post_envelopes(http, "Peacock", first, second, first)).json()["results"]
        said += (await world.post_envelopes(http, "Peacock", first)).json()["results"]
        page = await world.mailbox(http, "IDVAS")
        steps = [
            world.receipt("IDVAS", delivery, state)
            for delivery in page.deliveries
            for state in ("collected", "opened", "taken-on", "taken-on")
        ]
        for _ in range(2):
            said += (await world.post_receipts(http, "IDVAS", *steps)).json()["results"]
    statuses = {"accepted": 0, "repeat": 0, "recorded": 0}
    for one in said:
        statuses[one["status"]] += 1
        assert one["proof"].startswith("c2sp.org/tlog-proof@v1\n")
        assert (one["status"] == "repeat") == (one["rk"] is None) == (one["record"] is None)
    assert statuses == {"accepted": 2, "repeat": 12, "recorded": 6}


def test_no_purpose_signs_promises():
    assert not [purpose for purpose in Purpose if "promise" in purpose]
