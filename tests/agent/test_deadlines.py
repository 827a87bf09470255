"""By when a message is taken on and answered, and how many officers there are to be: as the policy in force says."""

import json
from datetime import UTC, datetime

import pytest

from agent.doctor import _officers
from schemas.errors import Refusal
from tests.agent.agencies import MESSAGE, running
from tests.agent.test_override_desk import ask, authorise, held, risky
from tests.broker.leads import DAY, HOUR, People
from tests.policy_world import next_policy, publish
from tests.simulated_world import NOW, World

EMERGENCY = {"agree": "NOT_SOUGHT", "b6": "6f", "why_no": "A", "told": "YES"}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", now=NOW - 4 * DAY)


@pytest.fixture
def people(world):
    """Whose keys count by then: it is Sunday, 22 November 2026."""
    found = People.of(world)
    assert world.clock.now <= NOW
    world.clock.now = NOW
    return found


@pytest.fixture
async def relay(world, people):
    async with world.relay() as running_relay:
        yield running_relay


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def due(item) -> tuple[int, int]:
    return item["acknowledge_by"], item["respond_by"]


def red() -> dict:
    return risky(payload={**MESSAGE, "rag": "RED"}, law=EMERGENCY)


def longer(world: World) -> dict:
    """The periods of the policy, with another clock for a RED."""
    periods = json.loads(world.founded.policy.text)["periods"]
    return {**periods, "RED": {"acknowledge": {"n": 2, "unit": "H"}, "respond": {"n": 1, "unit": "WD"}}}


async def test_a_message_is_due_by_the_policy_of_its_time(world, relay, people):
    async with running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        await peacock.ok("POST", "/v1/messages", red())
        first = await idvas.first_in()
        assert due(first) == (world.now + HOUR, world.now + 4 * HOUR)
        assert not first["overdue"]
        world.clock.advance(HOUR + 1)
        (late,) = (await idvas.ok("GET", "/v1/inbox"))["items"]
        assert (due(late), late["overdue"]) == (due(first), True)
        await idvas.ok("POST", f"/v1/inbox/{first['id']}/take-on", {"role": "idva"})
        (taken,) = (await idvas.ok("GET", "/v1/inbox?all=1"))["items"]
        assert not taken["overdue"]
        async with world.session() as http:
            await publish(world, http, next_policy(world, periods=longer(world)))
        for caller in (peacock, idvas):
            await caller.agent.book.refresh()
        await peacock.ok("POST", "/v1/messages", red())
        second = await idvas.first_in()
        assert due(second) == (world.now + 2 * HOUR, at("2026-11-24 17:00"))  # it came on a Sunday
        (old,) = [i for i in (await idvas.ok("GET", "/v1/inbox?all=1"))["items"] if i["id"] == first["id"]]
        assert due(old) == due(first)


async def test_what_waited_for_a_lead_is_due_from_when_she_signed(world, relay, people):
    async with running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        mid = await held(peacock)
        world.clock.advance(34 * HOUR)  # Monday, ten in the morning
        _, asked = await ask(peacock, people, mid)
        assert (await authorise(peacock, people, asked["oid"]))[0] == 200
        item = await idvas.first_in()
        assert due(item) == (at("2026-11-23 14:00"), at("2026-11-25 17:00"))


async def test_an_agency_with_too_few_officers_is_told_and_oversight_hears_of_every_one(world, relay, people):
    async with world.session() as http:
        await publish(world, http, next_policy(world, officers={"ig": 2, "lead": 1}))
    names = ("Peacock", "IDVAS", "oversight")
    said = {}
    for name in names:
        async with running(world, name) as caller:
            await caller.agent.book.refresh()
            said[name] = await caller.ok("GET", "/v1/status")
    short = {name: sorted(one["name"] for one in said[name]["short_of_officers"]) for name in names}
    assert short == {"Peacock": ["Peacock"], "IDVAS": ["IDVAS"], "oversight": ["IDVAS", "Peacock"]}
    with pytest.raises(
        Refusal, match=r"OFFICERS.*Peacock has 1 of 2 IG officers and 2 of 1 safeguarding leads"
    ):
        _officers(said["Peacock"])
    async with world.session() as http:
        await publish(world, http, next_policy(world, 3, officers={"ig": 1, "lead": 1}))
    async with running(world, "Peacock") as caller:
        await caller.agent.book.refresh()
        assert "as many" in _officers(await caller.ok("GET", "/v1/status"))
