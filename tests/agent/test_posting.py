"""What an agent posts late: after an outage, with another key, and when the answer was lost (PROTOCOL.md C3, C5, J3)."""

import json
import secrets
from dataclasses import replace

import pytest
from sqlalchemy import select

from agent.client import Relay
from agent.consent_forms import Ask
from agent.forms import Give, Send
from agent.tables import grants, journal, posts, sealings
from schemas.chain import Chain
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.keys import SigningKey, Use
from tests.agent.agencies import EVIDENCE, agreement, folder_of, form, put, quiet
from tests.simulated_world import PASSPHRASE, World

DAY = 24 * 3600
LESS = {**EVIDENCE, "state": "LIMITED", "limits": {"not_categories": ["contact"]}}


class Away(Relay):
    """The line to the real relay: `away` it carries nothing, `deaf` it loses the answer."""

    away = deaf = False

    async def post_statements(self, *asked, **named):
        if self.away:
            raise Refusal("RELAY_AWAY")
        answer = await super().post_statements(*asked, **named)
        if self.deaf:
            raise Refusal("RELAY_AWAY")
        return answer


@pytest.fixture
def world(tmp_path):
    return World.found(tmp_path, "Peacock", "IDVAS")


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


async def give(agent):
    return await agent.agreements.give(read(Give, **agreement("IDVAS")))


async def limit(agent, given):
    return await agent.agreements.ask(given["id"], "limit", read(Ask, evidence=LESS))


async def handle(agent, gid):
    return await agent.store.run(lambda c: c.execute(select(grants).where(grants.c.gid == gid)).one())


async def waiting(agent):
    unposted = select(posts.c.kind).where(posts.c.posted == 0)
    return await agent.store.run(lambda c: list(c.execute(unposted).scalars()))


async def state(world, http, name, change):
    """The administrator states something in the agency's chain."""
    party = world.parties[name]
    chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
    signed = change(chain)
    (result,) = (await world.post_statements(http, name, ("directory", signed))).json()["results"]
    assert result["status"] == "recorded", result
    world.take(signed)
    party.admin = replace(party.admin, seq=chain.seq, head=chain.head)


async def lose_consent_key(world, http, name):
    kid = world.parties[name].member.agent.consent.kid
    await state(world, http, name, lambda chain: chain.revoke(kid, "lost", world.now, world.now))


async def new_consent_key(world, http, name):
    """Another consent key, in the directory and in the agent's key file."""
    party, fresh = world.parties[name], SigningKey(secrets.token_bytes(32))
    public, until = fresh.public, world.now + 90 * DAY
    await state(world, http, name, lambda c: c.add_key(Use.CONSENT, public, world.now, until, world.now))
    agent = replace(party.member.agent, consent=fresh)
    party.member = replace(party.member, agent=agent)
    home = folder_of(world, name)
    put(home / "agent.fpk", lock(agent.to_json(), agent.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))


async def test_an_agreement_given_and_limited_while_the_relay_was_away_is_limited_there(world):
    async with world.relay(), quiet(world, "Peacock", Away) as peacock, quiet(world, "IDVAS") as idvas:
        peacock.relay.away = True
        given = await give(peacock)
        await limit(peacock, given)
        peacock.relay.away = False
        assert await peacock.posting.flush()
        said = json.loads((await idvas.relay.grant(given["gid"])).grant.t)
        assert (said["ver"], said["limited"], "contact" in said["cat"]) == (2, True, False)


async def test_a_stop_posted_days_late_counts_from_then_and_stays_here_as_it_was_said(world):
    async with world.relay(), quiet(world, "Peacock", Away) as peacock, quiet(world, "IDVAS") as idvas:
        given = await give(peacock)
        await idvas.inbox.collect(0)
        peacock.relay.away = True
        world.clock.advance(60)
        spoken = world.now
        assert not (await peacock.agreements.withdraw(given["id"]))["at_the_relay"]
        world.clock.advance(3 * DAY)
        peacock.relay.away = False
        for agent in (peacock, idvas):
            await agent.book.refresh()
        assert await peacock.posting.flush()
        page, row = await idvas.relay.grant(given["gid"]), await handle(peacock, given["gid"])
        assert json.loads(page.withdrawal.t)["ts"] == world.now
        assert (row.withdrawal_t, row.withdrawn_ts) == (page.withdrawal.t, spoken)
        assert row.heard is not None  # the relay knows of it, so it will be blamed for what it hands out late
        shown = await peacock.view.agreement(given["id"])
        assert (shown["withdrawn"]["at"], shown["at_the_relay"]) == (spoken, True)
        # The other party believes it and answers for it, and the answer is to the stop as it was posted.
        await idvas.inbox.collect(0)
        assert await idvas.posting.flush()
        await peacock.inbox.collect(0)
        assert (await peacock.showing.status())["recalls_unanswered"] == 0
        wrong = select(journal.c.event).where(journal.c.event.like("notice-%"))
        for agent in (peacock, idvas):
            assert await agent.store.run(lambda c: c.execute(wrong).all()) == []


async def test_a_stop_signed_with_a_key_that_was_replaced_meanwhile_is_signed_with_the_new_one(world):
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock", Away) as peacock:
            given = await give(peacock)
            peacock.relay.away = True
            await peacock.agreements.withdraw(given["id"])
        world.clock.advance(60)
        await lose_consent_key(world, http, "Peacock")
        await new_consent_key(world, http, "Peacock")
        world.clock.advance(60)
        async with quiet(world, "Peacock") as peacock:
            assert await waiting(peacock) == ["withdraw"]
            assert await peacock.posting.flush()
        page = await idvas.relay.grant(given["gid"])
        assert json.loads(page.withdrawal.t)["signer"] == world.parties["Peacock"].member.agent.consent.kid


async def test_a_limit_signed_with_a_newer_key_than_the_agreement_is_believed(world):
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock") as peacock:
            given = await give(peacock)
            await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
            await peacock.outbox.flush()
            await idvas.inbox.collect(0)
        world.clock.advance(60)
        await new_consent_key(world, http, "Peacock")
        world.clock.advance(60)
        async with quiet(world, "Peacock") as peacock:
            await limit(peacock, given)
            assert await waiting(peacock) == []
        await idvas.inbox.collect(0)
        row = await handle(idvas, given["gid"])
        assert json.loads(row.grant_t)["ver"] == 2


async def test_a_stop_that_was_recorded_and_whose_answer_was_lost_is_not_signed_again(world):
    async with world.relay(), quiet(world, "Peacock", Away) as peacock, quiet(world, "IDVAS") as idvas:
        given = await give(peacock)
        peacock.relay.deaf = True
        assert not (await peacock.agreements.withdraw(given["id"]))["at_the_relay"]
        before = await handle(peacock, given["gid"])
        world.clock.advance(DAY)
        peacock.relay.deaf = False
        await peacock.book.refresh()
        assert await peacock.posting.flush()
        page = await idvas.relay.grant(given["gid"])
        assert page.withdrawal.t == before.withdrawal_t == (await handle(peacock, given["gid"])).withdrawal_t


async def test_a_stop_that_no_key_of_ours_can_sign_waits_and_holds_nothing_up(world):
    """Our consent key was revoked: nothing that we sign ends the handle until there is another."""
    async with world.relay(), world.session() as http:
        async with quiet(world, "Peacock") as peacock:
            given = await give(peacock)
            await lose_consent_key(world, http, "Peacock")
            world.clock.advance(60)
            await peacock.book.refresh()
            for _ in range(2):
                assert not (await peacock.agreements.withdraw(given["id"]))["at_the_relay"]
            assert await waiting(peacock) == ["withdraw"]
            assert not (await peacock.view.agreement(given["id"]))["at_the_relay"]
            noted = select(journal.c.code).where(journal.c.event == "statement-withdraw")
            assert await peacock.store.run(lambda c: list(c.execute(noted).scalars())) == ["REVOKED_KEY"]
            red = form("IDVAS", law={"b6": "6f", "agree": "NOT_SOUGHT", "why_no": "F", "told": "YES"})
            red["payload"] = {**red["payload"], "rag": "RED"}
            await peacock.office.send(read(Send, **red))
            assert not await peacock.posting.flush()  # and the round goes on to what is to be sent
            await peacock.outbox.flush()
            states = select(sealings.c.state)
            assert await peacock.store.run(lambda c: list(c.execute(states).scalars())) == ["accepted"]
        await new_consent_key(world, http, "Peacock")
        async with quiet(world, "Peacock") as peacock:
            assert await peacock.posting.flush()
            assert await waiting(peacock) == []
