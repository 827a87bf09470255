"""Keys that end while they are what asks the relay: no command shuts itself out, and typed again each ends well."""

import secrets
import time
from dataclasses import replace
from pathlib import Path

import pytest

from keys_tooling import journal as journals
from keys_tooling.ceremony import LIFE
from schemas import api
from schemas.chain import Chain
from schemas.keys import SigningKey, Use
from tests.keys_tooling.admin_place import done, made, refused, run, write_folder
from tests.keys_tooling.killed_commands import agent_in_force, view
from tests.keys_tooling.policy_place import served, write_secret
from tests.keys_tooling.test_recover import home, with_roots
from tests.simulated_world import PASSPHRASE, World

COPIED = ("--copied", "--demonstration-cost", "--yes")


def lent(world: World) -> tuple[str | Path, ...]:
    return ("--officer", world.folder / "officer.fpk", "--officer-passphrase-file", world.folder / "lent")


def end(world: World, *words: str) -> tuple[str | Path, ...]:
    return ("revoke", "--dir", home(world), *words, "--reason", "compromised", "--yes")


def standing(world: World, use: Use) -> list[str]:
    keys = view(world)[0].agencies[world.parties["Peacock"].id].keys.values()
    return [key.kid for key in keys if key.use == use and key.revoked is None]


def test_killed_once_all_is_published_it_is_typed_again_without_an_officer(tmp_path: Path, monkeypatch):
    world = with_roots(made(tmp_path, "Peacock"))
    words = ("recover", "agent", "--dir", home(world), *COPIED)

    def dies(*_words: object) -> None:
        raise KeyboardInterrupt

    with served(world):
        with monkeypatch.context() as killed:
            killed.setattr(journals, "finish", dies)
            assert run(world, *words).exit_code != 0
        assert (home(world) / journals.NAME).exists()
        assert done(world, *words)["posted"] == 0
        assert not (home(world) / journals.NAME).exists()
        agent_in_force(world, 0)


@pytest.mark.parametrize("piece", [1, 5])
def test_a_plan_in_several_pieces_ends_its_askers_in_different_ones(tmp_path: Path, monkeypatch, piece: int):
    world = with_roots(made(tmp_path, "Peacock", people=request_key_ends_first))
    monkeypatch.setattr(api, "BATCH_STATEMENTS", piece)
    with served(world):
        assert done(world, "recover", "agent", "--dir", home(world), *COPIED)["applied"]
        agent_in_force(world, 0)


def request_key_ends_first(world: World) -> None:
    """Another renew key, whose id comes after the request key's: of one age, keys end in the order of their ids."""
    party, now = world.parties["Peacock"], world.now
    agent, renew = party.member.agent, party.member.agent.renew
    while renew.kid < agent.auth.kid or renew is agent.renew:
        renew = SigningKey(secrets.token_bytes(32))
    nbf = world.directory.agencies[party.id].keys[agent.auth.kid].nbf
    chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
    world.take(chain.add_key(Use.RENEW, renew.public, nbf, nbf + LIFE[Use.RENEW], now))
    world.write_relay_folder()
    party.member = replace(party.member, agent=replace(agent, renew=renew))


def test_the_request_key_ends_and_the_renew_key_sees_it_through(tmp_path: Path):
    world = with_roots(made(tmp_path, "Peacock"))
    with served(world):
        assert done(world, *end(world, "--use", "auth"))["posted"] == 1
        assert not (home(world) / journals.NAME).exists()


@pytest.mark.parametrize("first", [("--use", "auth"), ()], ids=["one after the other", "both at once"])
def test_the_last_key_that_asks_ends_only_where_an_officer_asks_for_it(
    tmp_path: Path, first: tuple[str, ...]
):
    world = with_roots(made(tmp_path, "Peacock"))
    agent = world.parties["Peacock"].member.agent
    words = ("--use", "renew") if first else (agent.auth.kid, agent.renew.kid)
    with served(world):
        if first:
            done(world, *end(world, *first))
        for extra in ((), ("--dry-run",)):
            refusal = refused(world, *end(world, *words), *extra)
            assert refusal.code == "UNAUTHENTICATED"
            assert "Add --officer" in refusal.say
        assert not (home(world) / journals.NAME).exists()
        assert standing(world, Use.RENEW)
        assert done(world, *end(world, *words), *lent(world))["applied"]
        assert not standing(world, Use.RENEW)
        assert not standing(world, Use.AUTH)


def test_a_renew_key_that_takes_the_request_key_along_is_seen_before_it_ends(tmp_path: Path):
    """A compromised renew key ends what it added since: here the very request key of the folder."""

    def renewed(world: World) -> None:
        party, now = world.parties["Peacock"], world.now
        auth = SigningKey(secrets.token_bytes(32))
        chain = Chain(party.id, party.member.agent.renew, party.admin.seq, party.admin.head)
        world.take(chain.add_key(Use.AUTH, auth.public, now, now + LIFE[Use.AUTH], now))
        world.take(chain.revoke(party.member.agent.auth.kid, "rotated", now, now))
        world.write_relay_folder()
        party.member = replace(party.member, agent=replace(party.member.agent, auth=auth))

    world = with_roots(made(tmp_path, "Peacock", people=renewed))
    words = end(world, "--use", "renew", "--since", "2026-11-21T23:00Z")
    with served(world):
        refusal = refused(world, *words)
        assert (refusal.code, "Add --officer" in refusal.say) == ("UNAUTHENTICATED", True)
        assert done(world, *words, *lent(world))["applied"]
        assert not standing(world, Use.AUTH)


def test_where_the_keys_are_over_the_officer_is_asked_for(tmp_path: Path):
    # The client tells a key that is over from a clock that is off by the answer's Date: here the clock is right.
    world = World.found(tmp_path, "Peacock", now=time.time())
    for key in list(world.directory.agencies[world.parties["Peacock"].id].keys.values()):
        if key.use in (Use.AUTH, Use.RENEW):
            admin = world.parties["Peacock"].admin
            agency = world.directory.agencies[admin.agency]
            chain = Chain(admin.agency, admin.op, agency.seq, agency.head)
            world.take(chain.revoke(key.kid, "compromised", world.now, world.now))
    world.write_relay_folder()
    write_folder(world, "Peacock")
    write_secret(tmp_path / "pass", PASSPHRASE + b"\n")
    with_roots(world)
    roots = ("--roots", world.folder / "next-roots.fpk", "--demonstration-cost", "--yes")
    with served(world):
        for words in (
            ("recover", "agent", "--dir", home(world), *COPIED),
            ("recover", "op", "--dir", home(world), *roots),
            end(world, "--use", "witness"),
        ):
            refusal = refused(world, *words)
            assert (refusal.code, "--officer" in refusal.say) == ("UNAUTHENTICATED", True), words
            assert done(world, *words, *lent(world), "--dry-run")["plan"]["publishes"]


def test_an_agent_file_that_is_gone_is_said_with_the_way_out(tmp_path: Path):
    world = with_roots(made(tmp_path, "Peacock"))
    (home(world) / "agent.fpk").unlink()
    for words in (("recover", "agent", "--dir", home(world), *COPIED[1:]), end(world, "--use", "witness")):
        refusal = refused(world, *words)
        assert (refusal.code, "--officer" in refusal.say) == ("FILE", True)


def test_an_agency_whose_request_key_is_over_finishes_leaving(tmp_path: Path):
    world = made(tmp_path, "Peacock")
    world.clock.advance(40 * 24 * 3600)  # its agent was off, and only the renew key asks
    with served(world):
        done(world, "agency", "leave", "--dir", home(world), "--stops", "now", "--yes")
        assert done(world, "agency", "leave", "--dir", home(world), "--finish", "--yes")["applied"]
        assert not (home(world) / journals.NAME).exists()
        assert not standing(world, Use.RENEW)
