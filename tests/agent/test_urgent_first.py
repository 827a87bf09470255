"""Asking how agreements stand takes its time: REDs, and what names no agreement, do not wait for those answers (V8)."""

import asyncio

import pytest
from sqlalchemy import select

from agent.client import Relay
from agent.forms import Give, Send
from agent.tables import inbox
from schemas.errors import Refusal
from tests.agent.agencies import MESSAGE, agreement, form, quiet
from tests.agent.test_late_release import DUTY, read
from tests.simulated_world import World


class Slow(Relay):
    """The line to the real relay, which says of an agreement nothing within the patience; `asked` has what people here
    had been handed by then, and `known` what the relay had been told."""

    agent = None
    away = False

    def __init__(self, *args):
        super().__init__(*args)
        self.asked, self.posted = {}, []

    async def grant(self, gid):
        self.asked[gid] = (await handed(self.agent), len(self.posted))
        await asyncio.sleep(60)

    async def post_receipts(self, asked):
        if self.away:
            raise Refusal("RELAY_AWAY")
        self.posted += asked.receipts
        return await super().post_receipts(asked)


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr("agent.consent.PATIENCE", 0.2)


async def handed(agent):
    rows = await agent.store.run(lambda c: c.execute(select(inbox).where(inbox.c.handed.is_not(None))).all())
    return {row.mid for row in rows}


async def give(agent):
    return (await agent.agreements.give(read(Give, **agreement("IDVAS"))))["gid"]


async def send(agent, **changes):
    return (await agent.office.send(read(Send, **form("IDVAS", **changes))))["mid"]


RED = {**MESSAGE, "rag": "RED"}
WITHOUT = {"law": {**DUTY, "agree": "NOT_SOUGHT"}}


async def test_a_red_and_what_names_no_agreement_do_not_wait_for_the_answers(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Slow) as idvas:
        idvas.relay.agent = idvas
        calm, urgent = [await give(peacock) for _ in range(12)], await give(peacock)
        amber = [await send(peacock, gid=gid) for gid in calm]
        red = await send(peacock, gid=urgent, payload=RED)
        bare = await send(peacock, **WITHOUT)
        await peacock.posting.flush()
        await peacock.outbox.flush()
        await idvas.inbox.collect(0)
        asked = idvas.relay.asked
        assert next(iter(asked)) == urgent
        assert asked[urgent] == (set(), 0)
        assert {gid: asked[gid][0] for gid in calm} == {gid: {red, bare} for gid in calm}
        assert {asked[gid][1] for gid in calm} == {
            4
        }  # collected and opened of those two, and nothing of the others
        assert await handed(idvas) == {red, bare, *amber}


async def test_a_relay_that_goes_away_in_between_keeps_no_red_waiting(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Slow) as idvas:
        idvas.relay.agent = idvas
        calm, urgent = await give(peacock), await give(peacock)
        amber = await send(peacock, gid=calm)
        red = await send(peacock, gid=urgent, payload=RED)
        bare = await send(peacock, **WITHOUT)
        await peacock.posting.flush()
        await peacock.outbox.flush()
        idvas.relay.away = True
        with pytest.raises(Refusal, match="RELAY_AWAY"):
            await idvas.inbox.collect(0)
        assert idvas.relay.asked[calm][0] == {red}
        assert await handed(idvas) == {red}  # of the others the relay has not heard that they are here
        idvas.relay.away = False
        await idvas.inbox.resume()
        assert await handed(idvas) == {red, bare, amber}
