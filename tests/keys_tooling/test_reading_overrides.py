"""Officers read what happened under overrides, from a real relay's log: who asked, who authorised, and why."""

from pathlib import Path

import pytest

from tests.broker.leads import DAY, EMERGENCY, People, header_of, one, post_override, risky
from tests.keys_tooling.mirrored import pull_served
from tests.keys_tooling.test_real_relay import reading
from tests.simulated_world import World

REASON = "Because of what happened."


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path / "world", "Peacock", "IDVAS", "DASS")


async def play(world: World, people: People) -> None:
    """One that waits and is released, one that lapses, one emergency whose lead's signature is missing."""
    async with world.relay() as relay, world.session() as http:
        waits, lapses, red = (
            risky(world),
            risky(world),
            risky(world, rag="RED", law=EMERGENCY),
        )
        for sealed in (waits, lapses, red):
            await one(world, http, sealed)
        signed, record = people.override(header_of(waits))
        await post_override(world, http, signed, record)
        world.clock.advance(4 * DAY)
        await relay.sweeper.sweep()


async def read_as(world: World, tmp_path: Path, *officers: str) -> dict[str, list]:
    async with world.relay():
        for name in officers:
            await pull_served(world, tmp_path / name, name)
    return {name: reading(world, tmp_path / name, name).entries for name in officers}


async def test_officers_of_the_agency_and_of_oversight_read_the_reason_and_others_do_not(
    world: World, tmp_path: Path
):
    await play(world, People.of(world))
    read = await read_as(world, tmp_path, "Peacock", "oversight", "IDVAS", "DASS")
    for entries in read.values():
        assert [told.faults for told in entries] == [()] * len(entries)
    events = [told.event for told in read["Peacock"]]
    assert sorted(events) == sorted(
        ["held", "held", "accept", "break-glass", "accept", "override", "lapsed", "lead-missing"]
    )
    (signed,) = (told for told in read["Peacock"] if told.event == "override")
    assert signed.what == f"msg G: {REASON}"
    assert [told.what for told in read["oversight"] if told.event == "override"] == [f"msg G: {REASON}"]
    assert [told.what for told in read["IDVAS"] if told.event == "override"] == ["msg G"]
    assert "held" not in [told.event for told in read["IDVAS"]]
    assert {"break-glass", "lead-missing"} <= {told.event for told in read["IDVAS"]}
    assert read["DASS"] == []


@pytest.mark.parametrize("b6", [None, "6a", "6f"])
async def test_what_a_lead_signed_afterwards_or_before_it_came_is_no_fault(
    world: World, tmp_path: Path, b6: str | None
):
    people = People.of(world)
    async with world.relay(), world.session() as http:
        red = risky(world, rag="RED", law={**EMERGENCY, "agree": "NOT_SOUGHT", "b6": b6})
        early, waits = risky(world), risky(world)
        for sealed, basis in ((red, "6d"), (early, "6f"), (waits, "6f")):
            if sealed is not early:
                await one(world, http, sealed)
            world.clock.advance(1200 if sealed is waits else 0)
            signed, record = people.override(header_of(sealed), basis=basis)
            assert await post_override(world, http, signed, record) == ("recorded", None)
            if sealed is early:
                assert (await one(world, http, sealed))["status"] == "accepted"
    read = await read_as(world, tmp_path, "oversight")
    entries = read["oversight"]
    assert [told.faults for told in entries] == [()] * len(entries)
    assert [told.event for told in entries].count("override") == 3
