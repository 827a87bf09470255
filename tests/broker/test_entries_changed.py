"""An agency's entry changes while a message waits or after it went: its flags, its desks; and its agent's key (K14, O11)."""

import pytest

from keys_tooling.ceremony import admit
from schemas.chain import Chain
from tests.broker.leads import EMERGENCY, HOUR, header_of, one, post_override, risky
from tests.broker.test_key_statements import chain
from tests.simulated_world import DESK, FLAGS, World

pytestmark = pytest.mark.usefixtures("people")  # before the relay, which founds itself with them


async def become(world: World, http, name: str, desks=(DESK,), sector="other", **flags) -> None:
    """Oversight enters an agency afresh."""
    oversight, whose = world.parties["oversight"], world.parties[name].id
    oversight.admin, again = admit(oversight.admin, whose, name, desks, {**FLAGS, **flags}, world.now, sector)
    (result,) = (await world.post_statements(http, "oversight", ("directory", again))).json()["results"]
    assert result["status"] == "recorded", result
    world.take(again)


async def test_what_waits_goes_by_the_flags_under_which_its_lead_signs(world: World, http, people):
    """She signed by what the agencies were in law; a recipient decides by that, so the relay may not by anything else."""
    sealed = risky(world)
    assert (await one(world, http, sealed))["status"] == "held"
    early, record = people.override(header_of(sealed))
    world.clock.advance(HOUR)
    await become(world, http, "IDVAS", sector="health", s16la_member=True)
    assert await post_override(world, http, early, record) == ("refused", "OVERRIDE_POLICY")
    assert (await world.mailbox(http, "IDVAS")).head.items == ()
    world.clock.advance(HOUR)
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 1


async def test_flags_that_changed_as_she_signed_are_no_reason_to_refuse_her(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    signed, record = people.override(header_of(sealed))
    world.clock.advance(300)
    await become(world, http, "IDVAS", sector="health", s16la_member=True)
    assert await post_override(world, http, signed, record) == ("recorded", None)


async def test_what_waits_is_let_go_although_its_senders_desk_was_closed(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    world.clock.advance(HOUR)
    await become(world, http, "Peacock", desks=("night",))
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 1


async def test_what_waits_for_a_desk_that_was_closed_is_not_let_go_to_nobody(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    world.clock.advance(HOUR)
    await become(world, http, "IDVAS", desks=("night",), sector="health")
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("refused", "UNKNOWN_DESK")


async def test_a_signature_afterwards_is_taken_for_a_desk_that_was_closed_since(world: World, http, people):
    sealed = risky(world, rag="RED", law=EMERGENCY)
    assert (await one(world, http, sealed))["status"] == "accepted"
    world.clock.advance(HOUR)
    await become(world, http, "IDVAS", desks=("night",), sector="health")
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    other = risky(world, "Harbour", rag="RED", law=EMERGENCY)
    await one(world, http, other)
    gone = {"a": world.parties["IDVAS"].id, "d": DESK}
    there = [{"a": to.a, "d": to.d} for to in header_of(other).to]
    more, record = people.override(
        header_of(other), to=sorted([*there, gone], key=lambda to: (to["a"], to["d"]))
    )
    assert await post_override(world, http, more, record) == ("refused", "UNKNOWN_DESK")


@pytest.mark.parametrize(
    ("ago", "expected"), [(0, ("recorded", None)), (2 * HOUR, ("refused", "REVOKED_KEY"))]
)
async def test_what_waits_is_let_go_with_the_key_that_stood_when_it_came(
    world: World, http, people, ago, expected
):
    """A key that was rotated meanwhile signed it well; one that was lost before signed nothing."""
    sealed = risky(world)
    await one(world, http, sealed)
    world.clock.advance(HOUR)
    party = world.parties["Peacock"]
    chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
    gone = chain.revoke(party.member.agent.msg.kid, "rotated", world.now - ago, world.now)
    (result,) = (await world.post_statements(http, "Peacock", ("directory", gone))).json()["results"]
    assert result["status"] == "recorded"
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == expected


async def stated(world: World, http, name: str, signed) -> None:
    (result,) = (await world.post_statements(http, name, ("directory", signed))).json()["results"]
    assert result["status"] == "recorded", result
    world.take(signed)


async def test_what_waits_is_not_let_go_to_an_agency_that_has_left_since(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    world.clock.advance(HOUR)
    whose = world.parties["IDVAS"].id
    await stated(world, http, "oversight", chain(world, "oversight").leave(whose, world.now, None, world.now))
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("refused", "LEFT")
    assert (await world.mailbox(http, "IDVAS")).head.items == ()


async def test_what_waits_is_not_let_go_to_a_key_that_a_thief_has_by_now(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    world.clock.advance(HOUR)
    (to,) = header_of(sealed).to
    await stated(
        world, http, "IDVAS", chain(world, "IDVAS").revoke(to.k, "compromised", world.now, world.now)
    )
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("refused", "REVOKED_KEY")


async def test_what_waits_is_let_go_although_its_signers_key_was_replaced(world: World, http, people):
    sealed = risky(world)
    await one(world, http, sealed)
    world.clock.advance(HOUR)
    kid = header_of(sealed).signer
    await stated(world, http, "Peacock", chain(world, "Peacock").revoke(kid, "rotated", world.now, world.now))
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)


@pytest.mark.parametrize(
    ("also", "expected"), [(None, ("recorded", None)), ("compromised", ("refused", "REVOKED_KEY"))]
)
async def test_what_waits_is_let_go_to_a_key_that_was_only_replaced(
    world: World, http, people, also, expected
):
    """Its agency opens it for weeks; and nobody could seal it afresh, for its lead has agreed to this one."""
    sealed = risky(world)
    await one(world, http, sealed)
    world.clock.advance(HOUR)
    (to,) = header_of(sealed).to
    for reason, since in (("rotated", world.now), (also, world.now + 1)):
        if reason is not None:
            await stated(world, http, "IDVAS", chain(world, "IDVAS").revoke(to.k, reason, since, world.now))
    world.clock.advance(2)
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == expected
    assert len((await world.mailbox(http, "IDVAS")).head.items) == (also is None)
