"""A relay that hands out a message although its agreement has ended: found out where it knew, never shown (V8, J9, J10).

The relay is the real one. `Hider` stands on the line, takes what the relay really handed out, and gives it later.
"""

import json

import pytest
from sqlalchemy import select

from agent.client import Page, Relay
from agent.consent_forms import Ask
from agent.forms import Give, Send
from agent.tables import inbox, journal, posts, receipts
from tests.agent.agencies import EVIDENCE, agreement, form, quiet
from tests.simulated_world import World

DUTY = {"b6": "6c", "gw": ["COURT"], "why_no": "E", "told": "YES"}
"""An order of a court: the rule lets it pass without any agreement."""


class Hider(Relay):
    """The line to the real relay; with `hide` it keeps a page's deliveries, with `give` it hands them out."""

    def __init__(self, *args):
        super().__init__(*args)
        self.kept = ((), ())
        self.hide = self.give = self.deaf = False
        self.meanwhile = None

    async def mailbox(self, wait=0, limit=64, again=None):
        page = await super().mailbox(0, limit, again)
        head, deliveries = page.head, page.deliveries
        if self.hide and deliveries:
            self.kept, head, deliveries = (head.items, deliveries), head.model_copy(update={"items": ()}), ()
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.give:
            head, deliveries = head.model_copy(update={"items": self.kept[0]}), self.kept[1]
        if self.deaf:
            head = head.model_copy(update={"notices": ()})
        return Page(head, deliveries)


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


async def sent(peacock, idvas, **changes):
    """A message under an agreement, which the relay handed out and the line kept; the handle."""
    given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
    await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"], **changes)))
    await peacock.posting.flush()
    await peacock.outbox.flush()
    idvas.relay.hide = True
    await idvas.inbox.collect(0)
    assert len(idvas.relay.kept[1]) == 1
    idvas.relay.hide = False
    return given


async def codes(agent, event):
    found = select(journal.c.code).where(journal.c.event == event)
    return await agent.store.run(lambda c: list(c.execute(found).scalars()))


async def kept(agent):
    (row,) = await agent.store.run(lambda c: c.execute(select(inbox)).all())
    return row


async def said(agent):
    found = select(receipts.c.state, receipts.c.text)
    rows = await agent.store.run(lambda c: c.execute(found).all())
    return {row.state: json.loads(row.text)["reason"] for row in rows}


async def test_handed_out_after_its_withdrawal_was_known_it_is_refused_and_reported(world):
    """The message itself is older than the withdrawal: only the order of the fetches shows it."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        world.clock.advance(60)
        await peacock.agreements.withdraw(given["id"])
        await idvas.inbox.collect(0)
        idvas.relay.give = True
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.message, row.delivery, row.handed) == ("rejected", None, None, None)
        assert await codes(idvas, "gate-fault") == ["AGREEMENT_ENDED"]
        assert (await said(idvas))["rejected"] == "gate-fault"
        assert await idvas.showing.inbox() == []
        assert (await idvas.showing.status())["gate_faults"] == 1


async def test_withdrawn_here_and_recorded_there_it_is_refused_and_reported(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        await know(idvas, given["gid"])
        await idvas.agreements.withdraw(given["gid"])
        idvas.relay.give = True
        await idvas.inbox.collect(0)
        assert (await kept(idvas)).state == "rejected"
        assert await codes(idvas, "gate-fault") == ["AGREEMENT_ENDED"]


async def test_withdrawn_here_while_the_relay_was_away_it_is_not_shown_and_nobody_is_blamed(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        await know(idvas, given["gid"])
        await idvas.store.run(lambda c: idvas.consent.end(c, given["gid"], world.now))
        idvas.relay.give = True
        await idvas.inbox.collect(0)
        assert await taken_back(idvas)
        assert "opened" not in await said(idvas)
        unposted = select(posts.c.kind).where(posts.c.posted == 0)
        assert "withdraw" in await idvas.store.run(lambda c: list(c.execute(unposted).scalars()))


async def test_withdrawn_while_the_fetch_was_open_it_is_not_shown_and_nobody_is_blamed(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        await know(idvas, given["gid"])
        idvas.relay.meanwhile = lambda: idvas.agreements.withdraw(given["gid"])
        idvas.relay.give = True
        await idvas.inbox.collect(0)
        assert await taken_back(idvas)
        assert "opened" not in await said(idvas)


async def test_with_its_withdrawal_in_one_page_it_is_not_shown_and_nobody_is_blamed(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        await peacock.agreements.withdraw(given["id"])
        idvas.relay.give = True
        await idvas.inbox.collect(0)
        assert await taken_back(idvas)
        assert "opened" not in await said(idvas)


async def test_what_turns_out_withdrawn_when_it_is_asked_for_is_not_handed_over(world):
    """The page says nothing of the withdrawal; the relay says so when the agent asks before it hands over."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        await peacock.agreements.withdraw(given["id"])
        idvas.relay.give = idvas.relay.deaf = True
        await idvas.inbox.collect(0)
        assert await taken_back(idvas)


async def test_collected_before_the_withdrawal_came_it_stays_and_is_marked(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        idvas.relay.give = True
        await idvas.inbox.collect(0)
        idvas.relay.give = False
        assert (await kept(idvas)).handed is not None
        await peacock.agreements.withdraw(given["id"])
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.withdrawn is not None, row.message is not None) == ("opened", True, True)
        assert await codes(idvas, "gate-fault") == []
        assert len((await idvas.agreements.owed())["recalls"]) == 1


async def test_what_the_law_orders_is_shown_whatever_became_of_the_agreement(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas, law=DUTY)
        await peacock.agreements.withdraw(given["id"])
        idvas.relay.hide = True
        await idvas.inbox.collect(0)
        idvas.relay.hide, idvas.relay.give = False, True
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.late, row.handed is not None) == ("opened", 1, True)
        assert row.withdrawn is not None
        assert await codes(idvas, "gate-fault") == []


async def test_an_older_version_of_an_agreement_handed_out_after_a_newer_one_that_leaves_it_out(world):
    """A yes that was narrowed since is shown again: it fitted the older version, and the relay knew the newer."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        await know(idvas, given["gid"])
        less = {**EVIDENCE, "state": "LIMITED", "limits": {"not_categories": ["contact"]}}
        await peacock.agreements.ask(given["id"], "limit", read(Ask, evidence=less))
        await idvas.inbox.collect(0)
        idvas.relay.give = True
        await idvas.inbox.collect(0)
        assert (await kept(idvas)).state == "rejected"
        assert await codes(idvas, "gate-fault") == ["OLDER"]


async def test_an_older_version_that_still_fits_the_newer_one_is_shown(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        given = await sent(peacock, idvas)
        await know(idvas, given["gid"])
        less = {**EVIDENCE, "state": "LIMITED", "limits": {"not_categories": ["needs"]}}
        await peacock.agreements.ask(given["id"], "limit", read(Ask, evidence=less))
        await idvas.inbox.collect(0)
        idvas.relay.give = True
        await idvas.inbox.collect(0)
        assert (await kept(idvas)).handed is not None
        assert await codes(idvas, "gate-fault") == []


async def know(agent, gid):
    """Have an agent learn a handle as another message under it would have taught it."""
    from agent.others import remember
    from schemas.signing import Signed

    page = await agent.relay.grant(gid)
    signed = Signed.from_json(page.grant.model_dump())
    await agent.store.run(lambda c: remember(c, signed, None))


async def taken_back(agent):
    """Whether the only message was dropped unseen, and nobody was blamed."""
    row = await kept(agent)
    assert await codes(agent, "gate-fault") == []
    assert "rejected" not in await said(agent)
    assert await agent.showing.inbox() == []
    return (row.state, row.message, row.delivery, row.handed) == ("withdrawn", None, None, None)
