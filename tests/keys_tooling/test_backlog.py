"""What `fenpost-keys check` makes of what a running agent says is waiting."""

from pathlib import Path
from typing import Any

import pytest

from agent.own import Acknowledge
from keys_tooling.backlog import backlog
from keys_tooling.finding import Check
from schemas.errors import Refusal
from tests.agent.agencies import quiet
from tests.agent.test_doubts import HOUR, ended, sent
from tests.simulated_world import World


def said(status: dict[str, Any], running: dict[str, bool] | None) -> dict[str, Check]:
    return {one.name: one for one in backlog(running, status)}


def test_what_waits_for_a_reason_needs_somebody_and_the_reason_is_named():
    found = said({"waiting": 3, "waiting_because": {"RELAY_AWAY": 2, "QUORUM": 1}, "to_take_on": 4}, {})
    assert (found["waiting"].ok, found["to take on"].ok) == (False, True)
    assert found["waiting"].say.startswith("3 messages wait to be sent, because of QUORUM, RELAY_AWAY.")
    assert found["to take on"].say.startswith("4 messages")


@pytest.mark.parametrize("waits", [0, 2])
def test_what_is_only_on_its_way_needs_nobody(waits: int):
    found = said({"waiting": waits, "waiting_because": {}, "to_take_on": 0}, {})
    assert all(one.ok for one in found.values())
    assert found["waiting"].say == f"{waits} messages wait to be sent."


def late(rag: str, name: str, desk: str) -> dict[str, Any]:
    return {"rag": rag, "state": "queued", "to": {"agency": "ag1x", "name": name, "desk": desk}}


def test_desks_that_took_nothing_on_in_time_are_named_once_to_be_rung():
    rows = [late("RED", "IDVAS", "duty"), late("AMBER", "IDVAS", "duty"), late("GREEN", "", "intake")]
    found = said({"untaken": rows}, {})["undelivered"]
    assert not found.ok
    assert found.say.startswith(
        "3 times a desk has not taken on in time what was sent to it (1 of them RED)."
    )
    assert found.say.endswith("Ring: IDVAS, duty; ag1x, intake.")


def test_what_came_and_is_kept_back_is_not_called_undelivered():
    found = said({"not_confirmed": [{}, {}]}, {})
    assert "undelivered" not in found
    assert (found["not confirmed"].ok, found["not confirmed"].say[:22]) == (False, "2 messages that came a")


def whose(name: str, **more: Any) -> dict[str, Any]:
    return {"from": {"agency": "ag1x", "name": name}, **more}


def test_messages_in_doubt_are_counted_and_their_senders_named_once_to_be_rung():
    rows = [whose("IDVAS", messages=2), whose("IDVAS", messages=1), whose("", messages=4)]
    found = said({"in_doubt": rows}, {})["in doubt"]
    assert not found.ok
    assert found.say.startswith("7 messages were signed with a key that was in other hands by then.")
    assert "by a number from your paper list: IDVAS, ag1x." in found.say
    assert found.say.endswith("When it is done, type what this says at its end: fenpost-agent doctor")


async def test_the_state_of_an_agent_that_took_such_messages_is_read_as_it_is(tmp_path: Path):
    world = World.again(tmp_path, "Peacock", "IDVAS")
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        await sent(world, peacock)
        await sent(world, peacock)
        await idvas.inbox.collect(0)
        assert "in doubt" not in said(await idvas.showing.status(), {})
        await ended(world, idvas, "compromised", world.now - 3 * HOUR)
        found = said(await idvas.showing.status(), {})["in doubt"]
        assert (found.ok, found.say[:10]) == (False, "2 messages")
        assert "paper list: Peacock." in found.say
        (name,) = [one["acknowledge_as"] for one in (await idvas.showing.status())["in_doubt"]]
        await idvas.office.own.acknowledge(Acknowledge(messages=(name,)))
        assert "in doubt" not in said(await idvas.showing.status(), {})


def test_what_the_relay_alone_calls_over_is_named():
    found = said({"over_unproven": [whose("IDVAS"), whose("IDVAS")]}, {})["kept back"]
    assert (found.ok, found.say[-26:]) == (False, "Ring who sent them: IDVAS.")


def test_an_agent_with_no_doubt_is_not_said_to_have_any():
    assert set(said({"in_doubt": [], "over_unproven": []}, {})) == {"waiting", "to take on"}


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"alarm": {"code": "FORK", "ts": 1, "say": ""}}, "FORK"),
        ({"own_statements": [{"n": 3, "say": ""}]}, "OWN_STATEMENT"),
        ({"two_agents": 5}, "TWO_AGENTS"),
        ({"directory_stale": True}, "STALE_DIRECTORY"),
    ],
)
def test_an_agent_that_has_stopped_is_never_called_fine(status: dict[str, Any], code: str):
    found = said({"waiting": 1, **status}, {})["agent"]
    assert (found.ok, found.say) == (False, Refusal(code).say)


@pytest.mark.parametrize(
    ("state", "named"), [("agreed", False), ("waiting", False), ("late", True), ("stopped", True)]
)
def test_a_log_that_too_few_vouch_for_is_named(state: str, named: bool):
    fine = {"state": "agreed", "say": "Enough."}
    for heads in ({"witnesses": fine}, {"directory_witnesses": {"state": state, "say": "Too few."}}):
        found = said(heads, {})
        assert ("witnesses" in found) == (named and "witnesses" not in heads)


def test_where_no_agent_answers_nothing_is_claimed():
    found = said({}, None)
    assert list(found) == ["waiting"]
    assert "was not looked at" in found["waiting"].say
