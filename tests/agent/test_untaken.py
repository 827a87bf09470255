"""What nobody took on in time is named to whoever must ring: by the agent, its doctor and the administrator's check."""

import asyncio
from typing import Any

import pytest

from agent.doctor import examine
from tests.agent.agencies import Caller, eventually, folder_of, form, running
from tests.agent.test_rotation import RED
from tests.simulated_world import World

HOUR = 3600


@pytest.fixture
def world(tmp_path) -> World:
    return World.found(tmp_path, "Peacock", "IDVAS")


async def untaken(caller: Caller) -> list[dict[str, Any]]:
    return (await caller.ok("GET", "/v1/status"))["untaken"]


async def later(world: World, *callers: Caller, hours: int) -> None:
    world.clock.advance(hours * HOUR)
    for caller in callers:
        await caller.agent.book.refresh()


async def doctor(world: World) -> dict[str, Any]:
    found = await asyncio.to_thread(examine, folder_of(world, "Peacock"), {}, world.clock())
    return {one["name"]: one for one in found}["taken on"]


async def test_a_message_that_lies_at_the_relay_is_named_when_its_time_is_over(world: World):
    async with world.relay(), running(world, "Peacock") as peacock:
        sent = await peacock.ok("POST", "/v1/messages", form("IDVAS", **RED))
        await peacock.until(sent["mid"], "queued")
        assert await untaken(peacock) == []
        assert (await doctor(world))["ok"]
        await later(world, peacock, hours=3)
        (late,) = await untaken(peacock)
        assert (late["mid"], late["rag"], late["state"], late["says"]) == (
            sent["mid"], "RED", "queued", "at the relay",
        )  # fmt: skip
        assert late["since"] < late["acknowledge_by"] < int(world.clock())
        assert late["to"]["name"] == "IDVAS"
        told = await doctor(world)
        assert not told["ok"]
        assert "UNTAKEN: 1 times a desk" in told["say"]
        assert "Robin" not in told["say"]


async def test_opened_is_not_taken_on_and_taken_on_is_no_longer_named(world: World):
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        sent = await peacock.ok("POST", "/v1/messages", form("IDVAS", **RED))
        await peacock.until(sent["mid"], "opened")
        await later(world, peacock, idvas, hours=3)
        (late,) = await untaken(peacock)
        assert late["state"] == "opened"
        (item,) = (await idvas.ok("GET", "/v1/inbox"))["items"]
        await idvas.ok("POST", f"/v1/inbox/{item['id']}/take-on", {"role": "duty"})
        await peacock.until(sent["mid"], "taken-on")
        assert await untaken(peacock) == []


async def test_one_that_expired_was_taken_on_by_nobody(world: World):
    async with world.relay(), running(world, "Peacock") as peacock:
        sent = await peacock.ok("POST", "/v1/messages", form("IDVAS", **RED))
        await peacock.until(sent["mid"], "queued")
        await later(world, peacock, hours=15 * 24)

        async def named() -> bool:
            return [one["state"] for one in await untaken(peacock)] == ["expired"]

        await eventually(named)
