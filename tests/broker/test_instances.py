"""Two of an agency's agents at once are noticed by the relay; one after the other is nothing (A8)."""

import secrets
from typing import Any

import pytest

from broker.authentication import Asking
from broker.instances import RUNS, WAITING, Run, Seen, Visit
from schemas import api
from schemas.keys import Use
from schemas.request import NONCE, Target, read_claim, sign_request
from tests.broker.test_anchor import opened
from tests.simulated_world import World

ONE, TWO, THREE = (bytes([n]) * (NONCE // 2) for n in (1, 2, 3))


async def ask(
    world: World, http: Any, run: bytes, party: str = "Peacock", path: str = api.MAILBOX, ago: int = 0
) -> Any:
    """A request of the agent's that drew `run`, signed so many seconds ago."""
    agent = world.parties[party].member.agent
    target = Target("GET", world.founded.partnership.charter.authority, path, "", api.JSON)
    nonce = run + secrets.token_bytes(NONCE // 2)
    headers = sign_request(target, b"", agent.auth, world.now - ago, nonce)
    return await world.send(http, "GET", path, "", b"", headers)


async def twice(world: World, http: Any, run: bytes, **named: Any) -> int | None:
    answer = await ask(world, http, run, **named)
    assert answer.status == 200, answer.body
    size = int.from_bytes(answer.body[:4], "big")
    return api.MailboxHead.model_validate_json(answer.body[4 : 4 + size]).twice


async def events(world: World, http: Any, party: str) -> list[Any]:
    return [s for s in await opened(world, http, party) if s and s["event"] == "two-agents"]


async def test_two_at_once_are_both_told_and_their_officers_find_it_in_the_log(
    world: World, relay: Any, http: Any
):
    assert await twice(world, http, ONE) is None
    world.clock.advance(5)
    assert await twice(world, http, TWO) is None  # a restart, as far as anybody can know
    world.clock.advance(5)
    assert await twice(world, http, ONE) == world.now
    world.clock.advance(5)
    assert await twice(world, http, TWO) == world.now
    assert await twice(world, http, THREE, party="IDVAS") is None
    assert len(await events(world, http, "Peacock")) == 1  # not one for each request
    assert await events(world, http, "IDVAS") == []
    assert len(await events(world, http, "oversight")) == 1


async def test_one_after_the_other_is_a_restart_however_often(world: World, relay: Any, http: Any):
    for n in range(2 * RUNS):
        for _ in range(3):
            world.clock.advance(1)
            assert await twice(world, http, bytes([n]) * (NONCE // 2)) is None
    assert relay.relay.log.size == 0


async def test_a_request_that_was_overtaken_by_the_restart_is_no_alarm(world: World, relay: Any, http: Any):
    await ask(world, http, ONE)
    world.clock.advance(9)
    await ask(world, http, TWO)
    assert await twice(world, http, ONE, ago=3) is None  # sent before the new run's first
    assert await twice(world, http, ONE, ago=0) is None  # in the same second
    world.clock.advance(1)
    assert await twice(world, http, TWO) is None


async def test_what_a_command_asks_is_no_run_of_the_agent(world: World, relay: Any, http: Any):
    await ask(world, http, ONE)
    for path in (api.DIRECTORY, api.HEAD, api.KEYS_HEAD):
        world.clock.advance(1)
        assert (await ask(world, http, TWO, path=path)).status == 200
    world.clock.advance(1)
    assert await twice(world, http, ONE) is None


async def test_a_request_whose_nonce_was_spent_shows_no_run(world: World, relay: Any, http: Any):
    """Whoever plays a recorded request again must not make an alarm of it."""
    agent = world.parties["Peacock"].member.agent
    target = Target("GET", world.founded.partnership.charter.authority, api.MAILBOX, "", api.JSON)
    headers = sign_request(target, b"", agent.auth, world.now, ONE + secrets.token_bytes(NONCE // 2))
    assert (await world.send(http, "GET", api.MAILBOX, "", b"", headers)).status == 200
    world.clock.advance(-10)
    await ask(world, http, TWO)
    world.clock.advance(10)
    assert (await world.send(http, "GET", api.MAILBOX, "", b"", headers)).status == 401
    assert await twice(world, http, TWO) is None


async def test_it_is_known_after_the_relay_was_restarted_and_forgotten_after_a_day(world: World):
    async with world.relay(), world.session() as http:
        await ask(world, http, ONE)
        world.clock.advance(5)
        await ask(world, http, TWO)
    async with world.relay(), world.session() as http:
        world.clock.advance(5)
        await ask(world, http, ONE)
        met = world.now
    async with world.relay(), world.session() as http:
        assert await twice(world, http, ONE) == met
        world.clock.advance(24 * 3600)
        assert await twice(world, http, ONE) is None


@pytest.mark.parametrize("size", [0, 16, 31, 33, 48])
async def test_a_request_without_its_run_is_refused(world: World, relay: Any, http: Any, size: int):
    agent = world.parties["Peacock"].member.agent
    target = Target("GET", world.founded.partnership.charter.authority, api.MAILBOX, "", api.JSON)
    headers = sign_request(target, b"", agent.auth, world.now, secrets.token_bytes(size))
    answer = await world.send(http, "GET", api.MAILBOX, "", b"", headers)
    assert (answer.status, answer.json()["code"]) == (401, "UNAUTHENTICATED")


def test_a_run_whose_first_request_was_overtaken_is_older_than_its_successor():
    seen = Seen((Run("a", 10),)).after(Visit("x", "c", 30), 30).after(Visit("x", "b", 29), 31)
    assert [run.hash for run in seen.runs] == ["a", "b", "c"]
    assert seen.after(Visit("x", "c", 32), 32) is seen
    assert seen.after(Visit("x", "b", 33), 33).twice == 33


async def test_a_thief_who_dates_his_requests_ahead_is_met_all_the_same(world: World, relay: Any, http: Any):
    """A request may be dated 90 seconds ahead of the relay's clock; what a running agent asks meanwhile is not older."""
    assert await twice(world, http, ONE) is None
    for n in range(3):
        world.clock.advance(5)
        await ask(world, http, bytes([9 + n]) * (NONCE // 2), ago=-89)
        world.clock.advance(5)
        if await twice(world, http, ONE):
            return
    raise AssertionError("both ran for half a minute and nobody noticed")


async def test_an_agent_whose_clock_is_behind_meets_a_thief_who_comes_more_often(
    world: World, relay: Any, http: Any
):
    """Each time he draws anew, and each of his runs is younger than what the agent says the time is."""
    assert await twice(world, http, ONE, ago=40) is None
    for n in range(12):
        world.clock.advance(5)
        await ask(world, http, bytes([9 + n]) * (NONCE // 2))
        if await twice(world, http, ONE, ago=40):
            return
    raise AssertionError("both ran for a minute and nobody noticed")


async def test_a_thief_who_draws_anew_more_often_than_runs_are_remembered_is_met_all_the_same(
    world: World, relay: Any, http: Any
):
    """Between two requests of the agency's own agent, which asks again after half a minute."""
    await ask(world, http, ONE)
    for _ in range(RUNS + 4):
        world.clock.advance(1)
        await ask(world, http, secrets.token_bytes(NONCE // 2))
    world.clock.advance(10)
    assert await twice(world, http, ONE) == world.now


async def test_requests_that_never_come_to_their_turn_are_not_remembered_without_end(
    world: World, relay: Any
):
    """As those that are refused because their agency asks too often: each holds up nobody else, and none stays."""
    agent = world.parties["Peacock"].member.agent
    target = Target("GET", world.founded.partnership.charter.authority, api.MAILBOX, "", api.JSON)
    headers = sign_request(target, b"", agent.auth, world.now, ONE + secrets.token_bytes(NONCE // 2))
    known, key = relay.relay.instances, world.directory.key(agent.auth.kid, Use.AUTH, world.now)
    asking = Asking(read_claim(headers, world.now), target, key)
    for n in range(WAITING + 100):
        known.expect(asking, n.to_bytes(32, "big"))
    assert len(known._waiting) == WAITING
