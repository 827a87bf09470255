"""Changes of keys with a real relay: each is a plan first, and killed anywhere it is finished by running it again."""

import errno
import json
import os
import secrets
import stat
from pathlib import Path

import pytest

from keys_tooling import journal as journals
from keys_tooling import own_side
from keys_tooling.plan import NewFile, Plan, Said
from schemas.errors import Refusal
from schemas.keyfile import unlock
from schemas.keyring import AdminKeys
from schemas.keys import Use
from tests.keys_tooling.admin_place import done, made, refused, run
from tests.keys_tooling.policy_place import served
from tests.simulated_world import PASSPHRASE, World

ROTATE = ("--use", "op", "--demonstration-cost", "--yes")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return made(tmp_path)


def held(world: World, name: str = "Peacock") -> AdminKeys:
    data = (world.folder / name / "admin.fpk").read_bytes()
    return AdminKeys.from_json(unlock(data, AdminKeys.HOLDS, PASSPHRASE))


def names(world: World, name: str = "Peacock") -> set[str]:
    return {path.name for path in (world.folder / name).iterdir()}


def keys_of(world: World, use: str, name: str = "Peacock") -> list[str]:
    agency = world.directory.agencies[world.parties[name].id]
    return [key.kid for key in agency.keys.values() if key.use == use]


def test_a_dry_run_says_what_will_be_published_and_leaves_no_trace(world: World):
    before = names(world)
    with served(world):
        said = done(world, "rotate", "--dir", world.folder / "Peacock", *ROTATE, "--dry-run")
        again = done(world, "rotate", "--dir", world.folder / "Peacock", *ROTATE, "--dry-run")
    assert [one["op"] for one in said["plan"]["publishes"]] == ["rotate-op"]
    assert said["applied"] is False
    assert said["plan"]["publishes"] != again["plan"]["publishes"]
    assert names(world) - before == {own_side.SEEN}


def test_without_a_terminal_nothing_is_done_unless_yes_is_said(world: World):
    with served(world):
        result = run(
            world, "rotate", "--dir", world.folder / "Peacock", "--use", "op", "--demonstration-cost"
        )
    assert result.exit_code == 2
    assert "This will happen:" in result.output
    assert not (world.folder / "Peacock" / journals.NAME).exists()


def test_the_operational_key_is_exchanged_and_the_old_one_signs_nothing_more(world: World):
    old, folder = held(world), world.folder / "Peacock"
    copied = world.folder / "thief"
    copied.mkdir(mode=0o700)
    for name in ("partnership.json", "admin.fpk", "agent.fpk"):
        (copied / name).write_bytes((folder / name).read_bytes())
        (copied / name).chmod(0o600)
    with served(world):
        assert done(world, "rotate", "--dir", folder, *ROTATE)["posted"] == 1
        assert held(world).op.kid != old.op.kid
        assert {path.name for path in folder.glob("*.fpk")} >= {"admin.fpk", "agent.fpk"}
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.glob("*.fpk"))
        revoke = ("--use", "witness", "--reason", "rotated", "--yes")
        assert refused(world, "revoke", "--dir", copied, *revoke).code == "OP_KEY"
        assert done(world, "revoke", "--dir", folder, *revoke)["posted"] == 1
        assert not (folder / journals.NAME).exists()


def test_a_second_rotation_is_a_new_one(world: World):
    folder = world.folder / "Peacock"
    with served(world):
        done(world, "rotate", "--dir", folder, *ROTATE)
        first = held(world).op.kid
        world.clock.advance(5)
        done(world, "rotate", "--dir", folder, *ROTATE)
    assert held(world).op.kid != first


def test_another_command_is_told_which_one_waits_and_resume_finishes_it(world: World, monkeypatch):
    folder = world.folder / "Peacock"
    revoke = ("revoke", "--dir", folder, "--use", "witness", "--reason", "rotated", "--yes")
    with served(world):
        with monkeypatch.context() as away:
            away.setattr("agent.client.Relay.post_statements", _away)
            assert refused(world, "rotate", "--dir", folder, *ROTATE).code == "RELAY_AWAY"
        refusal = refused(world, *revoke)
        assert (refusal.code, "'rotate'" in refusal.say) == ("UNFINISHED", True)
        assert stat.S_IMODE((folder / journals.NAME).stat().st_mode) == 0o600
        assert held(world).op.seed().hex() not in (folder / journals.NAME).read_text()
        assert done(world, "resume", "--dir", folder)["posted"] == 1
        assert done(world, *revoke)["posted"] == 1
        assert done(world, "resume", "--dir", folder)["plan"] is None


def test_revoked_again_it_says_that_nothing_has_to_be_changed(world: World):
    revoke = ("revoke", "--dir", world.folder / "Peacock", "--reason", "rotated", "--yes", "--use")
    with served(world):
        assert done(world, *revoke, "witness")["posted"] == 1
        again = done(world, *revoke, "witness")
        assert (again["applied"], again["plan"]["publishes"]) == (False, [])
        assert refused(world, *revoke, "person").code == "UNKNOWN_KEY"


async def _away(_self: object, _request: object) -> None:
    raise Refusal("RELAY_AWAY")


def test_a_chain_that_moved_meanwhile_is_read_again_and_the_rest_is_built_on_it(world: World, monkeypatch):
    """Another copy of the folder writes between our reading and our posting."""
    from agent.client import Relay

    folder, other, real = world.folder / "Peacock", world.folder / "other", Relay.post_statements
    other.mkdir(mode=0o700)
    for name in ("partnership.json", "admin.fpk", "agent.fpk"):
        (other / name).write_bytes((folder / name).read_bytes())
        (other / name).chmod(0o600)
    moved = []

    async def late(self: Relay, request: object) -> object:
        if not moved:
            moved.append(1)
            side = own_side.OwnSide.open(other, PASSPHRASE)
            reading = await own_side.read_own(self, side, _Now(world))
            chain = own_side.own_chain(reading, side.admin)
            await world.post_statements_of(
                self, chain.revoke(keys_of(world, Use.CONSENT)[0], "rotated", world.now, world.now)
            )
        return await real(self, request)

    monkeypatch.setattr(Relay, "post_statements", late)
    monkeypatch.setattr(World, "post_statements_of", _post(real), raising=False)
    with served(world):
        said = done(world, "revoke", "--dir", folder, "--use", "witness", "--reason", "rotated", "--yes")
    assert said["posted"] == 1


class _Now:
    def __init__(self, world: World) -> None:
        self.now = lambda: world.now


def _post(real: object) -> object:
    from schemas import api

    async def post(_world: World, line: object, signed: object) -> None:
        item = api.StatementIn(kind="directory", signed=api.SignedJson(**signed.to_json()))
        await real(line, api.StatementsRequest(statements=(item,)))

    return post


# --- the journal itself


def plan(*says: Said) -> Plan:
    return Plan("rotate", (), "ag1", says)


@pytest.mark.parametrize("spoil", [b"", b"{}", b"[]", b"\xff", b'{"v":1}'])
def test_a_spoiled_journal_is_refused_and_stays(tmp_path: Path, spoil: bytes):
    journals.begin(tmp_path, plan(Said("revoke", {"kid": "k"})), 3)
    (tmp_path / journals.NAME).write_bytes(spoil)
    with pytest.raises(Refusal, match="FILE"):
        journals.unfinished(tmp_path)
    assert (tmp_path / journals.NAME).read_bytes() == spoil


def test_what_was_begun_and_never_ready_is_taken_back(tmp_path: Path):
    whole = Plan("rotate", (), "ag1", (Said("x", {}),), (NewFile("next.fpk", "admin.fpk", b"data"),))
    journals.begin(tmp_path, whole, 3)
    value = json.loads((tmp_path / journals.NAME).read_text())
    (tmp_path / journals.NAME).write_text(json.dumps({**value, "stage": "begun"}))
    (tmp_path / "admin.fpk").write_bytes(b"the old one")
    assert journals.unfinished(tmp_path) is None
    assert {path.name for path in tmp_path.iterdir()} == {"admin.fpk"}


def test_finishing_keeps_the_old_key_file_beside_the_new_one(tmp_path: Path):
    (tmp_path / "admin.fpk").write_bytes(b"old")
    whole = Plan("rotate", (), "ag1", (), (NewFile("next.fpk", "admin.fpk", b"new"),))
    journal = journals.begin(tmp_path, whole, 0)
    os.link(tmp_path / "admin.fpk", tmp_path / "old-next.fpk")  # killed between the two
    journals.finish(tmp_path, journal)
    journals.finish(tmp_path, journal)
    assert (tmp_path / "admin.fpk").read_bytes() == b"new"
    assert (tmp_path / "old-next.fpk").read_bytes() == b"old"


@pytest.mark.parametrize("at", range(6))
def test_a_full_disk_while_a_change_begins_leaves_nothing(tmp_path: Path, monkeypatch, at: int):
    calls = iter(range(1000))
    real = os.fsync

    def full(handle: int) -> None:
        if next(calls) == at:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    whole = Plan("rotate", (), "ag1", (), (NewFile("next.fpk", "admin.fpk", secrets.token_bytes(9)),))
    with pytest.raises((Refusal, OSError), match=r"DISK_FULL|No space"):
        journals.begin(tmp_path, whole, 0)
    monkeypatch.undo()
    assert journals.unfinished(tmp_path) is None
    assert not list(tmp_path.glob("*.fpk"))


class Full:
    """The n-th of the calls that a function makes finds no room."""

    def __init__(self, call, at: int) -> None:
        self.call, self.left = call, at

    def __call__(self, *words, **more):
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.call(*words, **more)


@pytest.mark.parametrize(("call", "at"), [("link", 1), ("rename", 1), ("fsync", 1), ("fsync", 2)])
def test_a_disk_that_is_full_when_a_key_file_takes_its_place_is_said_and_the_rest_comes_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, at: int
):
    (tmp_path / "admin.fpk").write_bytes(b"old")
    new = NewFile("next.fpk", "admin.fpk", b"new")
    journal = journals.begin(tmp_path, Plan("rotate", (), "ag1", (), (new,)), 0)
    name = "replace" if call == "rename" else call
    with monkeypatch.context() as full:
        full.setattr(os, name, Full(getattr(os, name), at))
        with pytest.raises(Refusal, match=r"DISK_FULL: .*'rotate' is published.*fenpost-keys resume"):
            journals.finish(tmp_path, journal)
    journals.finish(tmp_path, journal)
    assert (tmp_path / "admin.fpk").read_bytes() == b"new"
    assert (tmp_path / "old-next.fpk").read_bytes() == b"old"
    assert not (tmp_path / journals.NAME).exists()


@pytest.mark.parametrize("at", [1, 2])
def test_a_disk_that_is_full_where_the_newest_checkpoint_is_kept_is_said(
    world: World, monkeypatch: pytest.MonkeyPatch, at: int
):
    side = own_side.OwnSide.open(world.folder / "Peacock", PASSPHRASE)
    side.believe("older")
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", Full(os.fsync, at))
        with pytest.raises(Refusal, match=r"DISK_FULL: The disk is full. Free some space, and run it again"):
            side.believe("newer")
    assert (side.folder / own_side.SEEN).read_text() == ("older" if at == 1 else "newer")


def test_a_journal_that_calls_itself_ready_never_loses_its_key_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The disk is full after the journal took its place, and then too full to take it away: some file systems."""
    whole = Plan("rotate", (), "ag1", (), (NewFile("next.fpk", "admin.fpk", b"new"),))

    def unlink(path: Path, *words, **more) -> None:
        if Path(path).name == journals.NAME:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, *words, **more)

    real, at = os.unlink, 6
    with monkeypatch.context() as full:
        full.setattr(os, "unlink", unlink)
        full.setattr(os, "fsync", Full(os.fsync, at))
        with pytest.raises(Refusal, match="DISK_FULL"):
            journals.begin(tmp_path, whole, 0)
    found = journals.unfinished(tmp_path)
    assert found is not None
    assert (tmp_path / "next.fpk").read_bytes() == b"new"


# --- whose keys


def test_a_renew_key_is_handed_over_in_a_file_that_an_agent_takes_up_and_the_old_one_ends_in_a_week(
    world: World,
):
    from keys_tooling.own_side import RENEW_HOLDS
    from schemas.canonical import b64, unb64
    from schemas.keys import SigningKey

    folder = world.folder / "Peacock"
    with served(world):
        rotate = ("rotate", "--dir", folder, "--use", "renew", "--demonstration-cost", "--yes")
        said = done(world, *rotate)["plan"]["publishes"]
        assert [one["op"] for one in said] == ["add-key", "revoke"]
        (handed,) = folder.glob("renew-*.fpk")
        value = unlock(handed.read_bytes(), RENEW_HOLDS, PASSPHRASE)
        assert value["agency"] == world.parties["Peacock"].id
        assert b64(SigningKey(unb64(value["renew"], 32)).public) == said[0]["body"]["pub"]
        again = done(world, *rotate)["plan"]["publishes"]
        assert len(again) == 2, "what ends already is not ended again"
        world.clock.advance(40 * 24 * 3600)  # the request keys of agent.fpk and its renew key are over
        assert (
            done(world, "revoke", "--dir", folder, "--use", "witness", "--reason", "rotated", "--yes")[
                "posted"
            ]
            == 1
        )


def test_a_persons_next_key_stands_beside_her_old_one_for_a_week(world: World):
    folder, agency = world.folder / "Peacock", world.parties["Peacock"].id
    with served(world):
        cards = []
        for where in ("ann", "ann-next"):
            place = ("--dir", world.folder / where, "--agency", agency, "--role", "lead", "--person", "2")
            cards.append(done(world, "role", "new", *place, "--demonstration-cost")["card"])
        done(world, "role", "publish", cards[0], "--dir", folder)
        rotate = ("rotate", "--dir", folder, "--person", cards[1], "--yes")
        said = done(world, *rotate)["plan"]["publishes"]
        assert [one["op"] for one in said] == ["add-key", "revoke"]
        assert done(world, *rotate)["posted"] == 0
        assert (
            refused(world, "rotate", "--dir", world.folder / "IDVAS", "--person", cards[1], "--yes").code
            == "KEY"
        )


def test_an_officers_next_keys_are_heard_before_they_are_published(world: World):
    from keys_tooling.ceremony import make_officer
    from keys_tooling.officer import card_bytes, card_number

    card = make_officer(secrets.token_bytes, "ig-2")[1]
    path = world.folder / "officer.json"
    path.write_bytes(card_bytes(card))
    rotate = ("rotate", "--dir", world.folder / "Peacock", "--officer", path, "--yes", "--number")
    with served(world):
        assert refused(world, *rotate, "1" * 30).code == "FINGERPRINT"
        assert done(world, *rotate, card_number(card))["posted"] == 2
        assert done(world, *rotate, card_number(card))["posted"] == 0


def test_a_policy_signers_next_key_counts_a_day_later_and_only_oversight_names_it(world: World):
    made_ = done(
        world,
        "policy",
        "signer",
        "init",
        "--person",
        "policy-3",
        "--out",
        world.folder / "p3.fpk",
        "--demonstration-cost",
    )
    card = json.loads((world.folder / "p3.json").read_text())
    rotate = ("--policy", world.folder / "p3.json", "--number", card["number"], "--yes")
    assert made_
    with served(world):
        assert refused(world, "rotate", "--dir", world.folder / "Peacock", *rotate).code == "NOT_ALLOWED"
        said = done(world, "rotate", "--dir", world.folder / "oversight", *rotate)
    assert said["plan"]["publishes"][0]["body"]["nbf"] >= world.now + 24 * 3600


def test_saying_nothing_or_two_things_is_a_usage_error(world: World):
    assert run(world, "rotate", "--dir", world.folder / "Peacock").exit_code == 2
    assert (
        run(
            world, "rotate", "--dir", world.folder / "Peacock", "--use", "op", "--all", "--person", "x"
        ).exit_code
        == 2
    )
    assert run(world, "revoke", "--dir", world.folder / "Peacock", "--reason", "left").exit_code == 2


def test_an_agent_that_does_not_run_is_said_to_be_away(world: World):
    assert (
        refused(world, "rotate", "--dir", world.folder / "Peacock", "--use", "msg", "--yes").code
        == "AGENT_AWAY"
    )


def test_statements_that_somebody_else_made_are_named_before_anything_is_agreed(world: World):
    folder = world.folder / "Peacock"
    copied = world.folder / "other"
    copied.mkdir(mode=0o700)
    for name in ("partnership.json", "admin.fpk", "agent.fpk"):
        (copied / name).write_bytes((folder / name).read_bytes())
        (copied / name).chmod(0o600)
    revoke = ("--use", "witness", "--reason", "rotated", "--dry-run")
    with served(world):
        assert "CAREFUL" not in run(world, "revoke", "--dir", folder, *revoke).stderr
        done(world, "rotate", "--dir", copied, *ROTATE)
        done(world, "revoke", "--dir", copied, "--use", "consent", "--reason", "rotated", "--yes")
        assert "CAREFUL" not in run(world, "revoke", "--dir", copied, *revoke).stderr
        result = run(world, "revoke", "--dir", folder, *revoke)
    assert ", revoke, was signed by another op key. Yours?" in result.stderr
    assert isinstance(result.exception, Refusal)
    assert result.exception.code == "OP_KEY"


def test_oversight_without_an_agent_rotates_its_request_key_itself_also_when_that_is_over(world: World):
    folder = world.folder / "oversight"
    rotate = (
        "rotate",
        "--dir",
        folder,
        "--use",
        "auth",
        "--use",
        "msg",
        "--here",
        "--demonstration-cost",
        "--yes",
    )
    ask = ("policy", "show", "--dir", folder)
    with served(world):
        world.clock.advance(40 * 24 * 3600)
        assert refused(world, *ask).code in ("UNAUTHENTICATED", "CLOCK")
        said = done(world, *rotate)["plan"]["publishes"]
        assert [one["body"].get("use") for one in said if one["op"] == "add-key"] == ["auth", "msg"]
        assert done(world, *ask)["in_force"]["version"] == 1
        assert refused(world, "rotate", "--dir", folder, "--use", "prekey", "--here", "--yes").code == "RENEW"
        (folder / "agent.port").write_text("127.0.0.1 1")
        assert refused(world, *rotate).code == "AGENT_HERE"


def test_reading_a_long_directory_says_how_far_it_is(capsys: pytest.CaptureFixture[str]):
    for at in range(500, 12_001, 500):
        own_side.say_far(at, 12_000)
    for at in range(500, 4_001, 500):
        own_side.say_far(at, 4_000)
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["5,000", "10,000", "12,000"]


def test_one_command_at_a_time_changes_a_folder(world: World):
    folder = world.folder / "Peacock"
    with served(world):
        with journals.alone(folder):
            assert refused(world, "rotate", "--dir", folder, *ROTATE).code == "UNFINISHED"
        assert done(world, "rotate", "--dir", folder, *ROTATE)["posted"] == 1


def test_resume_takes_nothing_from_a_command_that_is_at_work(world: World):
    """Its key file stands before its journal is ready; taken away, a key would be published that nobody holds."""
    folder = world.folder / "Peacock"
    with served(world):
        with journals.alone(folder):
            made_file = NewFile("next-admin.fpk", "admin.fpk", b"locked")
            journals.begin(folder, Plan("rotate", (), "ag1", (Said("x", {}),), (made_file,)), 3)
            whole = (folder / journals.NAME).read_text()
            (folder / journals.NAME).write_text(json.dumps({**json.loads(whole), "stage": "begun"}))
            assert refused(world, "resume", "--dir", folder).code == "UNFINISHED"
            assert (folder / made_file.name).read_bytes() == made_file.data
            assert (folder / journals.NAME).exists()
        assert done(world, "resume", "--dir", folder) == {"finished": True, "plan": None}
        assert not (folder / made_file.name).exists()  # that command was killed
