"""`fenpost-keys recover` against a real relay: the operational key and the agent's keys, lost or stolen."""

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from keys_tooling.ceremony import LIFE
from schemas.canonical import b64
from schemas.chain import Chain
from schemas.keyfile import QUICK, lock, unlock
from schemas.keyring import AdminKeys, AgentKeys
from schemas.keys import SigningKey, Use
from tests.keys_tooling.admin_place import done, made, refused, run
from tests.keys_tooling.policy_place import served, write_secret
from tests.simulated_world import PASSPHRASE, World

LENT = b"the words of an officer"


def write_roots(path: Path, roots: tuple[SigningKey, ...]) -> Path:
    held = {"roots": [b64(root.seed()) for root in roots]}
    write_secret(path, lock(held, "roots", PASSPHRASE, QUICK, secrets.token_bytes))
    return path


def with_roots(world: World) -> World:
    party = world.parties["Peacock"]
    write_roots(world.folder / "next-roots.fpk", party.member.next_roots)
    write_roots(world.folder / "roots.fpk", party.member.roots)
    officer = lock(party.officer.to_json(), party.officer.HOLDS, LENT, QUICK, secrets.token_bytes)
    write_secret(world.folder / "officer.fpk", officer)
    write_secret(world.folder / "lent", LENT + b"\n")
    return world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    found = with_roots(made(tmp_path, "Peacock"))
    with served(found):
        yield found


@pytest.fixture
def stolen(tmp_path: Path) -> Iterator[World]:
    """A thief with Peacock's operational key has published a msg key and revoked the agency's witness key."""
    found = with_roots(made(tmp_path, "Peacock"))
    admin, now = found.parties["Peacock"].admin, found.now
    chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
    found.take(chain.add_key(Use.MSG, THIEF.public, now, now + LIFE[Use.MSG], now))
    found.take(chain.revoke(found.parties["Peacock"].member.agent.witness.kid, "lost", now, now))
    found.write_relay_folder()
    with served(found):
        yield found


THIEF = SigningKey(bytes(range(32)))


def home(world: World) -> Path:
    return world.folder / "Peacock"


def op(world: World, *more: str | Path, roots: str = "next-roots.fpk") -> list[str | Path]:
    return [
        "recover",
        "op",
        "--dir",
        home(world),
        "--roots",
        world.folder / roots,
        "--demonstration-cost",
        *more,
    ]


def checked(world: World) -> dict:
    result = run(world, "check", "--dir", home(world), "--json")
    return json.loads(result.stdout.splitlines()[-1])


def said(found: dict, name: str) -> list[dict]:
    return [one for one in found["checks"] if one["name"] == name]


# --- the operational key


def test_a_lost_operational_key_is_replaced_by_the_roots_word(world: World):
    (home(world) / "admin.fpk").unlink()
    assert done(world, *op(world, "--yes"))["applied"]
    found = checked(world)
    assert [one["ok"] for one in said(found, "op")] == [True]
    assert [one["ok"] for one in said(found, "own chain")] == [True]
    after = [path.name for path in home(world).glob("next-roots-*.fpk")]
    assert len(after) == 1


def test_what_comes_next_is_signed_by_the_new_key_and_it_can_be_done_again_with_the_new_roots(world: World):
    done(world, *op(world, "--yes"))
    (after,) = home(world).glob("next-roots-*.fpk")
    assert len(unlock(after.read_bytes(), "roots", PASSPHRASE)["roots"]) == 3
    (home(world) / "admin.fpk").unlink()
    again = ["recover", "op", "--dir", home(world), "--roots", after, "--demonstration-cost", "--yes"]
    assert done(world, *again)["applied"]
    assert refused(world, *op(world, "--yes")).code == "ROOT_UNKNOWN"


def test_a_dry_run_changes_nothing_and_names_the_latest_statements(stolen: World):
    before = sorted(path.name for path in home(stolen).iterdir())
    result = run(
        stolen, *op(stolen, "--void-from", str(stolen.parties["Peacock"].admin.seq + 1), "--dry-run")
    )
    assert result.exit_code == 0
    assert "(add-key msg): undone" in result.output
    told = " ".join(result.output.split())
    assert re.search(r"\(revoke [a-z]+, [a-z]+\): undone, that key counts again\. If it was lost", told)
    assert "(add-key prekey): stands" in result.output
    assert sorted(path.name for path in home(stolen).iterdir() if path.name != "directory.note") == before


def test_what_a_thief_published_is_undone_and_what_she_revoked_stands_again(stolen: World):
    assert THIEF.kid in " ".join(row["kid"] for row in checked(stolen)["keys"])
    done(stolen, *op(stolen, "--void-from", str(stolen.parties["Peacock"].admin.seq + 1), "--yes"))
    found = checked(stolen)
    kids = {row["kid"] for row in found["keys"]}
    assert THIEF.kid not in kids
    assert stolen.parties["Peacock"].member.agent.witness.kid in kids
    assert found["ok"], [one for one in found["checks"] if not one["ok"]]


def test_the_stolen_operational_key_publishes_nothing_any_more(world: World):
    old = unlock((home(world) / "admin.fpk").read_bytes(), "admin", PASSPHRASE)
    done(world, *op(world, "--yes"))
    for path in home(world).glob("*admin*"):
        path.unlink()
    held = AdminKeys.from_json(old)
    write_secret(
        home(world) / "admin.fpk", lock(held.to_json(), "admin", PASSPHRASE, QUICK, secrets.token_bytes)
    )
    result = run(world, "rotate", "--dir", home(world), "--use", "renew", "--yes", "--demonstration-cost")
    assert getattr(result.exception, "code", "") == "OP_KEY"
    (row,) = said(checked(world), "op")
    assert not row["ok"]
    assert "not in force" in row["say"]


@pytest.mark.parametrize(
    ("roots", "code", "words"),
    [
        (lambda world: world.folder / "roots.fpk", "ROOT_UNKNOWN", "Bring next-roots.fpk"),
        (
            lambda world: write_roots(world.folder / "one.fpk", world.parties["Peacock"].member.next_roots[:1]),
            "ROOT_THRESHOLD", "These are 1 roots that may speak, and 2 must",
        ),
        (
            lambda world: write_roots(world.folder / "twice.fpk", world.parties["Peacock"].member.next_roots[:1] * 2),
            "ROOT_THRESHOLD", "These are 1 roots that may speak, and 2 must",
        ),
        (
            lambda world: write_roots(world.folder / "other.fpk", world.parties["oversight"].member.next_roots),
            "ROOT_UNKNOWN", "of this agency",
        ),
    ],
    ids=["spent", "below the threshold", "one twice", "another agency's"],
)  # fmt: skip
def test_wrong_roots_are_refused_in_words(world: World, roots, code: str, words: str):
    refusal = refused(
        world, "recover", "op", "--dir", home(world), "--roots", roots(world), "--demonstration-cost", "--yes"
    )
    assert refusal.code == code
    assert words in refusal.say


def test_two_of_three_roots_are_enough(world: World):
    write_roots(world.folder / "two.fpk", world.parties["Peacock"].member.next_roots[1:])
    assert done(world, *op(world, "--yes", roots="two.fpk"))["applied"]


def test_roots_may_come_from_files_with_passphrases_of_their_own(world: World):
    one, two, _ = world.parties["Peacock"].member.next_roots
    for name, root, words in (("a", one, b"the words of a safe"), ("b", two, b"the words of another")):
        held = {"roots": [b64(root.seed())]}
        write_secret(world.folder / f"{name}.fpk", lock(held, "roots", words, QUICK, secrets.token_bytes))
        write_secret(world.folder / f"{name}.pass", words + b"\n")
    words = [word for name in "ab" for word in ("--roots", world.folder / f"{name}.fpk")]
    words += [word for name in "ab" for word in ("--roots-passphrase-file", world.folder / f"{name}.pass")]
    assert done(world, "recover", "op", "--dir", home(world), *words, "--demonstration-cost", "--yes")[
        "applied"
    ]


# --- the agent


def agent(world: World, *more: str | Path) -> list[str | Path]:
    words = ["recover", "agent", "--dir", home(world), "--officer", world.folder / "officer.fpk"]
    return [*words, "--officer-passphrase-file", world.folder / "lent", "--demonstration-cost", *more]


def test_lost_running_keys_end_and_new_ones_stand(world: World):
    old = AgentKeys.from_json(unlock((home(world) / "agent.fpk").read_bytes(), "agent", PASSPHRASE))
    (home(world) / "agent.fpk").unlink()
    plan = done(world, *agent(world, "--yes"))["plan"]
    assert "can be opened by nobody" in " ".join(plan["affects"])
    new = AgentKeys.from_json(unlock((home(world) / "agent.fpk").read_bytes(), "agent", PASSPHRASE))
    found = checked(world)
    kids = {row["kid"] for row in found["keys"]}
    assert {new.msg.kid, new.auth.kid, new.renew.kid, *(one.key.kid for one in new.prekeys)} <= kids
    assert not {old.msg.kid, old.auth.kid, old.renew.kid, *(one.key.kid for one in old.prekeys)} & kids
    assert found["ok"], [one for one in found["checks"] if not one["ok"]]


def test_killed_between_its_files_and_its_statements_it_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    from keys_tooling import applying

    (home(world) / "agent.fpk").unlink()
    posting = applying.post

    async def dies(*_words: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(applying, "post", dies)
    assert run(world, *agent(world, "--yes")).exit_code != 0
    assert (home(world) / "unfinished.json").exists()
    monkeypatch.setattr(applying, "post", posting)
    assert done(world, *agent(world, "--yes"))["applied"]
    assert not (home(world) / "unfinished.json").exists()
    assert (home(world) / "agent.fpk").exists()


# --- copied, not lost


def keys_of(world: World) -> AgentKeys:
    return AgentKeys.from_json(unlock((home(world) / "agent.fpk").read_bytes(), "agent", PASSPHRASE))


SHUT_OUT = ("UNAUTHENTICATED", "CLOCK")
"""What a client says of a 401: the second where the answer's Date is far from this world's clock."""
RUNNING = (Use.MSG, Use.AUTH, Use.CONSENT, Use.WITNESS, Use.RENEW, Use.PREKEY)


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[World]:
    """Somebody has a copy of Peacock's folder, and its running keys have ended; one ends only tomorrow."""
    found = with_roots(made(tmp_path, "Peacock"))
    officer = found.parties["oversight"].officer
    sealed = lock(officer.to_json(), officer.HOLDS, LENT, QUICK, secrets.token_bytes)
    write_secret(found.folder / "oversight-officer.fpk", sealed)
    admin, now = found.parties["Peacock"].admin, found.now
    chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
    for key in list(found.directory.agencies[admin.agency].keys.values()):
        if key.use in RUNNING:
            later = 86_400 if key.use is Use.CONSENT else 0
            found.take(chain.revoke(key.kid, "compromised", now + later, now))
    found.write_relay_folder()
    with served(found):
        yield found


def test_copied_running_keys_end_and_what_waits_can_still_be_opened(ended: World):
    before = keys_of(ended)
    assert refused(ended, "recover", "agent", "--dir", home(ended), "--copied", "--yes").code in SHUT_OUT
    plan = done(ended, *agent(ended, "--copied", "--yes"))["plan"]
    assert "what waits at the relay is still opened here" in " ".join(plan["affects"])
    after = keys_of(ended)
    assert (after.store, after.subject) == (before.store, before.subject)
    assert {one.key.kid for one in before.prekeys} < {one.key.kid for one in after.prekeys}
    for name in ("msg", "auth", "consent", "witness", "renew"):
        assert getattr(after, name).kid != getattr(before, name).kid
    kids = {row["kid"] for row in checked(ended)["keys"]}
    assert after.msg.kid in kids
    assert before.consent.kid not in kids  # it would have stood until tomorrow


def test_an_officer_brings_the_roots_word_where_the_agents_keys_have_ended(ended: World):
    assert refused(ended, *op(ended, "--yes")).code in SHUT_OUT
    lent = ["--officer", ended.folder / "officer.fpk", "--officer-passphrase-file", ended.folder / "lent"]
    assert done(ended, *op(ended, *lent, "--yes"))["applied"]


def test_oversights_officer_brings_it_too_if_a_thief_has_ended_the_agencys_own(ended: World):
    lent = [
        "--officer",
        ended.folder / "oversight-officer.fpk",
        "--officer-passphrase-file",
        ended.folder / "lent",
    ]
    assert done(ended, *op(ended, *lent, "--yes"))["applied"]


def test_a_copied_agent_is_recovered_with_its_own_request_key_which_ends_with_it(world: World):
    copied = ("recover", "agent", "--dir", home(world), "--copied", "--demonstration-cost", "--yes")
    said = done(world, *copied)
    assert (said["applied"], said["posted"]) == (True, len(said["plan"]["publishes"]))
    assert done(world, "resume", "--dir", home(world))["plan"] is None
    assert done(world, "role", "show", "--dir", home(world))["keys"] == []
