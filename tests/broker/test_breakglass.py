"""Break-glass: an emergency goes at once, everybody is told, and a lead's signature is asked for until it is there."""

import json

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
from tests.policy_world import next_policy, publish
from tests.simulated_world import AGREED, World

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


@pytest.mark.parametrize("law", [{"b6": "6a"}, {"b6": "6f", "spec": True, "b9": "9a"}])
@pytest.mark.parametrize("named", ["nothing", "a made-up handle"])
async def test_a_red_on_an_agreement_that_nothing_shows_goes_as_loudly_as_an_emergency(
    world: World, relay, http, law, named
):
    grant = None if named == "nothing" else world.grant("Peacock", "IDVAS", cat=["ask"])
    rests = {} if grant is None else {"grant": grant, "status": world.status("Peacock", grant)}
    sealed = risky(world, rag="RED", law={**AGREED, **law}, **rests)
    result = await one(world, http, sealed)
    assert (result["status"], result["alert"]) == ("accepted", True)
    assert "break-glass" in await notices(world, http, "Peacock")
    assert await notices(world, http, "IDVAS") == ["break-glass"]
    assert await notices(world, http, "oversight") == ["break-glass"]
    for rag in ("AMBER", "GREEN"):
        waits = risky(world, rag=rag, law={**AGREED, **law}, **rests)
        assert (await one(world, http, waits))["code"] == "GRANT"
    world.clock.advance(DAY)
    await relay.sweeper.sweep()
    assert await notices(world, http, "oversight") == ["lead-missing"]
    fresh = {} if grant is None else {"grant": grant, "status": world.status("Peacock", grant)}
    again = risky(world, rag="RED", law={**AGREED, **law}, **fresh)
    assert (await one(world, http, again))["status"] == "accepted"
    assert sorted(await notices(world, http, "oversight")) == ["break-glass", "ring"]


async def test_a_red_that_another_basis_carries_tells_its_own_lead_only(world: World, relay, http):
    sealed = risky(world, rag="RED", law={**AGREED, "b6": "6f"})
    assert (await one(world, http, sealed))["alert"]
    assert "break-glass" in await notices(world, http, "Peacock")
    assert await notices(world, http, "oversight") == []


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


@pytest.mark.parametrize("b6", [None, "6a", "6f"])
@pytest.mark.parametrize("named", ["6f", "6ea:safeguarding"])
async def test_of_what_went_on_no_basis_or_another_the_lead_names_a_lawful_one(
    world: World, relay, http, people, b6, named
):
    sealed = emergency(world, law={**UNASKED, "why_no": "F", "b6": b6})
    assert (await one(world, http, sealed))["status"] == "accepted"
    signed, record = people.override(header_of(sealed), basis=named)
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert "lead-signed" in await notices(world, http, "Peacock")
    world.clock.advance(2 * DAY)
    await relay.sweeper.sweep()
    assert "lead-missing" not in await notices(world, http, "oversight")


@pytest.mark.parametrize("b6", [None, "6a", "6f"])
@pytest.mark.parametrize(
    ("named", "code"), [("6z", "VOCABULARY"), ("6ea:later", "PAPER_DATES"), ("6q", "BASIS")]
)
async def test_what_is_no_lawful_basis_settles_nothing(world: World, relay, http, people, b6, named, code):
    entry = {"says": "A basis.", "to": None, "marks": []}
    more = [
        {**entry, "code": "6ea:later", "from": world.now + DAY},
        {**entry, "code": "6q", "from": None, "marks": ["consent"]},
    ]
    vocabulary = json.loads(world.founded.policy.text)["vocabulary"]
    changed = {**vocabulary, "bases": [*vocabulary["bases"], *more]}
    await publish(world, http, next_policy(world, vocabulary=changed))
    sealed = emergency(world, law={**UNASKED, "why_no": "F", "b6": b6})
    await one(world, http, sealed)
    signed, record = people.override(header_of(sealed), basis=named)
    assert await post_override(world, http, signed, record) == ("refused", code)
    good, record = people.override(header_of(sealed), basis="6f")
    assert await post_override(world, http, good, record) == ("recorded", None)


async def test_a_lead_who_signed_before_an_emergency_went_owes_nothing(world: World, relay, http, people):
    sealed = emergency(world)
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert (await one(world, http, sealed))["status"] == "accepted"
    world.clock.advance(DAY)
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
