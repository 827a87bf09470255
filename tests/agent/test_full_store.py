"""The agent's own store is full in the middle of a rotation, as SQLite finds it: with room again, it goes on by itself."""

import pytest

from schemas.errors import Refusal
from schemas.keys import RUNNING
from tests.agent.agencies import quiet
from tests.agent.test_rotation import standing
from tests.simulated_world import World

MANY = 40
"""Rotations after which any room of a few pages is used up."""


async def room(agent, more: int | None) -> None:
    """Let the store grow by so many pages; by as many as it likes for None."""
    pages = await agent.store.run(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    most = 1_000_000 if more is None else pages + more
    await agent.store.run(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {most}").close())


@pytest.mark.parametrize("pages", [0, 2])
async def test_a_rotation_that_finds_no_room_is_gone_on_with(tmp_path, pages: int):
    world = World.again(tmp_path, "Peacock", "IDVAS")
    async with world.relay(), quiet(world, "Peacock") as agent:
        await room(agent, pages)
        with pytest.raises(Refusal, match="DISK_FULL"):
            for _ in range(MANY):
                await agent.rotation.rotate(list(RUNNING), dry_run=False)
        await room(agent, None)
        for _ in range(3):
            await agent.book.refresh()
            await agent.rotation.round()
        assert agent.rotation.due() == []
        assert agent.book.strangers == ()  # nobody seals to what is not held
        assert [own for own in agent.rotation._ring.own if own.published is None] == []
        for use in RUNNING:
            assert {key.kid for key in standing(agent, use, world.clock())} <= agent.rotation._ring.kids
            assert standing(agent, use, world.clock()), use
        await agent.inbox.collect(0)
