"""Leaving, merging and rosters with a real relay."""

from pathlib import Path

import pytest

from schemas.directory import Directory
from schemas.people import QUARTER
from schemas.signing import Signed
from tests.broker.leads import People
from tests.keys_tooling.admin_place import done, made, refused, run
from tests.keys_tooling.policy_place import served
from tests.simulated_world import World

DAY = 24 * 3600
HOUR = 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path, "Peacock", "IDVAS", "Harbour", people=lambda world: (People.of(world), None)[1])


def view(world: World) -> Directory:
    """The directory as the relay has it."""
    import sqlite3

    found = Directory(world.parties["oversight"].id)
    with sqlite3.connect(world.folder / "relay" / "relay.db") as database:
        for text, sig in database.execute("SELECT text, sig FROM statements ORDER BY n"):
            found.apply(Signed(text, sig))
    database.close()
    return found


def folder(world: World, name: str) -> Path:
    return world.folder / name


def test_an_agency_leaves_and_its_keys_end_last(world: World):
    at, moment = folder(world, "Peacock"), "2026-11-26T00:00Z"
    with served(world):
        early = refused(world, "agency", "leave", "--dir", at, "--finish", "--yes")
        assert early.code == "NOT_LEFT"
        said = done(
            world, "agency", "leave", "--dir", at, "--stops", moment, "--successor", "Harbour", "--yes"
        )
        body = said["plan"]["publishes"][0]["body"]
        assert (body["member"], body["successor"]) == (
            world.parties["Peacock"].id,
            world.parties["Harbour"].id,
        )
        assert refused(world, "agency", "leave", "--dir", at, "--finish", "--yes").code == "NOT_LEFT"
        world.clock.advance(5 * DAY)
        said = done(world, "agency", "leave", "--dir", at, "--finish", "--yes")
        assert said["posted"] == len(said["plan"]["publishes"]) > 10
        assert done(world, "agency", "leave", "--dir", at, "--finish", "--dry-run")["plan"]["publishes"]
        world.clock.advance(2 * HOUR)
        assert refused(world, "agency", "leave", "--dir", at, "--finish", "--yes").code in (
            "UNAUTHENTICATED",
            "CLOCK",
        )
    agency = view(world).agencies[world.parties["Peacock"].id]
    assert not [key for key in agency.keys.values() if key.stands(world.now)]
    assert agency.left is not None


def test_oversight_says_that_an_agency_leaves(world: World):
    place = ("--dir", folder(world, "oversight"), "--member", "Peacock", "--stops", "now", "--yes")
    with served(world):
        assert done(world, "agency", "leave", *place)["posted"] == 1
        other = ("--dir", folder(world, "IDVAS"), "--member", "Harbour", "--stops", "now", "--yes")
        assert refused(world, "agency", "leave", *other).code == "NOT_ALLOWED"
    left = view(world).agencies[world.parties["Peacock"].id].left
    assert left is not None
    assert left.successor is None


def test_a_merged_agency_leads_to_its_successor_and_its_agreements_do_not(world: World):
    place = (
        "--partnership-dir",
        folder(world, "oversight"),
        "--was",
        "Peacock",
        "--now",
        "Harbour",
        "--until",
        "2028-04-01T00:00Z",
    )
    with served(world):
        plan = run(world, "agency", "merge", *place, "--dry-run")
        assert "agreements do NOT follow" in plan.stderr
        assert "no role at Harbour" in plan.stderr
        assert done(world, "agency", "merge", *place, "--yes")["posted"] == 2
    found = view(world)
    assert found.moved(world.parties["Peacock"].id, world.now) == world.parties["Harbour"].id
    assert found.moved(world.parties["Peacock"].id, world.now + 3 * 365 * DAY) is None


def test_a_leavers_key_ends_the_same_day_and_the_plan_says_who_is_left(world: World):
    place = ("--dir", folder(world, "Peacock"), "--person", "lead-2", "--reason", "left")
    with served(world):
        plan = run(world, "revoke", *place, "--dry-run")
        assert "leads then; the rule is two" in plan.stderr
        assert done(world, "revoke", *place, "--yes")["posted"] == 1
        rows = done(world, "role", "show", "--dir", folder(world, "IDVAS"))["keys"]
    mine = [row["state"] for row in rows if (row["name"], row["person"]) == ("Peacock", "lead-2")]
    assert mine == ["revoked"]


def test_the_last_officer_is_not_revoked(world: World):
    place = ("--dir", folder(world, "Peacock"), "--use", "ig", "--reason", "left", "--yes")
    with served(world):
        assert refused(world, "revoke", *place).code == "OFFICERS"


def test_a_roster_reminds_and_recertifying_ends_it(world: World):
    at = folder(world, "Peacock")

    def due() -> dict[str, list[str]]:
        import json

        result = run(world, "role", "roster", "--dir", at, "--json")
        assert isinstance(result.exception, SystemExit), (result.output, result.exception)
        return {
            row["person"]: row["due"]
            for row in json.loads(result.stdout.splitlines()[-1])["keys"]
            if row["use"] == "person"
        }

    with served(world):
        first = due()
        assert first["lead-4"] == ["not countersigned"]
        assert first["lead-2"] == []
        world.clock.advance(QUARTER)
        assert "not certified" in due()["lead-2"]
        done(world, "role", "recertify", "--dir", at, "--person", "lead-2", "--yes")
        again = due()
        assert again["lead-2"] == []
        assert "not certified" in again["author-1"]
        assert (
            refused(world, "role", "recertify", "--dir", at, "--person", "lead-9", "--yes").code
            == "UNKNOWN_KEY"
        )
