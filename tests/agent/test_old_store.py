"""A poll of an agent that has worked for years costs what it costs on the first day: nothing that it asks of its store
goes through all that was ever sent or received.
"""

import json
import re

import pytest
from sqlalchemy import event

from agent.forms import Give, Send
from tests.agent.agencies import agreement, form, quiet
from tests.simulated_world import World

GROWING = (
    "inbox",
    "outbox",
    "receipts",
    "posts",
    "sealings",
    "ladder",
    "shares",
    "grants",
    "withdrawals",
    "recalls",
)
"""Tables from which a message that ended does not go."""
WHOLE = re.compile(rf"SCAN ({'|'.join(GROWING)})\b(?! USING COVERING)")


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


class Asked:
    """What an agent asks of its store from now on, with the values of the first time."""

    def __init__(self, agent):
        self._store, self.texts = agent.store, {}
        event.listen(self._store._engine, "before_cursor_execute", self._heard)

    def _heard(self, _connection, _cursor, text, values, _context, many):
        if text.startswith(("SELECT", "UPDATE", "DELETE")):
            self.texts.setdefault(text, values[0] if many else values)

    async def whole(self):
        """Statements that read a growing table from end to end."""
        plans = await self.plans()
        return {text: plan for text, plan in plans.items() if any(WHOLE.match(step) for step in plan)}

    async def plans(self):
        """How the store finds what was asked of it."""
        texts, self.texts = self.texts, {}
        assert texts

        def work(c):
            return {
                text: [row.detail for row in c.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values)]
                for text, values in texts.items()
            }

        return await self._store.run(work)


async def rounds(agent):
    """Everything that an agent's loops do again and again, every few seconds or minutes."""
    await agent.inbox.collect(0)
    await agent.folders.tell_recalls()
    await agent.folders.tell_doubts()
    await agent.folders.scan()
    await agent.posting.flush()
    await agent.overrides.flush()
    await agent.outbox.flush()
    await agent.inbox.resume()
    await agent.reconciliation.round(agent.inbox.emptied)
    await agent.alarms.resume()


async def test_what_an_agent_does_again_and_again_reads_no_growing_table_from_end_to_end(world):
    async with (
        world.relay(),
        quiet(world, "Peacock", folders=True) as peacock,
        quiet(world, "IDVAS", folders=True) as idvas,
    ):
        asked = [Asked(peacock), Asked(idvas)]
        given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
        await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
        for _ in range(3):
            await rounds(peacock)
            await rounds(idvas)
        (item,) = await idvas.showing.inbox()
        await idvas.showing.received(item["id"])
        assert [await one.whole() for one in asked] == [{}, {}]


async def test_a_message_is_sent_without_a_look_at_all_that_was_read_here(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        asked = Asked(peacock)
        given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
        await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
        plans = {t: plan for t, plan in (await asked.plans()).items() if "FROM inbox" in t}
        assert plans
        assert [plan for plan in plans.values() if "ix_inbox_thr" not in " ".join(plan)] == []


async def test_what_is_to_be_handed_over_is_found_without_what_waits_for_people_here(world):
    async with world.relay(), quiet(world, "IDVAS", folders=True) as idvas:
        asked = Asked(idvas)
        for _ in range(2):
            await rounds(idvas)
        plans = {t: plan for t, plan in (await asked.plans()).items() if "inbox.handed IS NULL" in t}
        assert len(plans) >= 4
        assert [t for t, plan in plans.items() if "state=? AND handed=?" not in " ".join(plan)] == []


async def test_a_scan_of_a_growing_table_is_seen(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        asked = Asked(peacock)
        await peacock.store.run(
            lambda c: c.exec_driver_sql("SELECT eid FROM receipts WHERE code = ?", ("X",)).all()
        )
        await peacock.store.run(
            lambda c: c.exec_driver_sql("SELECT eid FROM receipts WHERE n = ?", (1,)).all()
        )
        assert list(await asked.whole()) == ["SELECT eid FROM receipts WHERE code = ?"]
