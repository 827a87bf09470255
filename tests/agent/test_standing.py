"""An author's word against the record, and the day to look again: what an agent says about both (C13, J4, row 21)."""

import json

import pytest
from sqlalchemy import select

from agent.consent_commands import consent as commands
from agent.consent_forms import CannotGive, Refuse
from agent.forms import Give, Send
from agent.statement import Review
from agent.tables import sealings
from schemas.errors import Refusal
from tests.agent.agencies import agreement, eventually, form, quiet, running
from tests.simulated_world import World

DAY = 24 * 3600
DUTY = {"b6": "6c", "gw": ["COURT"], "why_no": "E", "told": "YES"}
LEAD = {"best_interests": "Weighed.", "assessed_by": "safeguarding-lead", "review_on": "2026-12-20"}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


async def recorded(agent, state):
    """An agreement that stands so; its id."""
    if state == "REFUSED":
        return (await agent.agreements.refuse(None, read(Refuse)))["id"]
    if state == "CANNOT_GIVE":
        return (await agent.agreements.cannot_give(None, read(CannotGive, **LEAD)))["id"]
    given = await agent.agreements.give(read(Give, **agreement("IDVAS")))
    if state == "WITHDRAWN":
        await agent.agreements.withdraw(given["id"])
    return given["id"]


async def send(agent, to="IDVAS", **changes):
    return await agent.office.send(read(Send, **form(to, **changes)))


async def word(agent, mid):
    row = await agent.store.run(lambda c: c.execute(select(sealings).where(sealings.c.mid == mid)).one())
    return json.loads(row.header)["law"]["agree"]


MORE = {
    "REFUSED": ("NOT_SOUGHT", "EXPIRED", "GIVEN", "NOT_APPLICABLE"),
    "WITHDRAWN": ("GIVEN", "LIMITED", "NOT_SOUGHT"),
    "CANNOT_GIVE": ("GIVEN", "NOT_SOUGHT"),
}
LESS = {"REFUSED": "WITHDRAWN", "WITHDRAWN": "REFUSED", "GIVEN": "NOT_SOUGHT", "CANNOT_GIVE": "REFUSED"}


async def test_nobody_may_write_that_more_was_agreed_than_is_on_record(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        for state, words in MORE.items():
            name = await recorded(agent, state)
            for said in words:
                for law in (DUTY, {"b6": "6f", "why_no": "F"}):
                    for anyway in (False, True):
                        with pytest.raises(Refusal) as refusal:
                            await send(agent, gid=name, law={**law, "agree": said}, anyway=anyway)
                        found = (refusal.value.code, refusal.value.detail)
                        assert found == ("AGREE_DIFFERS", ("law.agree",)), (state, said)
                        assert "On record here: The person" in refusal.value.say
        assert await agent.store.run(lambda c: c.execute(select(sealings)).all()) == []


async def test_somebody_may_write_less(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        for state, said in LESS.items():
            name = await recorded(agent, state)
            queued = await send(agent, gid=name, law={**DUTY, "agree": said})
            assert await word(agent, queued["mid"]) == said


@pytest.mark.parametrize("state", ["REFUSED", "WITHDRAWN", "CANNOT_GIVE"])
async def test_what_is_on_record_is_what_the_header_says(world, state):
    async with world.relay(), quiet(world, "Peacock") as agent:
        name = await recorded(agent, state)
        queued = await send(agent, gid=name, law=DUTY)
        assert await word(agent, queued["mid"]) == state


async def test_a_no_on_record_for_the_case_counts_though_the_message_does_not_name_it(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await agent.agreements.give(read(Give, **agreement("IDVAS")))
        await send(agent, gid=given["id"])
        assert await word(agent, (await send(agent, law=DUTY))["mid"]) == "NOT_SOUGHT"
        world.clock.advance(60)
        await agent.agreements.withdraw(given["id"])
        with pytest.raises(Refusal) as refusal:
            await send(agent, law={**DUTY, "agree": "NOT_SOUGHT"})
        assert refusal.value.code == "AGREE_DIFFERS"
        assert await word(agent, (await send(agent, law=DUTY))["mid"]) == "WITHDRAWN"
        elsewhere = await send(agent, case_ref="case-78", law=DUTY)  # somebody else's case
        assert await word(agent, elsewhere["mid"]) == "NOT_SOUGHT"
        other = await send(agent, "Harbour", law=DUTY)  # the person was asked about IDVAS
        assert await word(agent, other["mid"]) == "NOT_SOUGHT"


async def test_the_day_to_look_again_is_said_to_the_author_and_listed_until_somebody_looked(world):
    async with world.relay(), running(world, "Peacock") as peacock:
        await eventually(lambda: fresh(peacock))
        law = {**DUTY, "told": "UNSAFE"}
        early = await peacock.ok(
            "POST", "/v1/messages", form("IDVAS", law={**law, "told_by": world.now + DAY})
        )
        assert early["warnings"] == []
        assert (await peacock.ok("GET", "/v1/consent"))["reviews"] == []
        world.clock.advance(DAY)
        (due,) = (await peacock.ok("GET", "/v1/consent"))["reviews"]
        assert (due["id"], due["code"], due["since"]) == (early["mid"], "TOLD_REVIEW", world.now)
        assert (await peacock.ok("GET", "/v1/status"))["reviews_due"] == 1
        late = form("IDVAS", law={**law, "told_by": world.now - 60})
        (warning,) = (await peacock.ok("POST", "/v1/messages", late))["warnings"]
        assert warning["code"] == "TOLD_REVIEW"
        assert "Look now" in warning["say"]
        assert len((await peacock.ok("GET", "/v1/consent"))["reviews"]) == 2
        shown = await by_command(peacock.agent.settings.home)
        assert f"message {early['mid']}: The day to look again" in shown
        looked = Review(id=early["mid"], safe=True, role="worker")
        await peacock.agent.statements.review(looked)
        (left,) = (await peacock.ok("GET", "/v1/consent"))["reviews"]
        assert left["id"] != early["mid"]


async def by_command(home):
    """What `fenpost-agent consent show` prints."""
    import asyncio

    from click.testing import CliRunner

    args = ["show", "--dir", str(home)]
    result = await asyncio.to_thread(CliRunner().invoke, commands, args)
    assert result.exit_code == 0, result.output
    return result.output


async def fresh(caller):
    state = await caller.ok("GET", "/v1/status")
    return state["directory_fresh"] and not state["relay"]["code"]
