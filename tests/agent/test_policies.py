"""An agent believes two people, not the relay: it takes the text that they signed, keeps it, and never goes back."""

import contextlib
import json
import secrets
from typing import ClassVar

import pytest
from sqlalchemy import delete, insert, select, update

from agent.client import Relay
from agent.forms import Give, Send
from agent.tables import inbox, journal, policies, sealings
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.policing import LATE, policy_digest
from tests.agent.agencies import MESSAGE, agreement, form, open_agent, quiet
from tests.policy_world import BLIND, next_policy, own_chain, publish, signed, stated, text_of
from tests.simulated_world import World


class Liar(Relay):
    """The line to the real relay; a test replaces what it hands over."""

    lies: ClassVar[dict] = {}

    async def policy(self, digest):
        text = await super().policy(digest)
        return self.lies.get("policy", lambda given: given)(text)

    async def directory(self, after):
        page = await super().directory(after)
        return self.lies.get("directory", lambda given: given)(page)


@pytest.fixture
def world(tmp_path):
    Liar.lies = {}
    return World.again(tmp_path, "Peacock", "IDVAS")


@contextlib.asynccontextmanager
async def agent_of(world, name="Peacock", line=Liar):
    """An agent that is open, not started: the test asks for each round."""
    agent = await open_agent(world, name, line)
    try:
        yield agent
    finally:
        await agent.relay.close()
        await agent.store.close()


async def noted(agent):
    rows = await agent.store.run(lambda c: c.execute(select(journal)).all())
    return [(row.event, row.code) for row in rows if row.event == "policy-refused"]


def version(agent, at=None):
    found = agent.book.policies.now if at is None else agent.book.policies.at(at)
    return None if found is None else found.version


async def test_it_fetches_what_the_directory_names_and_has_it_without_the_relay(world):
    async with world.relay(), agent_of(world) as agent:
        assert version(agent) is None
        await agent.book.refresh()
        assert version(agent) == 1
    async with agent_of(world) as agent:
        assert version(agent) == 1


async def test_a_coming_policy_is_fetched_before_it_counts(world):
    async with world.relay(), world.session() as http, agent_of(world) as agent:
        await publish(world, http, next_policy(world, effective=world.now + 600))
        await agent.book.refresh()
        assert (version(agent), version(agent, world.now + 599), version(agent, world.now + 600)) == (1, 1, 2)
    world.clock.advance(600)
    async with agent_of(world) as agent:
        assert version(agent) == 2


OTHERS = [
    ("another policy", lambda world: lambda _: text_of(world, 2, name="Another")),
    ("an older policy", lambda world: lambda _: world.founded.policy.text),
    ("a text cut short", lambda world: lambda text: text[:-2]),
    ("bytes that are no text", lambda world: lambda _: b"\xff\xfe"),
    ("nothing", lambda world: lambda _: b""),
]


@pytest.mark.parametrize(("what", "lie"), OTHERS, ids=[row[0] for row in OTHERS])
async def test_a_relay_that_hands_over_another_text_is_refused_and_the_old_one_stays(world, what, lie):
    async with world.relay(), world.session() as http, agent_of(world) as agent:
        await agent.book.refresh()
        await publish(world, http, next_policy(world, effective=world.now + 600))
        Liar.lies = {"policy": lie(world)}
        for _ in range(2):
            await agent.book.refresh()
        assert (version(agent), version(agent, world.now + 600)) == (1, None)
        assert await noted(agent) == [("policy-refused", "POLICY_TEXT")]
        Liar.lies = {}
        await agent.book.refresh()
        assert (version(agent), version(agent, world.now + 600)) == (1, 2)


async def test_a_policy_that_counts_and_is_not_held_is_none_and_not_the_one_before(world):
    async with world.relay(), world.session() as http, agent_of(world) as agent:
        await agent.book.refresh()
        await publish(world, http, next_policy(world, effective=world.now + 600))
        Liar.lies = {"policy": lambda _: b""}
        await agent.book.refresh()
    world.clock.advance(600)
    async with agent_of(world) as agent:
        assert version(agent) is None
        assert agent.book.policies.around(world.now) == (agent.book.policies.at(world.now - 1), None)


async def test_a_relay_without_the_text_is_asked_again(world):
    async with world.relay() as relay, agent_of(world) as agent:

        def away(_):
            raise Refusal("RELAY_AWAY")

        Liar.lies = {"policy": away}
        await agent.book.refresh()
        assert (version(agent), await noted(agent)) == (None, [])
        async with relay.store.turn() as connection:
            await connection.exec_driver_sql("DELETE FROM policies")
        Liar.lies = {}
        await agent.book.refresh()
        assert (version(agent), await noted(agent)) == (None, [("policy-refused", "NOT_FOUND")])


async def test_a_relay_that_hides_a_policy_is_caught_by_the_directory(world):
    async with world.relay(), world.session() as http, agent_of(world) as agent:
        await publish(world, http, next_policy(world, **BLIND))
        await agent.book.refresh()
        assert version(agent) == 2
        Liar.lies = {"directory": lambda page: page.model_copy(update={"size": page.size - 1})}
        with pytest.raises(Refusal, match="ROLLBACK"):
            await agent.book.refresh()
        assert version(agent) == 2


async def test_a_relay_cannot_bring_an_old_policy_back(world):
    """Only a statement could, and it follows from nothing."""
    async with world.relay(), world.session() as http, agent_of(world) as agent:
        await publish(world, http, next_policy(world, **BLIND))
        again = own_chain(world).policy(next_policy(world, version=1), world.now)
        with pytest.raises(Refusal, match="POLICY_OLDER"):
            world.directory.apply(again)
        await agent.book.refresh()
        assert version(agent) == 2


async def test_a_text_that_the_store_spoiled_is_fetched_again(world):
    async with world.relay(), agent_of(world) as agent:
        await agent.book.refresh()
        await agent.store.run(lambda c: c.execute(update(policies).values(text="{}")).close())
    async with world.relay(), agent_of(world) as agent:
        assert version(agent) is None
        await agent.book.refresh()
        assert version(agent) == 1


async def test_a_text_in_the_store_that_no_statement_names_counts_for_nothing(world):
    async with world.relay(), agent_of(world) as agent:
        await agent.book.refresh()
        text = text_of(world, 2, world.now, **BLIND)
        row = {"digest": policy_digest(text), "text": text.decode()}
        await agent.store.run(lambda c: c.execute(insert(policies), [row]).close())
    async with agent_of(world) as agent:
        assert version(agent) == 1


async def test_around_a_change_a_recipient_decides_with_each_of_both(world):
    async with world.relay(), world.session() as http, agent_of(world) as agent:
        change = world.now + 600
        await publish(world, http, next_policy(world, effective=change))
        await agent.book.refresh()

        def around(at):
            return [found and found.version for found in agent.book.policies.around(at)]

        assert around(change - LATE - 1) == [1]
        assert around(change - LATE) == [1, 2]
        assert around(change + LATE - 1) == [1, 2]
        assert around(change + LATE) == [2]


async def test_without_any_policy_there_is_none(world):
    async with world.relay(), agent_of(world) as agent:
        await agent.book.refresh()
        await agent.store.run(lambda c: c.execute(delete(policies)).close())
        assert agent.book.policies.around(world.now - 40 * 24 * 3600) == (None,)


@pytest.mark.parametrize(("ts", "code"), [(-60, "DIRECTORY"), (0, "POLICY_SIGNERS")])
async def test_a_statement_with_one_signature_does_not_get_into_a_view(world, ts, code):
    policy = next_policy(world)
    one = type(policy)(policy.text, policy.sigs[:1])
    with pytest.raises(Refusal, match=code):
        world.directory.apply(stated(world, one, world.now + ts))


async def test_a_statement_signed_by_an_unknown_key_does_not_get_into_a_view(world):
    one, two = (signer.key for signer in world.founded.signers)
    text = next_policy(world).text
    world.directory.apply(
        stated(world, signed(text, one, two), world.now)
    )  # the same text, signed by both, does
    stranger = SigningKey(secrets.token_bytes(32))
    later = next_policy(world, version=3).text
    with pytest.raises(Refusal, match="UNKNOWN_KEY"):
        world.directory.apply(stated(world, signed(later, one, stranger), world.now))


# --- deciding without one


async def give_and_send(agent):
    given = await agent.agreements.give(Give.model_validate_json(json.dumps(agreement("IDVAS"))))
    sent = await agent.office.send(Send.model_validate_json(json.dumps(form("IDVAS", gid=given["gid"]))))
    await agent.posting.flush()
    await agent.outbox.flush()
    return sent["eid"]


async def received(agent):
    rows = await agent.store.run(lambda c: c.execute(select(inbox)).all())
    return [(row.state, row.code) for row in rows]


async def test_a_recipient_that_lacks_the_policy_waits_for_it_and_rejects_nothing(world):
    Liar.lies = {"policy": lambda _: b""}
    async with world.relay(), quiet(world, "Peacock") as sender, quiet(world, "IDVAS", Liar) as recipient:
        await give_and_send(sender)
        await recipient.inbox.collect(0)
        assert await received(recipient) == [("collected", None)]
        Liar.lies = {}
        await recipient.book.refresh()
        await recipient.inbox.resume()
        assert await received(recipient) == [("opened", None)]


async def test_a_policy_that_came_in_force_a_moment_ago_is_asked_for_before_anything_is_rejected(world):
    """The recipient still knows the policy that would stop what the relay lets pass."""
    async with world.relay(), world.session() as http:
        await publish(world, http, next_policy(world, **BLIND))
        async with quiet(world, "Peacock") as sender, quiet(world, "IDVAS") as recipient:
            world.clock.advance(LATE + 1)
            await publish(world, http, next_policy(world, version=3))
            world.clock.advance(LATE + 1)
            await sender.book.refresh()
            await give_and_send(sender)
            assert version(recipient) == 2
            await recipient.inbox.collect(0)
            assert await received(recipient) == [("opened", None)]
            assert version(recipient) == 3


async def test_a_sender_that_lacks_the_policy_is_told_so_and_a_red_goes(world):
    Liar.lies = {"policy": lambda _: b""}
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        given = await agent.agreements.give(Give.model_validate_json(json.dumps(agreement("IDVAS"))))
        await agent.posting.flush()
        asked = form("IDVAS", gid=given["gid"])
        with pytest.raises(Refusal, match="POLICY"):
            await agent.office.send(Send.model_validate_json(json.dumps(asked)))
        red = form("IDVAS", gid=given["gid"], payload={**MESSAGE, "rag": "RED"})
        sent = await agent.office.send(Send.model_validate_json(json.dumps(red)))
        await agent.outbox.flush()
        rows = await agent.store.run(lambda c: c.execute(select(sealings)).all())
        assert [(row.eid, row.state) for row in rows] == [(sent["eid"], "accepted")]
