"""Somebody agrees to less than before: whoever holds what is outside of it now is told, and says what became of it."""

import json

import pytest
from sqlalchemy import select

from agent.consent_forms import Answer, Ask
from agent.forms import Give, Send
from agent.tables import inbox, journal, recalls
from schemas.api import Notice, SignedJson
from schemas.signing import Signed
from tests.agent.agencies import EVIDENCE, agreement, form, quiet
from tests.simulated_world import World

DAY = 24 * 3600


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


async def shown(peacock, idvas):
    """An agreement, and a message under it that IDVAS was shown: the handle, and the item's id."""
    given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
    await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
    await peacock.outbox.flush()
    await idvas.inbox.collect(0)
    (item,) = await idvas.showing.inbox()
    return given, item["id"]


async def limit(peacock, given, *without):
    less = {**EVIDENCE, "state": "LIMITED", "limits": {"not_categories": list(without)}}
    return await peacock.agreements.ask(given["id"], "limit", read(Ask, evidence=less))


async def recall(peacock, given):
    """What became of it, as the agency that holds the relationship shows it."""
    (one,) = (await peacock.view.agreement(given["id"]))["recalls"]
    return one["says"]


async def row_of(agent):
    (row,) = await agent.store.run(lambda c: c.execute(select(inbox)).all())
    return row


async def test_what_is_outside_of_the_narrowed_agreement_is_recalled_and_both_sides_see_it(world):
    async with world.relay() as relay, quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given, place = await shown(peacock, idvas)
        await limit(peacock, given, "contact")
        assert await recall(peacock, given) == "Not answered yet"
        await idvas.inbox.collect(0)
        (owed,) = (await idvas.agreements.owed())["recalls"]
        assert (owed["gid"], owed["messages"], owed["by"]["name"]) == (given["gid"], [place], "Peacock")
        assert "agrees to less" in owed["say"]
        item = await idvas.showing.received(place)
        assert (item["agreement_limited"], item["agreement_withdrawn"]) == (world.now, None)
        assert (await row_of(idvas)).recalled == 0  # the case system is still to be told
        world.clock.advance(DAY + 60)
        await relay.sweeper.sweep()  # asked again until it is answered
        again = await idvas.relay.mailbox()
        assert "limited" in {notice.kind for notice in again.head.notices}
        await idvas.agreements.answer(given["gid"], read(Answer, did="deleted"))
        assert (await idvas.showing.received(place))["message"] is None
        await peacock.inbox.collect(0)
        assert await recall(peacock, given) == "deleted"
        assert (await idvas.agreements.owed())["recalls"] == []


async def test_what_still_fits_stays_and_its_agent_says_so_by_itself(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given, place = await shown(peacock, idvas)
        await limit(peacock, given, "needs")
        await idvas.inbox.collect(0)
        assert (await idvas.agreements.owed())["recalls"] == []
        item = await idvas.showing.received(place)
        assert (item["agreement_limited"], item["message"] is not None) == (None, True)
        await idvas.posting.flush()
        await peacock.inbox.collect(0)
        assert await recall(peacock, given) == "nothing was held"


async def test_each_ending_is_answered_for_itself(world):
    """Narrowed, and answered; narrowed again; then withdrawn: the newest is what counts."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given, place = await shown(peacock, idvas)
        await limit(peacock, given, "needs")
        await idvas.inbox.collect(0)
        await idvas.posting.flush()
        await limit(peacock, given, "needs", "contact")
        assert await recall(peacock, given) == "Not answered yet"
        await idvas.inbox.collect(0)
        assert (await idvas.agreements.owed())["recalls"][0]["messages"] == [place]
        kept = read(Answer, did="kept", why="safeguarding")
        assert (await idvas.agreements.answer(given["gid"], kept))["at_the_relay"]
        await peacock.inbox.collect(0)
        assert await recall(peacock, given) == "kept: safeguarding"
        await peacock.agreements.withdraw(given["id"])
        await idvas.inbox.collect(0)
        (owed,) = (await idvas.agreements.owed())["recalls"]
        assert "was withdrawn" in owed["say"]
        await idvas.agreements.answer(given["gid"], read(Answer, did="deleted"))
        await peacock.inbox.collect(0)
        assert await recall(peacock, given) == "deleted"


async def test_an_older_version_told_after_a_newer_one_changes_nothing(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        given, _ = await shown(peacock, idvas)
        versions = [given]
        for without in (("contact",), ("contact", "needs")):
            await limit(peacock, given, *without)
            page = await idvas.relay.grant(given["gid"])
            versions.append(page.grant)
            await idvas.inbox.collect(0)
        before = await idvas.store.run(lambda c: c.execute(select(recalls)).all())
        old = Signed.from_json(versions[1].model_dump())
        about = {"eid": None, "mid": None, "gid": given["gid"], "a": world.parties["Peacock"].id, "d": None}
        evidence = SignedJson(**old.to_json())
        await idvas.notices.take((Notice(id=9, kind="limited", ts=world.now, evidence=evidence, **about),))
        assert await idvas.store.run(lambda c: c.execute(select(recalls)).all()) == before
        refused = select(journal.c.code).where(journal.c.event == "notice-limited")
        assert await idvas.store.run(lambda c: list(c.execute(refused).scalars())) == ["NOT_FOUND"]
        assert (await idvas.consent.held(given["gid"])).grant.ver == 3
