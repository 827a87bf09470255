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
from tests.broker.test_agreements import said as post_one
from tests.broker.test_log import opened
from tests.broker.test_recalls import files
from tests.policy_world import next_policy, publish
from tests.simulated_world import AGREED, World

pytestmark = pytest.mark.usefixtures("people")  # before the relay, which founds itself with them


def emergency(world: World, *to: str, **changes):
    return risky(world, *to, **{"rag": "RED", "law": EMERGENCY, **changes})


async def taken_on(world: World, http) -> None:
    """Somebody at IDVAS takes on the one message that is there."""
    (delivery,) = (await world.mailbox(http, "IDVAS")).deliveries
    await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", delivery, "taken-on"))


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
    await taken_on(world, http)
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


async def test_after_the_last_asking_nothing_is_kept_of_the_message(world: World, relay, http, people):
    sealed = emergency(world)
    await one(world, http, sealed)
    await taken_on(world, http)
    thread = header_of(sealed).thr.encode()
    for _ in range(MOST):
        world.clock.advance(DAY)
        await relay.sweeper.sweep()
    assert thread in files(world)  # the lead who was asked for the last time has a day
    world.clock.advance(DAY)
    await relay.sweeper.sweep()
    assert thread not in files(world)


async def test_of_a_message_that_was_taken_on_only_what_a_signature_needs_is_kept(world: World, relay, http):
    sealed = emergency(world)
    await one(world, http, sealed)
    header = header_of(sealed)
    await taken_on(world, http)
    world.clock.advance(61)
    await relay.sweeper.sweep()
    left = files(world)
    assert header.thr.encode() in left
    for gone in (
        header.kc,
        header.ar,
        header.signer + '","st"',
        f'"k":"{header.to[0].k}"',
        '"agree":',
    ):
        assert gone.encode() not in left, gone


async def took_back(world: World, relay, http, grant) -> None:
    word = world.withdrawal("Peacock", grant)
    assert await post_one(world, http, "Peacock", "withdraw", word) == ("recorded", None)


async def expired(world: World, relay, http, grant) -> None:
    world.clock.advance(HOUR)
    await relay.sweeper.sweep()


@pytest.mark.parametrize("ended", [took_back, expired])
@pytest.mark.parametrize("fetched", [False, True], ids=["nobody fetched it", "one desk fetched it"])
async def test_what_ended_before_anybody_fetched_it_is_not_signed_for(
    world: World, relay, http, ended, fetched
):
    grant = world.grant("Peacock", "IDVAS", "Harbour")
    status = world.status("Peacock", grant)
    await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
    world.clock.advance(DAY + 1)  # it goes although the staple has run out, and its lead is to sign
    law = {**AGREED, "agree_ver": 1}
    rests = {"grant": grant, "status": status, "law": law, "exp": world.now + HOUR}
    sealed = risky(world, "IDVAS", "Harbour", rag="RED", purpose="SUPPORT", **rests)
    assert (await one(world, http, sealed))["alert"]
    if fetched:
        page = await world.mailbox(http, "IDVAS")
        await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", page.deliveries[0], "collected"))
    for party in ("Peacock", "oversight"):
        await notices(world, http, party)
    await ended(world, relay, http, grant)
    for party in ("Peacock", "oversight"):
        assert ("nothing-to-sign" in await notices(world, http, party)) is not fetched
    for _ in range(3):
        world.clock.advance(DAY)
        await relay.sweeper.sweep()
    for party in ("Peacock", "IDVAS", "oversight"):
        assert ("lead-missing" in await notices(world, http, party)) is fetched


NO_AFTER_ALL = [("REFUSED", why) for why in "ABCDE"] + [("WITHDRAWN", "C"), ("outside", "B")]


@pytest.mark.parametrize(("no", "why"), NO_AFTER_ALL)
async def test_a_no_that_a_red_passes_over_without_a_lead_is_told_to_everybody(
    world: World, relay, http, people, no, why
):
    """No row foresees a no with a reason for not asking: it goes as a RED does, and is no cheaper than an emergency."""
    law, rests = {**REFUSED, "agree": no, "why_no": why}, {}
    if no == "outside":
        grant = world.grant("Peacock", "IDVAS", cat=["contact"])
        rests = {"grant": grant, "status": world.status("Peacock", grant)}
        await world.post_statements(http, "Peacock", ("grant", rests["grant"]), ("status", rests["status"]))
        law = {**AGREED, "b6": "6f", "why_no": why, "agree_ver": 1}
    sealed = risky(world, rag="RED", law=law, **rests)
    result = await one(world, http, sealed)
    assert (result["status"], result["alert"]) == ("accepted", True)
    assert "break-glass" in await notices(world, http, "Peacock")
    assert await notices(world, http, "IDVAS") == ["break-glass"]
    assert await notices(world, http, "oversight") == ["break-glass"]
    for party in ("Peacock", "IDVAS", "oversight"):  # both agencies' officers, and oversight's
        (told,) = [
            said for said in await opened(world, http, party) if said and said["event"] == "break-glass"
        ]
        assert (told["rows"], told["due"]) == ([23], world.now + DAY)
    world.clock.advance(DAY)
    await relay.sweeper.sweep()
    for party in ("Peacock", "IDVAS", "oversight"):
        assert "lead-missing" in await notices(world, http, party)
    signed, record = people.override(header_of(sealed), basis="6f")
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert "lead-signed" in await notices(world, http, "oversight")


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
    await taken_on(world, http)
    signed, record = people.override(header_of(sealed), reason="F")
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert "lead-signed" in await notices(world, http, "Peacock")
