"""An agency that is a member publishes another IG officer, and ends one, but never its last (PROTOCOL.md U6)."""

import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.client import Relay
from keys_tooling import journal as journals
from keys_tooling import officers
from keys_tooling.applying import apply
from keys_tooling.card_number import check
from keys_tooling.carrying_out import planned
from keys_tooling.ceremony import OfficerCard, make_officer
from keys_tooling.console import World as Console
from keys_tooling.officer import card_number
from keys_tooling.own_side import OwnSide
from keys_tooling.plan import Plan
from schemas.directory import Agency
from schemas.errors import Refusal
from tests.keys_tooling.officer_place import Place
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path / "world", "Peacock", "IDVAS")


@pytest.fixture
async def line(world: World) -> AsyncIterator[Relay]:
    peacock = world.parties["Peacock"].member.agent
    charter = world.founded.partnership.charter
    async with (
        world.relay(),
        Relay(charter.relay, charter.authority, peacock.auth, world.clock, secrets.token_bytes) as line,
    ):
        yield line


def administrator(world: World) -> OwnSide:
    peacock = world.parties["Peacock"]
    return OwnSide(world.folder, world.founded.partnership, peacock.admin, peacock.member.agent.auth)


def console(world: World) -> Console:
    return Console(world.clock, secrets.token_bytes)


async def refused(work: Any) -> str:
    with pytest.raises(Refusal) as found:
        await work
    return found.value.code


async def carried(line: Relay, own: OwnSide, here: Console, make: Callable[[Agency], Plan]) -> bool:
    """Whether the plan had anything to publish; it is published then."""
    plan, reading = await planned(
        line, own, here, lambda reading, _own: make(reading.view.agencies[own.admin.agency])
    )
    if plan.says:
        begun = journals.begin(own.folder, plan, len(reading.statements))
        done = await apply(line, own, begun, (), here, print)
        assert done.posted == len(plan.says)
    return bool(plan.says)


async def test_a_new_officer_is_published_after_her_number_was_read_aloud(
    world: World, line: Relay, tmp_path: Path
):
    keys, card = make_officer(secrets.token_bytes)
    own, here = administrator(world), console(world)
    wrong = card_number(make_officer(secrets.token_bytes)[1])
    with pytest.raises(Refusal, match="FINGERPRINT"):
        check(card_number(card), wrong)
    check(card_number(card), card_number(card).replace(" ", "-"))
    assert await carried(line, own, here, lambda agency: officers.publish(agency, (), card, world.now))
    assert not await carried(line, own, here, lambda agency: officers.publish(agency, (), card, world.now))
    async with world.session() as http:
        # Whoever seals from now on seals to her: the sender reads the directory first.
        page = await line.directory(len(world.statements))
        from schemas.signing import Signed

        for one in page.statements:
            world.take(Signed.from_json(one.model_dump()))
        await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
    place = Place.make(world, tmp_path / "officer", "Peacock", keys)
    assert (await place.type("pull")).exit == 0
    read = (await place.type("read", "--json")).json()
    assert [(e["event"], e["faults"]) for e in read["entries"] if e["event"] == "accept"] == [("accept", [])]


async def test_the_last_officer_stays_and_another_may_go(world: World, line: Relay):
    first = world.parties["Peacock"].officer
    old = OfficerCard(first.ig.public, first.auth.public)
    _, card = make_officer(secrets.token_bytes)
    own, here = administrator(world), console(world)

    def ended(which: OfficerCard) -> Callable[[Agency], Plan]:
        return lambda agency: officers.end(agency, (), which, world.now, "left")

    assert await refused(carried(line, own, here, ended(old))) == "OFFICERS"
    assert await refused(carried(line, own, here, ended(card))) == "UNKNOWN_KEY"
    assert await carried(line, own, here, lambda agency: officers.publish(agency, (), card, world.now))
    assert await carried(line, own, here, ended(old))
    assert not await carried(line, own, here, ended(old))
    assert await refused(carried(line, own, here, ended(card))) == "OFFICERS"
