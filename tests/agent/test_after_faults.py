"""What an agent believes, warns of and starts with, after a full disk, a wrong time and a file that does not open."""

import secrets

import pytest

from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from tests.agent.agencies import folder_of, put, quiet
from tests.agent.test_witness import grow
from tests.simulated_world import PASSPHRASE, World

DAY = 24 * 3600
CLOSED = lock({"agency": "x", "renew": "y"}, "renew", b"another passphrase", QUICK, secrets.token_bytes)


@pytest.fixture
def world(tmp_path) -> World:
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


async def test_a_head_that_a_full_disk_kept_from_being_written_is_written_later(world: World):
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            await agent.inbox.collect(0)
            await agent.trust.keep()
            await grow(world, 3)
            await agent.trust.believe(await agent.relay.checkpoint())

            def full(connection) -> None:
                agent.trust.save(connection)
                raise Refusal("DISK_FULL")  # as the store says when the commit fails

            with pytest.raises(Refusal):
                await agent.store.run(full)
            believed = agent.trust.size
            await agent.trust.keep()
        async with quiet(world, "Peacock") as agent:
            assert agent.trust.size == believed


async def test_a_time_that_is_yet_to_come_does_not_silence_the_next_warning(world: World):
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.book.twin.told(world.now + 365 * DAY)
        assert agent.book.twin.met == world.now
        await agent.book.twin.dealt_with()
        world.clock.advance(DAY)
        await agent.book.twin.told(world.now)
        assert agent.book.twin.met == world.now


async def test_a_clock_that_ran_ahead_when_it_was_dealt_with_does_not_silence_it_either(world: World):
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.book.twin.told(world.now)
        world.clock.advance(365 * DAY)
        await agent.book.twin.dealt_with()
        world.clock.advance(-364 * DAY)
        await agent.book.twin.told(world.now - DAY)  # what was dealt with
        assert agent.book.twin.met is None
        await agent.book.twin.told(world.now)
        assert agent.book.twin.met == world.now


@pytest.mark.parametrize("data", [CLOSED, b"", b"half"], ids=["another's passphrase", "empty", "half copied"])
async def test_a_renew_key_that_does_not_open_keeps_nobody_from_starting(world: World, data: bytes):
    home = folder_of(world, "Peacock")
    put(home / "renew-new.fpk", data)
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.take_up(home / "agent.fpk", PASSPHRASE, world.parties["Peacock"].member.agent)
        noted = (await agent.showing.status())["journal"]
        assert [row["event"] for row in noted if row["code"]].count("renew-key-refused") == 1
    assert (home / "renew-new.fpk").read_bytes() == data
