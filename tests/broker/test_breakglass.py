"""Break-glass: an emergency goes at once, everybody is told, and a lead's signature is asked for until it is there."""

import pytest

from broker.breakglass import MOST
from tests.broker.leads import (
    DAY,
    EMERGENCY,
    HOUR,
    REFUSED,
    UNASKED,
    header_of,
    notices,
    one,
    post_override,
    risky,
)
from tests.simulated_world import World

pytestmark = pytest.mark.usefixtures("people")  # before the relay, which founds itself with them


def emergency(world: World, *to: str, **changes):
    return risky(world, *to, **{"rag": "RED", "law": EMERGENCY, **changes})


async def test_an_emergency_goes_now_and_everybody_who_must_know_is_told(world: World, relay, http):
    result = await one(world, http, emergency(world))
    assert (result["status"], result["alert"]) == ("accepted", True)
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 1
    assert "break-glass" in await notices(world, http, "Peacock")
    assert await notices(world, http, "IDVAS") == ["break-glass"]
    assert await notices(world, http, "oversight") == ["break-glass"]
    assert await notices(world, http, "Harbour") == []


@pytest.mark.parametrize("rag", ["AMBER", "GREEN"])
async def test_only_a_red_breaks_the_glass(world: World, http, rag):
    result = await one(world, http, emergency(world, rag=rag))
    assert result["status"] in ("held", "refused"), result
    assert await notices(world, http, "oversight") == []


async def test_the_leads_signature_afterwards_settles_it(world: World, relay, http, people):
    sealed = emergency(world)
    await one(world, http, sealed)
    await notices(world, http, "oversight")
    world.clock.advance(HOUR)
    signed, record = people.override(header_of(sealed), reason="F")
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert sorted(await notices(world, http, "oversight")) == ["lead-signed", "override"]
    world.clock.advance(2 * DAY)
    await relay.sweeper.sweep()
    assert "lead-missing" not in await notices(world, http, "oversight")


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"lead": "author"}, "AUTHORISER_SAME"),
        ({"lead": "second author"}, "AUTHORISER_ROLE"),
        ({"lead": "their lead"}, "OVERRIDE_AGENCY"),
        ({"cat": []}, "OVERRIDE_CATEGORIES"),
        ({"reason": "E"}, "OVERRIDE_DIFFERS"),
    ],
)
async def test_nothing_less_than_a_leads_signature_settles_it(world: World, relay, http, people, how, code):
    sealed = emergency(world)
    await one(world, http, sealed)
    signed, record = people.override(header_of(sealed), **how)
    assert await post_override(world, http, signed, record) == ("refused", code)
    world.clock.advance(DAY)
    await relay.sweeper.sweep()
    assert "lead-missing" in await notices(world, http, "oversight")


async def test_a_missing_signature_is_told_daily_to_all_sides_up_to_a_limit(world: World, relay, http):
    await one(world, http, emergency(world))
    for party in ("Peacock", "IDVAS", "oversight"):
        await notices(world, http, party)
    world.clock.advance(DAY - 1)
    await relay.sweeper.sweep()
    assert await notices(world, http, "oversight") == []
    world.clock.advance(1)
    for _ in range(MOST):
        await relay.sweeper.sweep()
        await relay.sweeper.sweep()
        for party in ("Peacock", "IDVAS", "oversight"):
            assert (await notices(world, http, party)).count("lead-missing") == 1
        world.clock.advance(DAY)
    await relay.sweeper.sweep()
    assert "lead-missing" not in await notices(world, http, "oversight")


async def test_once_it_was_missing_oversight_is_rung_at_each_further_emergency(
    world: World, relay, http, people
):
    first = emergency(world)
    await one(world, http, first)
    world.clock.advance(DAY)
    await relay.sweeper.sweep()
    signed, record = people.override(header_of(first), reason="F")
    assert await post_override(world, http, signed, record) == ("recorded", None)
    await notices(world, http, "oversight")
    await one(world, http, emergency(world))
    assert sorted(await notices(world, http, "oversight")) == ["break-glass", "ring"]
    theirs = emergency(world, "Peacock", sender="IDVAS")
    await one(world, http, theirs, "IDVAS")
    assert await notices(world, http, "oversight") == ["break-glass"]


@pytest.mark.parametrize("why", ["A", None])
async def test_a_red_that_only_lacked_a_question_is_signed_for_on_the_same_clock(
    world: World, relay, http, why
):
    sealed = risky(world, rag="RED", law={**UNASKED, "why_no": why})
    result = await one(world, http, sealed)
    assert (result["status"], result["alert"]) == ("accepted", True)
    assert "break-glass" in await notices(world, http, "Peacock")
    assert await notices(world, http, "oversight") == []
    world.clock.advance(DAY)
    await relay.sweeper.sweep()
    assert await notices(world, http, "oversight") == ["lead-missing"]


async def test_a_red_with_the_leads_signature_owes_nothing(world: World, relay, http, people):
    sealed = risky(world, rag="RED", law=REFUSED)
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert (await one(world, http, sealed))["status"] == "accepted"
    world.clock.advance(DAY)
    await relay.sweeper.sweep()
    assert "lead-missing" not in await notices(world, http, "oversight")


async def test_who_took_it_on_long_ago_changes_nothing_about_the_signature(world: World, relay, http, people):
    sealed = emergency(world)
    await one(world, http, sealed)
    page = await world.mailbox(http, "IDVAS")
    await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", page.deliveries[0], "taken-on"))
    signed, record = people.override(header_of(sealed), reason="F")
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert "lead-signed" in await notices(world, http, "Peacock")
