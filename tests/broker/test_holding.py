"""Messages that wait for a safeguarding lead: kept, shown to nobody else, released, lapsed, withdrawn, expired."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time

import pytest

from schemas.canonical import b64
from schemas.checkpoint import LogProof
from schemas.opening import open_delivery
from tests.broker.leads import (
    DAY,
    HOUR,
    NOT_HERS,
    REFUSED,
    UNASKED,
    People,
    header_of,
    notices,
    one,
    post_override,
    risky,
)
from tests.policy_world import BLIND, next_policy, publish
from tests.simulated_world import World

pytestmark = pytest.mark.usefixtures("people")  # before the relay, which founds itself with them


async def test_a_message_that_needs_a_lead_waits_and_only_its_sender_hears_of_it(world: World, http):
    result = await one(world, http, risky(world))
    assert (result["status"], result["code"], result["rk"]) == ("held", "HOLD_LEAD", None)
    assert "lead" in result["say"]
    assert await notices(world, http, "Peacock") == ["held"]
    page = await world.mailbox(http, "IDVAS")
    assert (page.head.items, page.head.notices) == ((), ())
    LogProof.parse(result["proof"].encode())  # that it waits is on record


async def test_the_same_message_again_still_waits(world: World, http):
    sealed = risky(world)
    first, again = await one(world, http, sealed), await one(world, http, sealed)
    assert again["status"] == "held"
    first_leaf, leaf = (LogProof.parse(r["proof"].encode()).extra for r in (first, again))
    assert first_leaf == leaf


async def test_a_lead_lets_it_go_and_the_recipient_gets_her_override_with_it(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert await notices(world, http, "Peacock") == ["held", "released", "override"]
    page = await world.mailbox(http, "IDVAS")
    (item,) = page.head.items
    assert item.override is not None
    assert item.override.t.encode() == signed.text
    again = await one(world, http, sealed)  # its sender fetches the proof
    assert (again["status"], again["proof"] is not None) == ("repeat", True)
    prekey = world.parties["IDVAS"].member.agent.prekeys
    key = next(p.key for p in prekey if p.key.kid == header_of(sealed).to[0].k)
    assert open_delivery(page.deliveries[0], key).payload
    receipt = world.receipt("IDVAS", page.deliveries[0], "taken-on")
    (result,) = (await world.post_receipts(http, "IDVAS", receipt)).json()["results"]
    assert result["status"] == "recorded"


async def test_a_lead_may_sign_before_the_message_comes(world: World, http, people):
    sealed = risky(world)
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert (await one(world, http, sealed))["status"] == "accepted"
    (item,) = (await world.mailbox(http, "IDVAS")).head.items
    assert item.override is not None  # the recipient weighs it itself
    assert item.override.t.encode() == signed.text


@pytest.mark.parametrize(
    ("how", "code"),
    [*NOT_HERS, ({"cat": []}, "OVERRIDE_CATEGORIES")],
)
async def test_nothing_less_than_her_own_override_lets_it_go(world: World, http, people, how, code):
    sealed = risky(world)
    await one(world, http, sealed)
    signed, record = people.override(header_of(sealed), **how)
    assert await post_override(world, http, signed, record) == ("refused", code)
    assert (await world.mailbox(http, "IDVAS")).head.items == ()
    good, record = people.override(header_of(sealed))
    assert await post_override(world, http, good, record) == ("recorded", None)


async def test_a_red_that_names_no_basis_goes_once_two_people_name_one(world: World, http, people):
    sealed = risky(world, rag="RED", law={**REFUSED, "b6": None})
    assert (await one(world, http, sealed))["status"] == "held"
    for named, code in (("6z", "VOCABULARY"), ("6q", "VOCABULARY")):
        signed, record = people.override(header_of(sealed), basis=named)
        assert await post_override(world, http, signed, record) == ("refused", code)
    signed, record = people.override(header_of(sealed), basis="6f")
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 1


async def test_what_waits_on_the_persons_agreement_is_not_let_go_on_another_basis(world: World, http, people):
    sealed = risky(world, law={**UNASKED, "b6": "6a"})
    assert (await one(world, http, sealed))["status"] == "held"
    signed, record = people.override(header_of(sealed), basis="6f")
    assert await post_override(world, http, signed, record) == ("refused", "OVERRIDE_DIFFERS")
    assert (await world.mailbox(http, "IDVAS")).head.items == ()


async def test_a_held_red_rings_by_the_clock_on_a_friday_night_and_an_amber_waits_for_monday(
    world: World, relay, http
):
    world.clock.now = 1_795_816_800  # Friday 27 November 2026, 22:00
    red, amber = risky(world, rag="RED"), risky(world)
    for sealed in (red, amber):
        assert (await one(world, http, sealed))["status"] == "held"
    assert await notices(world, http, "Peacock") == ["held", "held"]
    told = {"Peacock": [], "oversight": []}
    for half_hour in range(1, 10):
        world.clock.advance(HOUR // 2)
        await relay.sweeper.sweep()
        for name, heard in told.items():
            heard += [(half_hour, kind) for kind in await notices(world, http, name)]
    rings = [(half_hour, "hold-escalated") for half_hour in range(1, 8)]
    assert told == {"Peacock": [*rings, (8, "lapsed")], "oversight": [*rings[1:], (8, "lapsed")]}
    world.clock.now = 1_796_043_600 - 1  # Monday, 13:00, less a second
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == []
    world.clock.advance(1)
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == ["hold-escalated"]
    assert await notices(world, http, "oversight") == []


async def test_a_relay_that_slept_rings_once_and_goes_on(world: World, relay, http):
    world.clock.now = 1_795_816_800
    await one(world, http, risky(world, rag="RED"))
    world.clock.advance(2 * HOUR)
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == ["held", "hold-escalated"]
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == []
    world.clock.advance(HOUR // 2)
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == ["hold-escalated"]


ANOTHER = {"authorisers": ["another"]}
"""A policy under which a safeguarding lead may let nothing go."""


async def test_what_waits_goes_by_the_policy_under_which_its_lead_signs(world: World, http, people):
    await publish(world, http, next_policy(world, **ANOTHER))
    world.clock.advance(HOUR)
    sealed = risky(world)
    assert (await one(world, http, sealed))["status"] == "held"
    early, record = people.override(header_of(sealed))
    assert await post_override(world, http, early, record) == ("refused", "AUTHORISER")
    world.clock.advance(HOUR)
    await publish(world, http, next_policy(world, 3))
    assert await post_override(world, http, early, record) == ("refused", "OVERRIDE_POLICY")
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 1


async def test_a_policy_that_forbids_it_meanwhile_keeps_it_waiting(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    early, record = people.override(header_of(sealed))
    world.clock.advance(HOUR)
    await publish(world, http, next_policy(world, **BLIND))
    assert await post_override(world, http, early, record) == ("refused", "OVERRIDE_POLICY")
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("refused", "NO_AGREEMENT")
    assert (await world.mailbox(http, "IDVAS")).head.items == ()
    assert (await one(world, http, sealed))["status"] == "held"


async def test_what_was_not_lawful_when_the_lead_signed_does_not_become_so_on_the_way(
    world: World, http, people
):
    """An agreement between agencies that begins after her signature covers nothing that she signed before."""
    own = json.loads(world.founded.policy.text)["agreements"]
    later = [{**one_, "from": world.now + HOUR} for one_ in own]
    sealed = risky(world)
    await one(world, http, sealed)
    await publish(world, http, next_policy(world, agreements=later))
    signed, record = people.override(header_of(sealed))
    world.clock.advance(2 * HOUR)
    assert await post_override(world, http, signed, record) == ("refused", "NO_AGREEMENT")
    again, record = people.override(header_of(sealed))
    assert await post_override(world, http, again, record) == ("recorded", None)


async def test_an_override_for_fewer_desks_than_it_is_for_does_not_let_it_go(world: World, http, people):
    sealed = risky(world, "IDVAS", "Harbour")
    await one(world, http, sealed)
    first = {"a": world.parties["IDVAS"].id, "d": "intake"}
    signed, record = people.override(header_of(sealed), to=[first])
    assert await post_override(world, http, signed, record) == ("refused", "OVERRIDE_RECIPIENTS")


async def test_an_expired_override_lets_nothing_go(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    signed, record = people.override(header_of(sealed), exp=world.now + HOUR)
    world.clock.advance(HOUR)
    assert await post_override(world, http, signed, record) == ("refused", "OVERRIDE_EXPIRED")


async def test_the_rule_is_asked_again_before_it_goes(world: World, http, people):
    """A lead does not override what she cannot: a fault of paper stays one."""
    bare = risky(world, law={**REFUSED, "spec": True, "b9": "9g", "s1": ["s1:10"]})
    await one(world, http, bare)
    signed, record = people.override(header_of(bare))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    late = risky(world, exp=world.now + 2 * HOUR)
    await one(world, http, late)
    signed, record = people.override(header_of(late))
    world.clock.advance(2 * HOUR)
    status, code = await post_override(world, http, signed, record)
    assert (status, code) in (("refused", "EXPIRED"), ("recorded", None))
    assert all(item.eid != late.eid for item in (await world.mailbox(http, "IDVAS")).head.items)


async def test_leads_are_told_again_after_four_working_hours_and_it_lapses_after_two_working_days(
    world: World, relay, http
):
    world.clock.now = 1_795_428_000  # Monday 23 November 2026, 10:00
    sealed = risky(world)
    await one(world, http, sealed)
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == ["held"]
    world.clock.advance(4 * HOUR)
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == ["hold-escalated"]
    world.clock.advance(2 * DAY - 4 * HOUR - 1)
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == []
    world.clock.advance(1)
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == ["lapsed"]
    assert (await world.mailbox(http, "IDVAS")).head.items == ()
    world.clock.advance(DAY)
    await relay.sweeper.sweep()
    assert await notices(world, http, "Peacock") == []


async def test_what_lapsed_is_not_released_any_more(world: World, relay, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    world.clock.advance(4 * DAY)
    await relay.sweeper.sweep()
    # Nor is it said to wait: whoever sends it again must learn that nobody will release it.
    result = await one(world, http, sealed)
    assert result["status"] == "refused"
    signed, record = people.override(header_of(sealed))
    await post_override(world, http, signed, record)
    assert (await world.mailbox(http, "IDVAS")).head.items == ()


async def test_a_weekend_does_not_count(world: World, relay, http):
    world.clock.now = 1_795_773_600  # Friday 27 November 2026, 10:00
    await one(world, http, risky(world))
    world.clock.advance(4 * DAY - 1)
    await relay.sweeper.sweep()
    assert "lapsed" not in await notices(world, http, "Peacock")
    world.clock.advance(1)
    await relay.sweeper.sweep()
    assert "lapsed" in await notices(world, http, "Peacock")


async def test_its_own_expiry_ends_it_too_and_only_the_sender_hears(world: World, relay, http):
    await one(world, http, risky(world, exp=world.now + HOUR))
    world.clock.advance(HOUR)
    await relay.sweeper.sweep()
    assert "expired" in await notices(world, http, "Peacock")
    assert await notices(world, http, "IDVAS") == []


async def test_a_withdrawal_ends_what_waits_and_the_recipient_never_hears_of_it(world: World, http, people):
    grant = world.grant("Peacock", "IDVAS", pur=["SUPPORT"], limited=True)
    status = world.status("Peacock", grant)
    answer = await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
    assert [r["status"] for r in answer.json()["results"]] == ["recorded", "recorded"], answer.json()
    limited = {**REFUSED, "agree": "LIMITED", "agree_ver": 1}
    sealed = risky(world, grant=grant, status=status, law=limited)
    assert (await one(world, http, sealed))["status"] == "held"
    ended = world.withdrawal("Peacock", grant)
    (result,) = (await world.post_statements(http, "Peacock", ("withdraw", ended))).json()["results"]
    assert (result["status"], result["stopped"]) == ("recorded", 1)
    kinds = await notices(world, http, "Peacock")
    assert kinds[:2] == ["held", "withdrawn"]
    assert "withdrawn" not in await notices(world, http, "IDVAS")
    signed, record = people.override(header_of(sealed))
    await post_override(world, http, signed, record)
    assert (await world.mailbox(http, "IDVAS")).head.items == ()


async def test_nobody_steps_on_the_ladder_of_what_waits(world: World, http):
    from schemas.envelope import Delivery

    sealed = risky(world)
    await one(world, http, sealed)
    guessed = Delivery(sealed.upload.envelope, sealed.upload.wraps[0], sealed.upload.record, b"")
    receipt = world.receipt("IDVAS", guessed, "taken-on")
    (result,) = (await world.post_receipts(http, "IDVAS", receipt)).json()["results"]
    assert (result["status"], result["code"]) == ("refused", "NOT_FOUND")


async def test_who_was_not_asked_for_a_reason_waits_for_a_lead_too(world: World, http, people):
    sealed = risky(world, law=UNASKED)
    assert (await one(world, http, sealed))["status"] == "held"
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 1


async def test_an_agency_without_a_lead_cannot_have_it_held(world: World, http):
    result = await one(world, http, risky(world, "IDVAS", sender="Harbour"), "Harbour")
    assert (result["status"], result["code"]) == ("refused", "NO_LEAD")


async def test_what_waits_and_what_was_released_survive_a_kill(tmp_path):
    """A real process, killed with SIGKILL after each answer."""
    # The process has the real clock, and her key must have counted for a day by then.
    world = World.found(tmp_path / "real", "Peacock", "IDVAS", now=int(time.time()) - 8 * DAY)
    people = People.of(world)

    async with _killed(world), world.session() as http:
        held, freed = risky(world), risky(world)
        assert (await one(world, http, held))["status"] == "held"
        assert (await one(world, http, freed))["status"] == "held"
        signed, record = people.override(header_of(freed))
        assert await post_override(world, http, signed, record) == ("recorded", None)
    async with _killed(world), world.session() as http:
        page = await world.mailbox(http, "IDVAS")
        assert [b64(d.envelope.eid) for d in page.deliveries] == [freed.eid]
        assert page.head.items[0].override is not None
        assert (await one(world, http, held))["status"] == "held"
        signed, record = people.override(header_of(held))
        assert await post_override(world, http, signed, record) == ("recorded", None)
        assert len((await world.mailbox(http, "IDVAS")).head.items) == 2


@contextlib.asynccontextmanager
async def _killed(world: World):
    """A relay in a process of its own, with the real clock, that ends by SIGKILL."""
    relay = await _start(world)
    try:
        yield
    finally:
        relay.send_signal(signal.SIGKILL)
        await relay.wait()


async def _start(world: World):
    world.clock.now = time.time()  # the process has the real clock
    settings = world.folder / "relay" / "relay.toml"
    relay = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "broker", "run", "--config", str(settings), env={**os.environ}
    )
    for _ in range(1200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", world.port)
            writer.close()
            return relay
        except OSError:
            await asyncio.sleep(0.05)
    raise AssertionError("the relay did not come up")
