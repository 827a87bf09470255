"""A relay that lies: the real one, with a liar on the line (L13-L16, V5, V9, K15)."""

import secrets
import sqlite3
from typing import ClassVar

import pytest
from sqlalchemy import select

from agent.client import Page, Relay
from agent.tables import inbox, journal, receipts, sealings
from schemas import api
from schemas.canonical import b64
from schemas.checkpoint import Checkpoint, note_hash, sign_checkpoint
from schemas.errors import Refusal
from schemas.grants import Withdrawal
from schemas.keys import SigningKey
from schemas.receipt import Receipt, sign_receipt
from schemas.sealing import seal
from schemas.signing import Purpose, Signed
from tests.agent.agencies import agreement, form, quiet
from tests.simulated_world import World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")


class Liar(Relay):
    """The line to the real relay; a test replaces what it says. `deaf` makes it lose answers."""

    lies: ClassVar[dict] = {}

    async def mailbox(self, wait=0, limit=64, again=None):
        page = await super().mailbox(0, limit, again)
        return self.lies.get("mailbox", lambda p: p)(page)

    async def post_envelopes(self, uploads):
        answer = await super().post_envelopes(uploads)
        return self.lies.get("envelopes", lambda a: a)(answer)

    async def consistency(self, old, new, log=api.LOG):
        proof = await super().consistency(old, new, log)
        return self.lies.get("consistency", lambda p: p)(proof)

    async def directory(self, after):
        page = await super().directory(after)
        return self.lies.get("directory", lambda p: p)(page)


@pytest.fixture(autouse=True)
def honest():
    Liar.lies = {}
    yield
    Liar.lies = {}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def send(agent, to="IDVAS"):
    """Give an agreement, queue a message and post both; returns its eid."""
    from agent.forms import Give, Send

    given = await agent.agreements.give(Give.model_validate_json(_json(agreement(to))))
    queued = await agent.office.send(Send.model_validate_json(_json(form(to, gid=given["gid"]))))
    await agent.outbox.flush()
    return queued["eid"]


def _json(value):
    import json

    return json.dumps(value)


async def rows(agent, table):
    return await agent.store.run(lambda c: c.execute(select(table)).all())


async def state_of(agent, eid):
    found = await agent.store.run(lambda c: c.execute(select(sealings).where(sealings.c.eid == eid)).one())
    return found.state, found.code


def forged_note(world, size, key=None):
    checkpoint = Checkpoint("relay.test/log", size, secrets.token_bytes(32))
    return sign_checkpoint(checkpoint, key or world.founded.relay.log)


async def test_accepted_without_a_proof_is_not_believed(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        Liar.lies["envelopes"] = lambda a: _each(a, proof=None)
        eid = await send(agent)
        assert await state_of(agent, eid) == ("waiting", "PROOF")
        assert agent.trust.alarm.code == "PROOF"


async def test_a_relay_record_that_says_something_else_raises_the_alarm(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        Liar.lies["envelopes"] = lambda a: _each(a, rk=b64(bytes(32)))
        eid = await send(agent)
        assert await state_of(agent, eid) == ("waiting", "RECORD")
        assert agent.trust.alarm.code == "RECORD"


async def test_after_an_alarm_nothing_is_sent_and_the_sender_is_warned(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await agent.trust.report("FORK", "theirs")
        eid = await send(agent)
        assert await state_of(agent, eid) == ("waiting", None)
        shown = await agent.showing.status()
        assert shown["alarm"]["code"] == "FORK"


async def test_an_alarm_outlives_a_restart(world):
    async with world.relay():
        async with quiet(world, "Peacock", Liar) as agent:
            await agent.trust.report("ROLLBACK", "theirs")
        async with quiet(world, "Peacock", Liar) as agent:
            assert agent.trust.alarm.code == "ROLLBACK"
            assert agent.trust.alarm.theirs == "theirs"


async def test_an_older_log_than_before_is_a_rollback(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await send(agent)
        old = forged_note(world, 1)
        Liar.lies["mailbox"] = lambda p: Page(p.head.model_copy(update={"checkpoint": old}), p.deliveries)
        with pytest.raises(Refusal) as refusal:
            await agent.inbox.collect(0)
        assert refusal.value.code == "ROLLBACK"
        assert agent.trust.alarm.theirs == old


async def test_what_was_believed_survives_a_restart(world):
    async with world.relay():
        async with quiet(world, "Peacock", Liar) as agent:
            await send(agent)
            size = agent.trust.size
            assert size > 0
        async with quiet(world, "Peacock", Liar) as agent:
            assert agent.trust.size == size


async def test_two_logs_of_the_same_size_are_a_fork(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await send(agent)
        with pytest.raises(Refusal) as refusal:
            await agent.trust.believe(forged_note(world, agent.trust.size))
        assert refusal.value.code == "FORK"


@pytest.mark.parametrize("grow", [1, 50])
def test_a_log_that_does_not_extend_the_one_believed_is_a_fork(world, grow):
    import asyncio

    async def play():
        async with world.relay(), quiet(world, "Peacock", Liar) as agent:
            await send(agent)
            with pytest.raises(Refusal) as refusal:
                await agent.trust.believe(forged_note(world, agent.trust.size + grow))
            assert refusal.value.code == "FORK"
            assert agent.trust.alarm.code == "FORK"

    asyncio.run(play())


async def test_a_checkpoint_that_the_log_did_not_sign_is_nobodys_evidence(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await send(agent)
        forged = forged_note(world, 99, SigningKey(secrets.token_bytes(32)))
        with pytest.raises(Refusal) as refusal:
            await agent.trust.believe(forged)
        assert refusal.value.code == "CHECKPOINT"
        assert agent.trust.alarm is None


async def test_a_relay_that_went_away_proves_nothing(world):
    async with quiet(world, "Peacock", Liar) as agent:
        async with world.relay():
            await agent.book.refresh()
            await send(agent)
            size = agent.trust.size
        with pytest.raises(Refusal) as refusal:
            await agent.trust.believe(forged_note(world, size + 5))
        assert refusal.value.code == "RELAY_AWAY"
        assert agent.trust.alarm is None


async def test_a_directory_without_one_of_its_statements_is_refused(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        agent.book._view = type(agent.book._view)(agent.book._view.oversight)
        Liar.lies["directory"] = lambda p: p.model_copy(
            update={"statements": p.statements[:-1], "size": p.size - 1}
        )
        with pytest.raises(Refusal) as refusal:
            await agent.book.refresh()
        assert refusal.value.code == "FORK"
        assert agent.trust.alarm is not None


async def test_a_directory_that_shrank_is_a_rollback(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        Liar.lies["directory"] = lambda p: p.model_copy(update={"size": 1})
        with pytest.raises(Refusal) as refusal:
            await agent.book.refresh()
        assert refusal.value.code == "ROLLBACK"


async def test_freshness_that_the_log_key_did_not_sign_is_refused(world):
    def lie(page):
        said = {"note": note_hash(page.checkpoint), "ts": world.now, "v": 1}
        signed = Signed.make(world.parties["IDVAS"].member.agent.msg, Purpose.FRESH, said)
        return page.model_copy(update={"fresh": api.SignedJson(**signed.to_json())})

    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        Liar.lies["directory"] = lie
        with pytest.raises(Refusal) as refusal:
            await agent.book.refresh()
        assert refusal.value.code == "SIGNATURE"


async def test_a_view_older_than_a_day_decides_nothing(world):
    async with quiet(world, "Peacock", Liar) as agent:
        async with world.relay():
            await agent.book.refresh()
        agent.book.view()
        world.clock.advance(24 * 3600 + 1)
        with pytest.raises(Refusal) as refusal:
            agent.book.view()
        assert refusal.value.code == "STALE_DIRECTORY"


async def test_a_key_of_ours_that_we_do_not_hold_is_noticed(world):
    """Somebody with our operational key, or a relay that forges, adds a message key in our name."""
    from schemas.chain import Chain
    from schemas.keys import Use

    party = world.parties["Peacock"]
    chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
    stranger = SigningKey(secrets.token_bytes(32))
    world.take(chain.add_key(Use.MSG, stranger.public, world.now, world.now + 3600, world.now))
    world.write_relay_folder()
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        assert agent.book.strangers == (stranger.kid,)


async def test_a_delivery_that_was_touched_on_the_way_is_not_answered(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        await send(peacock)
        Liar.lies["mailbox"] = lambda p: Page(
            p.head, tuple(d[:100] + bytes(8) + d[108:] for d in p.deliveries)
        )
        assert not await idvas.inbox.collect(0)
        assert await rows(idvas, inbox) == []
        assert await rows(idvas, receipts) == []
        Liar.lies.clear()
        assert await idvas.inbox.collect(0)
        assert len(await rows(idvas, inbox)) == 1


async def test_a_delivery_that_comes_twice_is_shown_once(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        await send(peacock)
        kept = []
        Liar.lies["mailbox"] = lambda p: kept.append(p) or p
        await idvas.inbox.collect(0)
        Liar.lies["mailbox"] = lambda p: Page(
            p.head.model_copy(update={"items": kept[0].head.items}), kept[0].deliveries
        )
        assert not await idvas.inbox.collect(0)
        assert len(await rows(idvas, inbox)) == 1
        assert "REPLAY" in {row.code for row in await rows(idvas, journal)}


async def test_another_envelope_under_an_id_that_was_used_is_given_back(world):
    """The relay has forgotten that it took the first."""
    first, second = same_id(world), same_id(world)
    assert (first.mid == second.mid, first.eid == second.eid) == (True, False)
    async with world.relay(), world.session() as http:
        await world.post_envelopes(http, "Peacock", first)
    with sqlite3.connect(world.folder / "relay" / "relay.db") as store:
        store.execute("DELETE FROM seen WHERE idx IS NULL")
    store.close()
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        assert (await world.post_envelopes(http, "Peacock", second)).json()["results"][0][
            "status"
        ] == "accepted"
        await idvas.inbox.collect(0)
        codes = {row.eid: row.code for row in await rows(idvas, inbox)}
    assert codes[second.eid] == "REPLAY"
    assert codes[first.eid] != "REPLAY"


def same_id(world):
    """A message of Peacock's whose id is not as random as it must be."""
    ids = [b"\x01" * 16]
    draft = world.draft("Peacock", "IDVAS")
    officers = world.directory.officers({draft.sender, *(to.agency for to in draft.to)}, world.now)
    key = world.parties["Peacock"].member.agent.msg
    return seal(draft, officers, key, lambda size: ids.pop() if ids else secrets.token_bytes(size))


async def test_a_delivery_whose_log_cannot_be_checked_is_left_for_later(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        await send(peacock)
        await idvas.inbox.collect(0)
        await send(peacock)

        def away(_proof):
            raise Refusal("RELAY_AWAY")

        Liar.lies["consistency"] = away
        with pytest.raises(Refusal):
            await idvas.inbox.collect(0)
        assert len(await rows(idvas, inbox)) == 1
        Liar.lies.clear()
        await idvas.inbox.collect(0)
        assert len(await rows(idvas, inbox)) == 2


async def test_a_receipt_that_the_recipient_did_not_sign_ends_nothing(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as peacock:
        eid = await send(peacock)
        Liar.lies["mailbox"] = lambda p: _with_notice(p, _receipt(world, eid, "Peacock"), eid, world)
        await peacock.inbox.collect(0)
        shown = await peacock.showing.message(eid)
        assert shown["desks"][0]["state"] == "queued"
        assert not shown["ended"]


async def test_a_receipt_about_another_message_ends_nothing(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as peacock:
        one, other = await send(peacock), await send(peacock)
        Liar.lies["mailbox"] = lambda p: _with_notice(p, _receipt(world, other, "IDVAS"), one, world)
        await peacock.inbox.collect(0)
        assert (await peacock.showing.message(one))["desks"][0]["state"] == "queued"


async def test_a_withdrawal_that_no_party_signed_stops_nothing(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as peacock:
        eid = await send(peacock)
        gid = (await peacock.showing.message(eid))["gid"]
        key = world.parties["oversight"].member.agent.consent
        value = Withdrawal(v=1, gid=gid, by=world.parties["oversight"].id, signer=key.kid, ts=world.now)
        signed = Signed.make(key, Purpose.WITHDRAW, value.model_dump(mode="json"))
        Liar.lies["mailbox"] = lambda p: _with_notice(p, signed, eid, world, kind="withdrawn", gid=gid)
        await peacock.inbox.collect(0)
        assert (await peacock.showing.message(eid))["desks"][0]["state"] == "queued"
        assert (await peacock.view.agreement(gid))["state"] == "given"


async def test_a_relay_that_never_says_who_it_is_is_not_a_relay(world):
    """Something else answers at the relay's address: nothing is believed and nothing is lost."""
    from aiohttp import web

    async def hello(_request):
        return web.Response(text="<html>It works!</html>")

    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", hello)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", world.port).start()
    try:
        async with quiet(world, "Peacock") as agent:
            with pytest.raises(Refusal) as refusal:
                await agent.book.refresh()
            assert refusal.value.code == "FORM"
    finally:
        await runner.cleanup()


def _each(answer, **changes):
    return api.EnvelopeResults(results=tuple(r.model_copy(update=changes) for r in answer.results))


def _receipt(world, eid, by):
    key = world.parties[by].member.agent.msg
    value = Receipt(
        v=1, eid=eid, a=world.parties["IDVAS"].id, d="intake", state="taken-on", body=b64(bytes(32)),
        ts=world.now, signer=key.kid, role="idva", reason=None,
    )  # fmt: skip
    return sign_receipt(value, key)


def _with_notice(page, signed, eid, world, kind="receipt", gid=None):
    notice = api.Notice(
        id=1, kind=kind, ts=world.now, eid=eid, mid=b64(bytes(16)), gid=gid, a=world.parties["IDVAS"].id,
        d="intake", evidence=api.SignedJson(**signed.to_json()),
    )  # fmt: skip
    return Page(page.head.model_copy(update={"notices": (notice,)}), page.deliveries)
