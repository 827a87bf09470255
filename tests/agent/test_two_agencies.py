"""Two real agents and the real relay, over HTTP on the loopback."""

import pytest

from tests.agent.agencies import CATEGORIES, RESPONSE, agreement, eventually, form, running
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def test_a_referral_is_sent_taken_on_and_answered(world):
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        await eventually(lambda: fresh(peacock))
        given = await peacock.ok("POST", "/v1/consent", agreement("IDVAS"))
        queued = await peacock.ok("POST", "/v1/messages", form("IDVAS", gid=given["gid"]))
        assert queued["state"] == "queued here"
        assert queued["warnings"] == []
        item = await idvas.first_in()
        assert item["from"]["name"] == "Peacock"
        received = await idvas.ok("GET", f"/v1/inbox/{item['id']}")
        assert received["message"]["person"]["known_as"] == "Robin"
        assert received["categories"] == sorted(set(CATEGORIES) & set(received["categories"]))
        await peacock.until(queued["mid"], "opened")
        await idvas.ok("POST", f"/v1/inbox/{item['id']}/take-on", {"role": "idva"})
        answer = await peacock.until(queued["mid"], "taken-on")
        assert answer["desks"][0]["says"] == "taken on by idva"
        climbed = [step["state"] for step in answer["desks"][0]["steps"]]
        assert climbed == ["queued", "collected", "opened", "taken-on"]  # all of one second here
        assert answer["ended"]
        assert answer["proof"]
        reply = {"kind": "referral.response", "payload": RESPONSE, "answers": item["id"]}
        back = await idvas.ok("POST", "/v1/messages", reply)
        assert back["thread"] == queued["thread"]
        heard = await peacock.first_in()
        assert heard["thread"] == queued["thread"]
        assert heard["gid"] == given["gid"]


async def test_a_finished_message_is_looked_through_for_what_never_travels(world):
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS"):
        await eventually(lambda: fresh(peacock))
        given = await peacock.ok("POST", "/v1/consent", agreement("IDVAS"))
        asked = form("IDVAS", gid=given["gid"])
        asked["payload"] = asked["payload"] | {"ask": "Ring the room at 12 Larkspur Lane, PE99 9ZZ."}
        status, said = await peacock.ask("POST", "/v1/messages", asked)
        assert (status, said["code"]) == (422, "NEVER_SHARED")
        assert "Larkspur" not in str(said)


async def fresh(caller):
    state = await caller.ok("GET", "/v1/status")
    return state["directory_fresh"] and not state["relay"]["code"]
