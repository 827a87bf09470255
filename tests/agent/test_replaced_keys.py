"""What was signed with a key that was replaced before the relay took it: signed anew, so that nothing is lost (C5)."""

import json
import secrets
from dataclasses import replace

import pytest

from agent.client import Relay
from agent.consent_forms import Answer
from agent.forms import Send, TakeOn
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.keys import SigningKey, Use
from tests.agent.agencies import folder_of, form, put, quiet
from tests.agent.test_nondisclosure import asked
from tests.agent.test_posting import (
    DAY,
    Away,
    give,
    handle,
    limit,
    lose_consent_key,
    new_consent_key,
    read,
    state,
    waiting,
)
from tests.simulated_world import PASSPHRASE, World


class Gone(Relay):
    """The line to the real relay; while `away` it carries no word of ours, of any kind."""

    away = False

    async def post_statements(self, *asked, **named):
        if self.away:
            raise Refusal("RELAY_AWAY")
        return await super().post_statements(*asked, **named)

    async def post_receipts(self, *asked, **named):
        if self.away:
            raise Refusal("RELAY_AWAY")
        return await super().post_receipts(*asked, **named)

    async def post_envelopes(self, *asked, **named):
        if self.away:
            raise Refusal("RELAY_AWAY")
        return await super().post_envelopes(*asked, **named)


@pytest.fixture
def world(tmp_path):
    return World.found(tmp_path, "Peacock", "IDVAS")


async def replaced(world, http, name):
    world.clock.advance(60)
    await lose_consent_key(world, http, name)
    await new_consent_key(world, http, name)
    world.clock.advance(60)


async def new_message_key(world, http, name, since):
    """The message key is revoked from `since` on; another is in the directory and in the agent's key file."""
    party, fresh = world.parties[name], SigningKey(secrets.token_bytes(32))
    old, public, until = party.member.agent.msg.kid, fresh.public, world.now + 90 * DAY
    await state(world, http, name, lambda chain: chain.revoke(old, "rotated", since, world.now))
    await state(world, http, name, lambda c: c.add_key(Use.MSG, public, world.now, until, world.now))
    agent = replace(party.member.agent, msg=fresh)
    party.member = replace(party.member, agent=agent)
    home = folder_of(world, name)
    put(home / "agent.fpk", lock(agent.to_json(), agent.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))


async def test_a_limit_that_was_said_before_the_key_was_replaced_is_the_limit_at_the_relay(world):
    """And what others owe about it, they owe about the limit as it was posted."""
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock", Away) as peacock:
            given = await give(peacock)
            await idvas.inbox.collect(0)
            peacock.relay.away = True
            world.clock.advance(60)
            await limit(peacock, given)
        await replaced(world, http, "Peacock")
        async with quiet(world, "Peacock") as peacock:
            assert await waiting(peacock) == ["grant", "status"]
            assert await peacock.posting.flush()
            page = await idvas.relay.grant(given["gid"])
            said = json.loads(page.grant.t)
            assert (said["ver"], said["limited"], "contact" in said["cat"]) == (2, True, False)
            assert said["signer"] == world.parties["Peacock"].member.agent.consent.kid
            assert json.loads(page.status.t)["signer"] == said["signer"]
            assert (await handle(peacock, given["gid"])).grant_t == page.grant.t
            await idvas.book.refresh()
            await idvas.inbox.collect(0)
            assert await idvas.posting.flush()
            await peacock.inbox.collect(0)
            assert (await peacock.showing.status())["recalls_unanswered"] == 0


async def test_an_agreement_and_its_message_from_before_the_key_was_replaced_arrive(world):
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock", Gone) as peacock:
            peacock.relay.away = True
            given = await give(peacock)
            queued = await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
        await replaced(world, http, "Peacock")
        async with quiet(world, "Peacock") as peacock:
            assert await peacock.posting.flush()
            await peacock.outbox.flush()
            await idvas.book.refresh()
            await idvas.inbox.collect(0)
            assert [item["state"] for item in await idvas.showing.inbox()] == ["opened"]
            await peacock.inbox.collect(0)
            assert (await peacock.showing.message(queued["mid"]))["desks"][0]["state"] == "opened"


async def test_an_agreement_that_ended_before_the_relay_heard_of_it_is_not_signed_again(world):
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock", Away) as peacock:
            peacock.relay.away = True
            given = await give(peacock)
            await peacock.agreements.withdraw(given["id"])
        await replaced(world, http, "Peacock")
        async with quiet(world, "Peacock") as peacock:
            await peacock.posting.flush()
            assert await waiting(peacock) == []
            assert (await peacock.view.agreement(given["id"]))["withdrawn"] is not None
            with pytest.raises(Refusal, match="NOT_FOUND"):
                await idvas.relay.grant(given["gid"])


async def test_a_staple_of_the_old_key_does_not_hold_messages_up_until_the_next_one_is_due(world):
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock", Away) as peacock:
            given = await give(peacock)
            peacock.relay.away = True
            world.clock.advance(13 * 3600)
            await peacock.agreements.tend()
        await replaced(world, http, "Peacock")
        async with quiet(world, "Peacock") as peacock:
            assert await waiting(peacock) == ["status"]
            assert await peacock.posting.flush()
            page = await idvas.relay.grant(given["gid"])
            assert page.status.t == (await handle(peacock, given["gid"])).status_t
            assert json.loads(page.status.t)["ts"] == world.now


async def test_what_became_of_a_withdrawn_message_is_told_with_the_new_key(world):
    async with world.relay(), world.session() as http, quiet(world, "Peacock") as peacock:
        async with quiet(world, "IDVAS", Away) as idvas:
            given = await give(peacock)
            await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
            await peacock.outbox.flush()
            await idvas.inbox.collect(0)
            await peacock.agreements.withdraw(given["id"])
            await idvas.inbox.collect(0)
            idvas.relay.away = True
            told = await idvas.agreements.answer(given["gid"], read(Answer, did="deleted"))
            assert not told["at_the_relay"]
        await replaced(world, http, "IDVAS")
        async with quiet(world, "IDVAS") as idvas:
            assert await waiting(idvas) == ["recalled"]
            assert await idvas.posting.flush()
            await peacock.book.refresh()
            await peacock.inbox.collect(0)
            assert (await peacock.view.agreement(given["id"]))["recalls"][0]["says"] == "deleted"
            assert (await peacock.showing.status())["recalls_unanswered"] == 0


async def test_a_decision_not_to_share_is_logged_although_its_key_counts_no_more(world):
    async with world.relay(), world.session() as http:
        async with quiet(world, "Peacock", Away) as peacock:
            peacock.relay.away = True
            made = await peacock.nondisclosures.record(asked())
        world.clock.advance(60)
        await new_message_key(world, http, "Peacock", since=made["recorded"])
        world.clock.advance(60)
        async with quiet(world, "Peacock") as peacock:
            await peacock.posting.flush()
            (shown,) = await peacock.nondisclosures.list()
            assert (shown["logged"], shown["code"], shown["recorded"]) == (True, None, made["recorded"])


@pytest.mark.parametrize("recorded", [False, True], ids=["unsaid", "its answer was lost"])
async def test_a_step_that_was_signed_before_the_key_was_replaced_reaches_the_sender(world, recorded):
    """Somebody has taken it on: the sender must not go on believing that nobody has."""
    async with world.relay(), world.session() as http, quiet(world, "Peacock") as peacock:
        async with quiet(world, "IDVAS", Gone) as idvas:
            given = await give(peacock)
            queued = await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
            await peacock.outbox.flush()
            await idvas.inbox.collect(0)
            (item,) = await idvas.showing.inbox()
            idvas.relay.away = True
            await idvas.office.take_on(item["id"], TakeOn(role="idva"))
            if recorded:
                idvas.relay.away = False
                await idvas.receipts.flush()
                await idvas.store.run(lambda c: idvas.receipts.again(c, queued["eid"], "intake"))
        world.clock.advance(60)
        await new_message_key(world, http, "IDVAS", since=world.now)
        world.clock.advance(60)
        async with quiet(world, "IDVAS") as idvas:
            await idvas.inbox.resume()
            assert (await idvas.showing.status())["receipts_waiting"] == 0
        await peacock.book.refresh()
        await peacock.inbox.collect(0)
        assert (await peacock.showing.message(queued["mid"]))["desks"][0]["state"] == "taken-on"


async def test_a_handle_whose_key_was_lost_before_it_was_made_carries_no_more_messages(world):
    """Everybody refuses what a thief may have signed, so the next message gets a handle of the new key."""
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock") as peacock:
            given = await give(peacock)
        world.clock.advance(60)
        kid = world.parties["Peacock"].member.agent.consent.kid
        await state(
            world,
            http,
            "Peacock",
            lambda chain: chain.revoke(kid, "compromised", world.now - 3600, world.now),
        )
        await new_consent_key(world, http, "Peacock")
        world.clock.advance(60)
        async with quiet(world, "Peacock") as peacock:
            await peacock.office.send(read(Send, **form("IDVAS", gid=given["id"])))
            await peacock.posting.flush()
            await peacock.outbox.flush()
        await idvas.book.refresh()
        await idvas.inbox.collect(0)
        (item,) = await idvas.showing.inbox()
        assert (item["state"], item["gid"] != given["gid"]) == ("opened", True)


async def test_a_staple_whose_key_was_lost_is_renewed_at_once_and_one_whose_key_was_rotated_when_due(world):
    async with world.relay(), world.session() as http:
        async with quiet(world, "Peacock") as peacock:
            given = await give(peacock)
            before = (await handle(peacock, given["gid"])).status_t
        kid = world.parties["Peacock"].member.agent.consent.kid
        world.clock.advance(60)
        await new_consent_key(world, http, "Peacock")
        for since, renewed in ((world.now, False), (world.now - 3600, True)):
            await state(world, http, "Peacock", lambda c, at=since: c.revoke(kid, "lost", at, world.now))
            world.clock.advance(60)
            async with quiet(world, "Peacock") as peacock:
                await peacock.agreements.tend()
                assert ((await handle(peacock, given["gid"])).status_t != before) == renewed
