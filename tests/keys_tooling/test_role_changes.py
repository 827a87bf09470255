"""Whoever is given a role, and whoever is taken in: the officers of the agency that it changes find it in their entries."""

import secrets
from pathlib import Path
from typing import Any

import pytest

from schemas.chain import Chain
from schemas.keys import SigningKey, Use
from tests.keys_tooling.officer_place import Place
from tests.simulated_world import World
from tests.tools.override_world import DAY, introduce


async def entries(world: World, folder: Path, party: str) -> list[tuple[str, str, list[str]]]:
    place = Place.make(world, folder / party, party)
    assert (await place.type("pull")).exit == 0
    read = (await place.type("read", "--json")).json()
    return [(e["from"]["name"], e["what"], e["faults"]) for e in read["entries"] if e["event"] == "directory"]


@pytest.mark.parametrize("party", ["Peacock", "IDVAS", "oversight"])
async def test_a_role_is_logged_for_the_agency_that_it_is_at(tmp_path: Path, party: str):
    world = World.found(tmp_path / "world", "Peacock", "IDVAS")
    async with world.relay(), world.session() as http:
        added, countersigned = introduce(
            world, "Peacock", SigningKey(secrets.token_bytes(32)), "author-7", world.now
        )
        for who, signed in (("Peacock", added), ("oversight", countersigned)):
            answer = await world.post_statements(http, who, ("directory", signed))
            assert answer.json()["results"][0]["status"] == "recorded", answer.body
            world.take(signed)
        found = await entries(world, tmp_path, party)
    both: list[Any] = [("Peacock", "add-key person", []), ("oversight", "countersign", [])]
    assert found == ([] if party == "IDVAS" else both)


@pytest.mark.parametrize("party", ["Peacock", "IDVAS"])
async def test_an_admission_is_logged_for_the_member(tmp_path: Path, party: str):
    world = World.found(tmp_path / "world", "Peacock", "IDVAS")
    async with world.relay(), world.session() as http:
        from keys_tooling.ceremony import admit

        oversight = world.parties["oversight"]
        flags = {"cda_relevant": True, "public_authority": False, "s16la_member": False}
        oversight.admin, signed = admit(
            oversight.admin,
            world.parties["Peacock"].id,
            "Peacock",
            ("intake", "duty"),
            flags,
            world.now,
            "other",
        )
        answer = await world.post_statements(http, "oversight", ("directory", signed))
        assert answer.json()["results"][0]["status"] == "recorded", answer.body
        world.take(signed)
        found = await entries(world, tmp_path, party)
    assert found == ([("oversight", "admit", [])] if party == "Peacock" else [])


async def test_what_an_agent_renewed_and_an_old_operational_key_said_is_no_forgery(tmp_path: Path):
    """An officer reads it later, by a directory in which another operational key speaks."""
    world = World.found(tmp_path / "world", "Peacock")
    party, new = world.parties["Peacock"], SigningKey(secrets.token_bytes(32))
    agent = Chain(party.id, party.member.agent.renew, party.admin.seq, party.admin.head)
    renewed = agent.add_key(Use.AUTH, new.public, world.now, world.now + DAY, world.now)
    own = Chain(party.id, party.admin.op, agent.seq, agent.head)
    handed = own.rotate_op(SigningKey(secrets.token_bytes(32)), world.now)
    async with world.relay(), world.session() as http:
        answer = await world.post_statements(http, "Peacock", ("directory", renewed), ("directory", handed))
        assert [one["status"] for one in answer.json()["results"]] == ["recorded", "recorded"], answer.body
        found = await entries(world, tmp_path, "Peacock")
    assert found == [("Peacock", "add-key auth", []), ("Peacock", "rotate-op", [])]
