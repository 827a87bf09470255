"""A running agent reminds of people's keys, in its status and in doctor's words."""

import pytest

from agent.doctor import _people, _successors, person_due, successor_due
from schemas.errors import Refusal
from schemas.people import DAY, QUARTER, SOON, URGENT
from tests.agent.agencies import running
from tests.broker.leads import People
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path) -> World:
    found = World.found(tmp_path, "Peacock", "IDVAS")
    People.of(found)
    return found


async def test_status_and_doctor_name_whose_key_ends_and_whose_nobody_looked_at(world: World):
    agency = world.directory.agencies[world.parties["Peacock"].id]
    ends = {key.person: key.exp for key in agency.keys.values() if key.use == "person"}
    async with running(world, "Peacock") as peacock:
        async with world.relay():
            await peacock.agent.book.refresh()
        said = await peacock.ok("GET", "/v1/status")
        assert said["people_due"] == []
        assert _people(said) == "in time, and looked over within the quarter"
        world.clock.advance(ends["lead-2"] - SOON - world.now)
        due = await _due(peacock, "lead-2")
        assert [(one["why"], one["urgent"]) for one in due] == [("ends", False), ("look", True)]
        assert due[0]["at"] - world.now == SOON
        world.clock.advance(SOON - URGENT)
        due = await _due(peacock, "lead-2")
        assert [(one["why"], one["urgent"]) for one in due] == [("ends", True), ("look", True)]
        assert "lead-2 (person)" in person_due(due[0])
        with pytest.raises(Refusal, match=r"STALE_KEY.*lead-2 \(person\) ends on .*fenpost-keys rotate"):
            _people(await peacock.ok("GET", "/v1/status"))


async def test_what_only_comes_nearer_is_told_and_stops_nobody(world: World):
    row = {"person": "lead-2", "use": "person", "why": "ends", "at": world.now + SOON - DAY, "urgent": False}
    assert "has no successor" in _people({"people_due": [row]})
    looked = {**row, "why": "look", "at": world.now - QUARTER, "urgent": True}
    with pytest.raises(Refusal, match="role recertify"):
        _people({"people_due": [looked]})


async def test_status_and_doctor_say_in_time_that_the_operational_key_and_the_roots_are_due(world: World):
    began = world.directory.agencies[world.parties["Peacock"].id].op_since
    async with running(world, "Peacock") as peacock:
        async with world.relay():
            await peacock.agent.book.refresh()
        said = await peacock.ok("GET", "/v1/status")
        assert said["successors_due"] == []
        assert _successors(said) == "the operational key and the root keys are not due to be replaced"
        world.clock.advance(began + 365 * DAY - SOON - world.now)
        said = await peacock.ok("GET", "/v1/status")
        assert said["successors_due"] == [
            {"use": "op", "since": began, "at": world.now + SOON, "urgent": False}
        ]
        assert _successors(said).startswith(
            "the operational key is in force since 22 Nov 2026, and the next is due"
        )
        world.clock.advance(SOON + 365 * DAY)
        said = await peacock.ok("GET", "/v1/status")
        assert [(one["use"], one["urgent"]) for one in said["successors_due"]] == [
            ("op", True),
            ("root", True),
        ]
        with pytest.raises(Refusal, match="STALE_KEY") as refusal:
            _successors(said)
        assert "fenpost-keys rotate --use op" in refusal.value.say
        assert "fenpost-keys recover op --roots FILE" in refusal.value.say
        assert refusal.value.say.endswith("Nothing stops for it.")
        assert "since 22 Nov 2026" in successor_due(said["successors_due"][1])


async def _due(peacock, person: str) -> list[dict]:
    said = await peacock.ok("GET", "/v1/status")
    return [one for one in said["people_due"] if one["person"] == person]
