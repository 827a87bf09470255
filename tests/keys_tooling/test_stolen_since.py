"""Keys that end from an earlier second: those that stood then, also if they are over by now, and no newer ones (V11)."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys_tooling.emergency import chosen
from keys_tooling.revocation import staying, stood
from schemas.chain import Chain
from schemas.directory import Agency
from schemas.keys import LIFE, SigningKey, Use
from tests.keys_tooling.admin_place import done, made, run
from tests.keys_tooling.killed_commands import view
from tests.keys_tooling.policy_place import served
from tests.keys_tooling.test_recover import home, keys_of, with_roots
from tests.simulated_world import World

HOUR = 3600
LATER = SigningKey(bytes(range(32)))


def own(world: World) -> Agency:
    return view(world)[0].agencies[world.parties["Peacock"].id]


def typed(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def recover(world: World, *more: str) -> dict:
    words = ("--copied", "--demonstration-cost", "--yes", *more)
    return done(world, "recover", "agent", "--dir", home(world), *words)


def revoke(world: World, at: int, *more: str) -> dict:
    words = ("--use", "msg", "--reason", "compromised", "--since", typed(at), "--yes", *more)
    return done(world, "revoke", "--dir", home(world), *words)


def rotated(world: World) -> None:
    """Peacock's msg key has its next, and ends an hour later; the world's clock is an hour after that."""
    party, now = world.parties["Peacock"], world.now
    chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
    world.take(chain.add_key(Use.MSG, LATER.public, now, now + LIFE[Use.MSG], now))
    world.take(chain.revoke(party.member.agent.msg.kid, "rotated", now + HOUR, now))
    world.write_relay_folder()
    world.clock.advance(2 * HOUR)


def test_told_after_recover_the_theft_is_the_old_keys_and_the_new_one_stays(tmp_path: Path):
    world = with_roots(made(tmp_path, "Peacock"))
    old = keys_of(world).msg.kid
    world.clock.advance(HOUR)
    theft = int(world.clock())
    world.clock.advance(20 * 24 * HOUR)
    with served(world):
        recover(world)
        new = keys_of(world).msg.kid
        world.clock.advance(100)
        after = " ".join(revoke(world, theft)["plan"]["after"])
        found = own(world)
        assert found.in_other_hands(old) == theft
        assert found.keys[new].stands(int(world.clock()))
        assert f"msg key {new[:12]}… was published later" in after
        assert f"fenpost-keys revoke {new[:12]} --reason compromised" in after
        again = revoke(world, theft)["plan"]
        assert again["publishes"] == []
        assert new[:12] in " ".join(again["after"])


def test_recover_itself_is_told_when_the_keys_were_copied(tmp_path: Path):
    world = with_roots(made(tmp_path, "Peacock"))
    before = keys_of(world)
    world.clock.advance(HOUR)
    theft = int(world.clock())
    world.clock.advance(HOUR)
    with served(world):
        plan = recover(world, "--since", typed(theft))["plan"]
        found, now, after = own(world), int(world.clock()), keys_of(world)
        for use in ("msg", "auth", "consent", "witness", "renew"):
            assert found.in_other_hands(getattr(before, use).kid) == theft
            assert found.keys[getattr(after, use).kid].stands(now)
        assert "envelopes and receipts that it signed since then are refused" in " ".join(plan["affects"])
        world.clock.advance(HOUR)
        recover(world, "--since", typed(theft))
        # its hour was not the thief's: what it signed before is not in doubt
        assert own(world).in_other_hands(after.msg.kid) == int(world.clock())


@pytest.mark.parametrize(("words", "hours"), [((), -1), (("--copied",), 1)])
def test_recover_takes_only_a_moment_of_a_theft_that_is_past(
    tmp_path: Path, words: tuple[str, ...], hours: int
):
    world = with_roots(made(tmp_path, "Peacock"))
    since = ("--since", typed(int(world.clock()) + hours * HOUR))
    told = run(
        world, "recover", "agent", "--dir", home(world), *words, *since, "--demonstration-cost", "--yes"
    )
    assert told.exit_code == 2
    assert "--since goes with --copied" in told.output


def test_a_key_that_was_rotated_out_since_the_theft_is_ended_as_stolen_too(tmp_path: Path):
    world = made(tmp_path, "Peacock", people=rotated)
    old = keys_of(world).msg.kid
    theft = int(world.clock()) - 3 * HOUR // 2
    with served(world):
        revoke(world, theft)
        assert own(world).in_other_hands(old) == theft
        assert own(world).in_other_hands(LATER.kid) == theft


def test_two_people_end_it_too_by_its_use_or_its_id(tmp_path: Path):
    world = made(tmp_path, "Peacock", people=rotated)
    old, now = keys_of(world).msg.kid, int(world.clock())
    theft = now - 3 * HOUR // 2
    with served(world):
        found = own(world)
    assert {key.kid for key in chosen(found, (), ("msg",), theft, now)} == {old, LATER.kid}
    assert [key.kid for key in chosen(found, (old[:12],), (), theft, now)] == [old]
    assert [key.kid for key in chosen(found, (), ("msg",), now, now)] == [LATER.kid]
    assert {old, LATER.kid} < {key.kid for key in chosen(found, (), (), theft, now)}


def test_what_a_stolen_renew_key_published_later_is_meant_and_what_ends_now_is_whatever_stands(
    tmp_path: Path,
):
    world = made(tmp_path, "Peacock")
    party, now = world.parties["Peacock"], world.now
    agent, theft = party.member.agent, now + HOUR
    chain = Chain(party.id, agent.renew, party.admin.seq, party.admin.head)
    at = now + 2 * HOUR
    world.take(chain.add_key(Use.MSG, LATER.public, at, at + LIFE[Use.MSG], at))
    found, today = world.directory.agencies[party.id], now + 3 * HOUR

    def kids(since: int) -> set[str]:
        return {key.kid for key in stood(found, since, today) if key.use is Use.MSG}

    assert kids(theft) == {agent.msg.kid}
    assert len(staying(found, (), "msg", None, theft, today)) == 1
    assert kids(today) == {agent.msg.kid, LATER.kid}
    admin = Chain(party.id, party.admin.op, found.seq, found.head)
    world.take(admin.revoke(agent.renew.kid, "compromised", today, today))
    found = world.directory.agencies[party.id]
    assert kids(theft) == {agent.msg.kid, LATER.kid}
    assert staying(found, (), "msg", None, theft, today) == ()


def test_from_before_the_agency_was_founded_its_first_keys_are_meant(tmp_path: Path):
    world = made(tmp_path, "Peacock")
    party = world.parties["Peacock"]
    found = world.directory.agencies[party.id]
    kids = {key.kid for key in stood(found, world.now - 24 * HOUR, world.now + HOUR) if key.use is Use.MSG}
    assert kids == {party.member.agent.msg.kid}
