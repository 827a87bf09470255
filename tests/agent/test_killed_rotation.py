"""A rotation that ends between any two of its steps, or whose keys are ended under it, leaves nothing halfway (G16)."""

import contextlib
import json
import secrets

import pytest

from agent.rotation import DAY
from agent.run import Agent
from schemas import api
from schemas.errors import Refusal
from schemas.keys import RUNNING, Use
from tests.agent.agencies import open_agent
from tests.agent.test_directory_log import chain_of
from tests.agent.test_rotation import standing
from tests.simulated_world import World

STRIDE = 13
"""Of so many steps one is tried in each run: all of them take minutes."""


class Killed(BaseException):
    """Nothing after this instant happened."""


class Steps:
    """Every instant at which a rotation waits for the disk or the relay, before and after."""

    def __init__(self, agent, at, act):
        self.left, self._act = at, act
        for owner, name in (
            (agent.store, "run"),
            (agent.store, "empty_log"),
            (agent.relay, "post_statements"),
            (agent.relay, "directory"),
        ):
            setattr(owner, name, self._stepping(getattr(owner, name)))

    def _stepping(self, work):
        async def stepped(*given, **named):
            await self._step()
            done = await work(*given, **named)
            await self._step()
            return done

        return stepped

    async def _step(self):
        self.left -= 1
        if self.left == 0:
            await self._act()


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def carried_out(agent: Agent, uses):
    if uses is None:
        await agent.rotation.round()
    else:
        await agent.rotation.rotate(uses, dry_run=False)


async def settled(world, agent):
    """As the loops do: look, go round, until there is nothing left to do."""
    for _ in range(6):
        await agent.book.refresh()
        try:
            await agent.rotation.round()
        except Refusal as refusal:
            if not refusal.retry and refusal.code not in ("UNAUTHENTICATED", "KEY"):
                raise
            continue
        if not agent.rotation.due():
            return
    raise AssertionError(agent.rotation.due(), agent.rotation.code)


def check_whole(world, agent):
    now, ring = world.clock(), agent.rotation._ring
    mine = agent.book.latest.agencies[ring.agency]
    assert not agent.book.strangers
    for use in RUNNING:
        stand = standing(agent, use, now)
        assert stand, use
        assert {key.kid for key in stand} <= ring.kids
        if use is not Use.PREKEY:
            assert mine.keys[ring.key(use).kid].stands(int(now)), use
    assert not [own for own in ring.own if own.published is None]


async def every_step(world, uses, act_of):
    """Act at one step of so many, each time on an agent of its own; which ones is drawn, and told when it fails."""
    at, last = secrets.randbelow(STRIDE) + 1, 0
    while True:
        agent = await open_agent(world, "Peacock")
        await agent.book.refresh()
        world.clock.now += 25 * DAY if uses is None else 60
        await agent.book.refresh()
        steps = Steps(agent, at, act_of(agent))
        with contextlib.suppress(Killed, Refusal):
            await carried_out(agent, uses)
        await agent.close()
        again = await open_agent(world, "Peacock")
        try:
            await settled(world, again)
            assert check_whole(world, again) is None, f"step {at}"
        finally:
            await again.close()
        if steps.left > 0:
            return last
        at, last = at + STRIDE, at


def kill(agent):
    async def now():
        raise Killed

    return now


@pytest.mark.parametrize("uses", [None, (Use.PREKEY,)])
async def test_a_kill_between_any_two_steps_leaves_nothing_halfway(world, uses):
    async with world.relay():
        assert await every_step(world, uses, kill)


def full(agent):
    async def now():
        raise Refusal("DISK_FULL")

    return now


async def test_a_full_disk_at_any_step_leaves_nothing_halfway(world):
    async with world.relay():
        assert await every_step(world, (Use.MSG,), full)


async def test_whatever_ends_the_keys_meanwhile_the_agent_makes_others(world):
    """The administrator ends every running key at any step of a rotation, also the one that is being published."""
    async with world.relay() as relay, world.session() as http:

        def end_all(agent):
            async def now():
                mine = relay.relay.view.directory.agencies[world.parties["Peacock"].id]
                chain, ts = chain_of(world, "Peacock"), max(world.now, mine.ts)
                chain.seq, chain.head = mine.seq, mine.head
                kids = [k.kid for k in mine.keys.values() if k.use in RUNNING and k.stands_from(ts)]
                said = [("directory", chain.revoke(kid, "compromised", ts, ts)) for kid in kids]
                renew = world.parties["Peacock"].member.agent.renew
                body = json.dumps(
                    {"statements": [{"kind": k, "signed": s.to_json()} for k, s in said]}
                ).encode()
                answer = await world.call(http, "Peacock", "POST", api.STATEMENTS, body=body, key=renew)
                assert {one["status"] for one in answer.json()["results"]} == {"recorded"}

            return now

        assert await every_step(world, (Use.AUTH,), end_all)
