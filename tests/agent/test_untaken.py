"""What nobody took on in time is named to whoever must ring: by the agent, its doctor and the administrator's check."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select

from agent.doctor import examine
from agent.forms import Send
from agent.ladder import step
from agent.tables import ladder, outbox, sealings
from agent.untaken import MOST
from agent.untaken import untaken as named
from tests.agent.agencies import Caller, eventually, folder_of, form, quiet, running
from tests.agent.test_late_release import read
from tests.agent.test_rotation import RED
from tests.simulated_world import World

HOUR = 3600
DAY = 24 * HOUR


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


async def test_years_of_messages_that_were_taken_on_cost_nothing_and_a_hundred_late_ones_are_named(
    world: World,
):
    """The store has one thread, and sending and receiving wait for it."""
    async with world.relay(), running(world, "Peacock") as peacock:
        now = int(world.clock())

        def fill(c: Connection) -> None:
            for n in range(3000):
                mid, late = f"m{n}", n < 150
                c.execute(
                    insert(outbox).values(id=mid, kind="referral.universal", rag="RED", thr=mid, ts=now)
                )
                c.execute(
                    insert(sealings).values(
                        eid=mid, id=mid, mid=mid, turn=1, desks='[["ag1x","duty"]]', rank=0, ts=now - DAY, exp=now,
                        state="accepted", body="",
                    )
                )  # fmt: skip
                for state in ("queued", "opened") if late else ("queued", "opened", "taken-on"):
                    c.execute(insert(ladder).values(eid=mid, a="ag1x", d="duty", state=state, ts=now - DAY))

        await peacock.agent.store.run(fill)
        found = await untaken(peacock)
        assert len(found) == MOST
        assert "At least 100 times" in (await doctor(world))["say"]
        assert {one["state"] for one in found} == {"opened"}
        steps: list[str] = []

        def watched(c: Connection) -> None:
            def heard(*words: Any) -> None:
                steps.append(words[2])

            event.listen(c.engine, "before_cursor_execute", heard)
            named(c, lambda _: None, now)
            event.remove(c.engine, "before_cursor_execute", heard)  # the agent's own loops go on

        await peacock.agent.store.run(watched)
        assert len(steps) <= MOST + 1


async def test_a_hundred_that_expired_hide_none_that_can_still_be_taken_on(world: World):
    async with quiet(world, "Peacock") as peacock:
        now = int(world.clock())

        def fill(c: Connection) -> None:
            for n in range(MOST + 1):
                mid, alive = f"m{n}", n == MOST
                c.execute(
                    insert(outbox).values(id=mid, kind="referral.universal", rag="RED", thr=mid, ts=now)
                )
                c.execute(
                    insert(sealings).values(
                        eid=mid, id=mid, mid=mid, turn=0, desks='[["ag1x","duty"]]', rank=0, state="accepted", body="",
                        ts=now - DAY if alive else now - 20 * DAY, exp=now + DAY if alive else now - 6 * DAY,
                    )
                )  # fmt: skip
                c.execute(
                    insert(ladder).values(
                        eid=mid, a="ag1x", d="duty", state="queued" if alive else "expired", ts=now - DAY
                    )
                )

        await peacock.store.run(fill)
        found = await peacock.store.run(lambda c: named(c, lambda _: None, now))
        assert found[0].mid == f"m{MOST}"
        assert len(found) == MOST


async def test_a_desk_to_which_it_was_sealed_again_is_asked_for_that_one(world: World):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        desk = (world.parties["IDVAS"].id, "intake")
        await peacock.office.send(read(Send, **form("IDVAS", **RED)))
        await peacock.outbox.flush()
        (first,) = await peacock.store.run(lambda c: c.execute(select(sealings)).all())
        await peacock.outbox.seal_again(first, desk)  # as when the relay has lost it for that desk
        await peacock.outbox.flush()
        world.clock.advance(3 * HOUR)

        def late(c: Connection) -> list[str]:
            return [one.mid for one in named(c, lambda _: None, int(world.clock()))]

        rows = await peacock.store.run(lambda c: c.execute(select(sealings)).all())
        (again,) = (row for row in rows if row.turn == 1)
        assert await peacock.store.run(late) == [again.mid]
        await peacock.store.run(lambda c: step(c, again.eid, *desk, "taken-on", int(world.clock())))
        assert await peacock.store.run(late) == []
