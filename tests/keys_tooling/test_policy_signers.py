"""Who signs policies: named after her number was read aloud, counted a day later, ended when she leaves."""

import json
from pathlib import Path

import pytest

from keys_tooling.policy_signers import THINKING
from schemas.errors import Refusal
from schemas.policing import KEY_DELAY
from tests.keys_tooling.policy_place import done, made, put, refused, run, served, told
from tests.policy_world import next_policy, signed, text_of
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path)


def third(world: World) -> str:
    """A third signer's key file and card; her card's number."""
    out = world.folder / "P" / "policy-3.fpk"
    words = ("signer", "init", "--person", "policy-3", "--out", out, "--demonstration-cost")
    return str(json.loads(done(world, *words, "--json").stdout.splitlines()[-1])["safety_number"])


def card(world: World) -> Path:
    return world.folder / "P" / "policy-3.json"


def name(world: World, number: str) -> dict:
    return told(world, "signer", "name", card(world), "--partnership-dir", "P", "--fingerprint", number)


def test_a_new_signer_signs_a_day_after_she_was_named(world: World):
    number = third(world)
    assert (world.folder / "P" / "policy-3.fpk").stat().st_mode & 0o777 == 0o600
    with served(world):
        named = name(world, number)
        assert (named["person"], named["nbf"], named["was_named"]) == (
            "policy-3",
            world.now + KEY_DELAY + THINKING,
            False,
        )
        assert name(world, number)["was_named"] is True
        put(world, "draft.json", signed(text_of(world, 2, world.now + 2 * KEY_DELAY)))
        done(world, "sign", "draft.json", "--key", "policy-1.fpk", "--out", "once.json")
        done(world, "sign", "once.json", "--key", "policy-3.fpk", "--out", "signed.json")
        assert refused(world, "apply", "signed.json", "--partnership-dir", "P", "--yes") == "STALE_KEY"
        world.clock.advance(KEY_DELAY + THINKING)
        done(world, "apply", "signed.json", "--partnership-dir", "P", "--yes")
        assert told(world, "show", "--dir", "P")["history"][1]["signers"] == ["policy-1", "policy-3"]


def test_a_signer_who_left_signs_nothing_more(world: World):
    with served(world):
        listed = told(world, "signer", "list", "--dir", "P")["signers"]
        assert [one["person"] for one in listed] == ["policy-1", "policy-2"]
        end = ("signer", "end", "--key-id", listed[1]["kid"], "--partnership-dir", "P")
        assert told(world, *end)["was_ended"] is False
        assert told(world, *end)["was_ended"] is True
        put(world, "signed.json", next_policy(world))
        assert refused(world, "check", "signed.json", "--dir", "P") == "REVOKED_KEY"
        assert refused(world, "apply", "signed.json", "--partnership-dir", "P", "--yes") == "REVOKED_KEY"
        assert "ended 2026-11-22 00:00 UTC" in done(world, "signer", "list", "--dir", "P").output


def test_another_number_names_nobody(world: World):
    third(world)
    with served(world):
        words = ("signer", "name", card(world), "--partnership-dir", "P", "--fingerprint", "00000 " * 6)
        assert refused(world, *words) == "FINGERPRINT"
        assert len(told(world, "signer", "list", "--dir", "P")["signers"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"person": "policy-1"},
        {"person": "ig"},
        {"key": "A" * 43},
        {"number": "00000 00000 00000 00000 00000 00000"},
        {"v": 2},
        {"more": 1},
    ],
)
def test_a_card_that_was_changed_is_refused(world: World, change: dict):
    number = third(world)
    card(world).write_text(json.dumps({**json.loads(card(world).read_text()), **change}))
    words = ("signer", "name", card(world), "--partnership-dir", "P", "--fingerprint", number)
    assert refused(world, *words) == "KEY"


def test_a_key_that_no_signer_has_is_not_ended(world: World):
    with served(world):
        other = world.parties["oversight"].member.agent.msg.kid
        assert refused(world, "signer", "end", "--key-id", other, "--partnership-dir", "P") == "UNKNOWN_KEY"


def test_a_key_id_may_begin_with_a_hyphen(world: World):
    with served(world):
        words = ("signer", "end", "--key-id", "-" + "A" * 42, "--partnership-dir", "P")
        assert refused(world, *words) == "UNKNOWN_KEY"


def test_a_key_file_is_never_overwritten(world: World):
    third(world)
    before = (world.folder / "P" / "policy-3.fpk").read_bytes()
    out = world.folder / "P" / "policy-3.fpk"
    words = ("signer", "init", "--person", "policy-3", "--out", out, "--demonstration-cost")
    assert refused(world, *words) == "EXISTS"
    assert out.read_bytes() == before


@pytest.mark.parametrize("person", ["Anna", "policy-0", "policy-", "lead-1", "policy-1 "])
def test_a_signer_is_called_by_her_place_and_not_by_her_name(world: World, person: str):
    out = world.folder / "P" / "policy-9.fpk"
    result = run(world, "signer", "init", "--person", person, "--out", out, "--demonstration-cost")
    assert isinstance(result.exception, Refusal)
    assert result.exception.code == "NAME"
    assert not out.exists()
