"""What the directory says in our own name: known here, or somebody must say that it is right (K15, G15)."""

import asyncio
import secrets
import shutil

import pytest
from sqlalchemy import select

from agent import own_chain
from agent.announced import MADE
from agent.directory_tables import posted_statements
from agent.doctor import examine
from agent.outbox import HINDERED
from agent.own import Acknowledge
from agent.twin import SETTLING
from schemas.directory_statement import statement_hash
from schemas.errors import Refusal
from schemas.keys import OpeningKey, SigningKey, Use
from tests.agent.agencies import eventually, folder_of, quiet, running
from tests.agent.test_directory_log import chain_of, send, state
from tests.agent.test_safety_numbers import renamed
from tests.simulated_world import World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")
DAY, YEAR = 86_400, 365 * 86_400


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


async def queued_at(agent, mid):
    return (await agent.showing.message(mid))["desks"][0]["state"]


async def says(agent):
    return [one["say"] for one in await agent.book.own_statements()]


async def test_a_founding_agency_has_nothing_to_confirm(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        assert (await says(agent), agent.book.doubt()) == ([], None)


async def test_what_the_administrator_did_is_shown_until_somebody_knows_of_it_and_stops_nothing(world):
    chain, now = chain_of(world, "Peacock"), world.now
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            lead = chain.add_key(
                Use.PERSON, SigningKey(secrets.token_bytes(32)).public, now, now + YEAR, now, "lead-1"
            )
            gone = chain.revoke(next(iter(world.directory.agencies[chain.agency].ig)), "left", now, now)
            await state(world, "Peacock", lead, gone)
            await agent.book.refresh()
            (first, second) = await says(agent)
            assert first.endswith("your administrator's key published a key of lead-1 (person).")
            assert second.endswith("your administrator's key ended a key.")
            assert agent.trust.hindrance is None
        async with quiet(world, "Peacock") as agent:
            seqs = [one["n"] for one in await agent.book.own_statements()]
            assert len(seqs) == 2
            await agent.office.own.acknowledge(Acknowledge(statements=(seqs[0],)))
            assert [one["n"] for one in await agent.book.own_statements()] == seqs[1:]
            with pytest.raises(Refusal, match="NOT_FOUND"):
                await agent.office.own.acknowledge(Acknowledge(statements=(seqs[0],)))
            await agent.office.own.acknowledge(Acknowledge(statements=(seqs[1],)))
            assert await says(agent) == []


async def test_others_chains_are_none_of_our_business(world):
    chain, now = chain_of(world, "IDVAS"), world.now
    async with world.relay(), quiet(world, "Peacock") as agent:
        key = SigningKey(secrets.token_bytes(32))
        await state(world, "IDVAS", chain.add_key(Use.AUTH, key.public, now, now + DAY, now))
        await agent.book.refresh()
        assert (await says(agent), agent.book.doubt()) == ([], None)


@pytest.mark.parametrize("use", [Use.MSG, Use.AUTH, Use.CONSENT, Use.WITNESS, Use.PREKEY])
async def test_a_running_key_that_is_not_held_here_stops_sending_until_it_is_revoked(world, use):
    chain, now, seed = chain_of(world, "Peacock"), world.now, secrets.token_bytes(32)
    key = OpeningKey(seed) if use is Use.PREKEY else SigningKey(seed)
    async with world.relay(), quiet(world, "Peacock") as agent:
        await state(world, "Peacock", chain.add_key(use, key.public, now, now + DAY, now))
        await agent.book.refresh()
        assert (agent.trust.hindrance, agent.trust.alarm) == ("OWN_STATEMENT", None)
        mid = await send(agent)
        assert await queued_at(agent, mid) == "waiting"
        (waits,) = await agent.book.own_statements()
        await agent.office.own.acknowledge(Acknowledge(statements=(waits["n"],)))
        assert agent.book.doubt() == "OWN_STATEMENT"  # saying so does not make it ours
        await state(world, "Peacock", chain.revoke(key.kid, "compromised", now, world.now))
        await agent.book.refresh()
        assert agent.book.doubt() is None
        await agent.outbox.flush()
        assert await queued_at(agent, mid) == "queued"


async def test_a_replaced_administrators_key_stops_sending_until_somebody_knows_of_it(world):
    chain = chain_of(world, "Peacock")
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            await state(world, "Peacock", chain.rotate_op(SigningKey(secrets.token_bytes(32)), world.now))
            await agent.book.refresh()
            assert agent.trust.hindrance == "OWN_STATEMENT"
            mid = await send(agent)
            assert await queued_at(agent, mid) == "waiting"
            assert (await agent.showing.status())["own_doubt"] == "OWN_STATEMENT"
        async with quiet(world, "Peacock") as agent:
            assert agent.trust.hindrance == "OWN_STATEMENT"  # a restart forgets nothing
            (waits,) = await agent.book.own_statements()
            assert waits["grave"]
            assert await agent.outbox.flush() <= HINDERED  # nobody rings when it is over
            await agent.office.own.acknowledge(Acknowledge(statements=(waits["n"],)))
            assert agent.trust.hindrance is None
            await agent.outbox.flush()
            assert await queued_at(agent, mid) == "queued"


async def test_leaving_is_grave(world):
    chain = chain_of(world, "Peacock")
    async with world.relay(), quiet(world, "Peacock") as agent:
        await state(world, "Peacock", chain.leave(chain.agency, world.now + DAY, None, world.now))
        await agent.book.refresh()
        assert agent.trust.hindrance == "OWN_STATEMENT"


async def test_what_this_agent_made_itself_is_no_surprise(world):
    chain, now = chain_of(world, "Peacock"), world.now
    async with world.relay(), quiet(world, "Peacock") as agent:
        said = chain.revoke(world.parties["Peacock"].member.agent.consent.kid, "rotated", now + DAY, now)
        await agent.store.run(lambda c: own_chain.post(c, said, now))
        await agent.store.run(lambda c: own_chain.post(c, said, now))
        await state(world, "Peacock", said)
        await agent.book.refresh()
        assert (await says(agent), agent.book.doubt()) == ([], None)


async def test_receiving_goes_on_meanwhile(world):
    chain = chain_of(world, "IDVAS")
    async with world.relay(), quiet(world, "IDVAS") as agent, quiet(world, "Peacock") as other:
        await state(world, "IDVAS", chain.rotate_op(SigningKey(secrets.token_bytes(32)), world.now))
        await agent.book.refresh()
        mid = await send(other)
        assert await agent.inbox.collect(0)
        assert len(await agent.showing.inbox()) == 1
        assert await queued_at(other, mid) != "waiting"


async def test_what_oversight_says_of_us_is_shown_and_of_others_is_not(world):
    async with world.relay(), world.session() as http, quiet(world, "Peacock") as agent:
        await renamed(world, http, "IDVAS", "Other name")
        await agent.book.refresh()
        assert await says(agent) == []
        await renamed(world, http, "Peacock", "Peacock and Co")
        await agent.book.refresh()
        (said,) = await says(agent)
        assert said.endswith("oversight admitted an agency, or changed its entry.")
        assert agent.book.doubt() is None


async def test_that_another_agency_leaves_stops_nobody_else(world):
    chain, gone = chain_of(world, "oversight"), world.parties["IDVAS"].id
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as leaver:
        await state(world, "oversight", chain.leave(gone, world.now + DAY, None, world.now))
        for one in (agent, leaver):
            await one.book.refresh()
        assert (agent.book.doubt(), leaver.book.doubt()) == (None, "OWN_STATEMENT")
        (said,) = await says(leaver)
        assert said.endswith("oversight said that your agency leaves.")


# --- a copied folder


async def met(caller):
    return (await caller.ok("GET", "/v1/status"))["two_agents"]


async def test_two_agents_from_one_copied_folder_are_both_told(world):
    """The thief runs the very program; both go on receiving, and people are told to have the keys revoked."""
    home = folder_of(world, "Peacock")
    async with world.relay():
        async with running(world, "Peacock", wait=1) as first:
            await eventually(lambda: reached(first))
        shutil.copytree(home, world.folder / "copy")
        async with running(world, "Peacock", wait=1) as first:
            await eventually(lambda: reached(first))
            world.clock.advance(2)
            world.parties["copy"] = world.parties["Peacock"]
            async with running(world, "copy", wait=1) as second:
                await eventually(lambda: ticking(world, first))
                await eventually(lambda: ticking(world, second))
                checks = {c["name"]: c for c in await asyncio.to_thread(examine, home, {}, world.clock())}
                assert not checks["one agent"]["ok"]
                assert checks["one agent"]["say"].startswith(
                    "TWO_AGENTS: Two agents run with your agency's keys"
                )
            given = await first.ok("POST", "/v1/acknowledged", {"two_agents": True})
            assert given["two_agents"]
            for _ in range(3):
                await asyncio.sleep(1.1)  # longer than a poll waits
                world.clock.advance(SETTLING)
            assert await met(first) is None  # the copy is gone


async def test_a_restart_is_no_second_agent(world):
    async with world.relay() as relay:
        for _ in range(3):
            async with running(world, "Peacock", wait=1) as caller:
                await eventually(lambda: reached(caller))
                world.clock.advance(3)
                assert await met(caller) is None
        assert relay.relay.instances.twice(world.parties["Peacock"].id) is None


async def reached(caller):
    return not (await caller.ok("GET", "/v1/status"))["relay"]["code"]


async def ticking(world, caller):
    world.clock.advance(1)
    await asyncio.sleep(0.1)
    return await met(caller)


# --- announced by a command in the agent's folder


def announced(world, *said, mode=0o600):
    path = folder_of(world, "Peacock") / MADE
    path.touch(mode)
    path.chmod(mode)
    path.write_text("".join(f"{one}\n" for one in said))


async def test_what_the_administrators_command_announced_here_stops_nothing_and_asks_nobody(world):
    chain, renew = chain_of(world, "Peacock"), SigningKey(secrets.token_bytes(32))
    said = chain.add_key(Use.RENEW, renew.public, world.now, world.now + YEAR, world.now)
    op = chain.rotate_op(SigningKey(secrets.token_bytes(32)), world.now)
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            announced(world, statement_hash(said), statement_hash(op), renew.kid)
            await state(world, "Peacock", said, op)
            await agent.book.refresh()
            assert (await says(agent), agent.trust.hindrance) == ([], None)
        async with quiet(world, "Peacock") as agent:
            assert (await says(agent), agent.trust.hindrance) == ([], None)


async def test_what_others_could_have_written_there_counts_for_nothing(world):
    op = chain_of(world, "Peacock").rotate_op(SigningKey(secrets.token_bytes(32)), world.now)
    async with world.relay(), quiet(world, "Peacock") as agent:
        announced(world, statement_hash(op), mode=0o660)
        await state(world, "Peacock", op)
        await agent.book.refresh()
        assert agent.trust.hindrance == "OWN_STATEMENT"


async def test_what_this_agent_posted_is_forgotten_once_the_directory_has_shown_it(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        for _ in range(2):
            await agent.rotation.rotate([Use.AUTH, Use.WITNESS], dry_run=False)
        assert (await agent.store.run(posted), await says(agent)) == ([], [])


async def test_what_this_agent_posted_and_the_relay_never_took_is_forgotten_after_a_day(world):
    chain = chain_of(world, "Peacock")
    async with world.relay(), quiet(world, "Peacock") as agent:
        lost, kept = (chain.revoke("k" * 43, "rotated", at, at) for at in (world.now, world.now + DAY))
        for said in (lost, kept):
            await agent.store.run(lambda c, one=said: own_chain.post(c, one, one.peek()["ts"]))
        world.clock.advance(DAY + 60)
        await agent.book.refresh()
        await agent.rotation.rotate([Use.AUTH], dry_run=False)
        assert await agent.store.run(posted) == [statement_hash(kept)]


def posted(c):
    return list(c.execute(select(posted_statements.c.hash)).scalars())
