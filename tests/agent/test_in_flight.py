"""An agreement ends while the first post of a message is on its way: nobody may say then that it was stopped here (J4)."""

import asyncio
import contextlib

import pytest

from agent.client import Relay
from agent.forms import Give, Send
from tests.agent.agencies import agreement, form, quiet
from tests.agent.test_late_release import read
from tests.simulated_world import World


class LateAnswer(Relay):
    """The line to the real relay, which takes what is posted and whose answer comes late."""

    def __init__(self, *args):
        super().__init__(*args)
        self.taken, self.answers = asyncio.Event(), asyncio.Event()

    async def post_envelopes(self, uploads):
        answer = await super().post_envelopes(uploads)
        self.taken.set()
        await self.answers.wait()
        return answer


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def send(peacock):
    gid = (await peacock.agreements.give(read(Give, **agreement("IDVAS"))))["gid"]
    await peacock.posting.flush()
    mid = (await peacock.office.send(read(Send, **form("IDVAS", gid=gid))))["mid"]
    posting = asyncio.create_task(peacock.outbox.flush())
    await peacock.relay.taken.wait()
    return gid, mid, posting


async def said_of(peacock, mid):
    return (await peacock.showing.message(mid))["desks"][0]["says"]


async def test_what_is_on_its_way_is_not_called_stopped_when_its_agreement_ends(world):
    async with world.relay(), quiet(world, "Peacock", LateAnswer) as peacock, quiet(world, "IDVAS") as idvas:
        gid, mid, posting = await send(peacock)
        await idvas.inbox.collect(0)  # people there have it
        assert (await peacock.agreements.withdraw(gid))["stopped_here"] == 0
        peacock.relay.answers.set()
        await posting
        await peacock.posting.flush()
        await peacock.inbox.collect(0)
        assert await said_of(peacock, mid) == "agreement withdrawn after they had it"


async def test_nor_when_the_agent_was_killed_before_the_answer_came(world):
    async with world.relay(), quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock", LateAnswer) as peacock:
            gid, mid, posting = await send(peacock)
            posting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await posting
        await idvas.inbox.collect(0)
        async with quiet(world, "Peacock") as peacock:
            assert (await peacock.agreements.withdraw(gid))["stopped_here"] == 0
            await peacock.posting.flush()
            await peacock.outbox.flush()
            await peacock.inbox.collect(0)
            assert await said_of(peacock, mid) == "agreement withdrawn after they had it"


async def test_what_never_left_is_stopped_here(world):
    async with quiet(world, "Peacock") as peacock, world.relay():
        await peacock.book.refresh()
        gid = (await peacock.agreements.give(read(Give, **agreement("IDVAS"))))["gid"]
        mid = (await peacock.office.send(read(Send, **form("IDVAS", gid=gid))))["mid"]
        assert (await peacock.agreements.withdraw(gid))["stopped_here"] == 1
        assert await said_of(peacock, mid) == "stopped: agreement withdrawn"
