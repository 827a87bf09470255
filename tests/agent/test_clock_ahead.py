"""An agent's clock that runs weeks ahead for a while: what waits here is still there when the clock is right again."""

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from agent.denials import SAYS as KEPT_BACK
from agent.forms import Send
from agent.tables import inbox
from tests.agent.agencies import form, quiet
from tests.agent.test_late_release import DUTY, read
from tests.simulated_world import SteppedClock, World

AHEAD = 30 * 24 * 3600
WITHOUT = {"law": {**DUTY, "agree": "NOT_SOUGHT"}}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def its_own_clock(world):
    """The same partnership, for an agent whose clock is its own."""
    return replace(world, clock=SteppedClock(world.clock()))


async def rows(agent):
    return await agent.store.run(lambda c: c.execute(select(inbox)).all())


async def put(agent, **values):
    await agent.store.run(lambda c: c.execute(update(inbox).values(**values)).close())


async def sent(world, peacock):
    mid = (await peacock.office.send(read(Send, **form("IDVAS", **WITHOUT))))["mid"]
    await peacock.outbox.flush()
    return mid


async def test_what_the_relay_calls_over_is_kept_back_and_not_dropped(world):
    own = its_own_clock(world)
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(own, "IDVAS") as idvas:
        await sent(world, peacock)
        await idvas.inbox.collect(0)
        await put(idvas, handed=None, denied=world.now)  # as when the relay refuses the first step
        own.clock.advance(AHEAD)
        await idvas.inbox.hand_over_all()
        own.clock.advance(-AHEAD)
        (kept,) = (await idvas.showing.status())["over_unproven"]
        assert kept["says"] == KEPT_BACK


async def test_what_waits_to_be_confirmed_is_not_given_back(world):
    own = its_own_clock(world)
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(own, "IDVAS") as idvas:
        await sent(world, peacock)
        await idvas.inbox.collect(0)
        await put(
            idvas, handed=None, alone=0, unproven=0, gid="A" * 22, unsure=world.now
        )  # as when nobody vouches any more
        own.clock.advance(AHEAD)
        await idvas.inbox._confirming.sort()
        own.clock.advance(-AHEAD)
        (row,) = await rows(idvas)
        assert (row.state, row.code) == ("opened", None)
