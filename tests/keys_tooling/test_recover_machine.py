"""The whole machine is gone, admin.fpk and agent.fpk with it: the next roots and an officer bring the agency back."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys_tooling import journal as journals
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from tests.keys_tooling.admin_place import done, made, refused
from tests.keys_tooling.killed_commands import agent_in_force, op_in_force
from tests.keys_tooling.policy_place import served, write_secret
from tests.keys_tooling.test_recover import checked, home, with_roots, write_roots
from tests.keys_tooling.test_recover_asking import lent
from tests.simulated_world import PASSPHRASE, World

YES = ("--demonstration-cost", "--yes")


@pytest.fixture
def burnt(tmp_path: Path) -> Iterator[World]:
    """Peacock's folder is gone; in its place is one with partnership.json, which others have too."""
    world = with_roots(made(tmp_path, "Peacock", "IDVAS"))
    shutil.rmtree(home(world))
    home(world).mkdir(mode=0o700)
    shutil.copy(world.folder / "IDVAS" / "partnership.json", home(world))
    with served(world):
        yield world


def op(world: World, *more: str | Path) -> tuple[str | Path, ...]:
    return ("recover", "op", "--dir", home(world), "--roots", world.folder / "next-roots.fpk", *YES, *more)


def agent(world: World, *more: str | Path) -> tuple[str | Path, ...]:
    return ("recover", "agent", "--dir", home(world), *lent(world), *YES, *more)


@pytest.mark.parametrize("by", ["name", "id"])
def test_the_agency_is_brought_back_by_its_next_roots_and_an_officer(burnt: World, by: str):
    named = "Peacock" if by == "name" else burnt.parties["Peacock"].id
    assert done(burnt, *op(burnt, *lent(burnt), "--agency", named))["applied"]
    op_in_force(burnt, 0)
    assert done(burnt, *agent(burnt))["applied"]
    agent_in_force(burnt, 0)
    found = checked(burnt)
    assert found["ok"], [one for one in found["checks"] if not one["ok"]]


def test_oversight_is_brought_back_too(tmp_path: Path):
    world = made(tmp_path, "Peacock")
    party, folder = world.parties["oversight"], world.folder / "oversight"
    roots = write_roots(world.folder / "next-roots.fpk", party.member.next_roots)
    officer = lock(party.officer.to_json(), party.officer.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
    write_secret(world.folder / "officer.fpk", officer)
    for name in ("admin.fpk", "agent.fpk"):
        (folder / name).unlink()
    asks = ("--dir", folder, "--officer", world.folder / "officer.fpk", *YES)
    with served(world):
        assert done(world, "recover", "op", *asks, "--roots", roots, "--agency", party.id)["applied"]
        assert done(world, "recover", "agent", *asks)["applied"]


def test_what_is_missing_is_said_with_the_way_on(burnt: World):
    refusal = refused(burnt, *op(burnt))
    assert refusal.code == "FILE"
    assert "--agency" in refusal.say
    assert "--officer" in refusal.say
    assert refused(burnt, *op(burnt, "--agency", "Peacock")).code == "FILE"
    assert refused(burnt, *op(burnt, *lent(burnt), "--agency", "Nobody")).code == "UNKNOWN_AGENCY"
    refusal = refused(burnt, *agent(burnt))
    assert (refusal.code, "recover op" in refusal.say) == ("FILE", True)
    assert not (home(burnt) / journals.NAME).exists()


def test_another_agencys_folder_is_not_taken_for_it(burnt: World):
    words = [burnt.folder / "IDVAS" if word == home(burnt) else word for word in op(burnt)]
    assert refused(burnt, *words, "--agency", "Peacock").code == "KEYFILE"


@pytest.mark.parametrize("again", ["typed again", "resumed"])
def test_broken_off_before_anything_is_published_it_goes_on(burnt: World, monkeypatch, again: str):
    async def away(_self: object, _request: object) -> None:
        raise Refusal("RELAY_AWAY")

    for words in (op(burnt, *lent(burnt), "--agency", "Peacock"), agent(burnt)):
        with monkeypatch.context() as broken:
            broken.setattr("agent.client.Relay.post_statements", away)
            assert refused(burnt, *words).code == "RELAY_AWAY"
        assert (home(burnt) / journals.NAME).exists()
        resume = ("resume", "--dir", home(burnt))
        if again == "resumed":
            assert refused(burnt, *resume).code in ("FILE", "UNAUTHENTICATED", "CLOCK")
        assert done(burnt, *(words if again == "typed again" else (*resume, *lent(burnt))))["applied"]
    op_in_force(burnt, 0)
    agent_in_force(burnt, 0)
