"""`fenpost-keys check`: a whole agency has nothing to look at, and each thing that is wrong is said in a sentence."""

import dataclasses
import json
import resource
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from keys_tooling.checking import successors
from keys_tooling.console import World as Outside
from keys_tooling.keys_main import keys
from keys_tooling.signed_here import SIGNED
from schemas.chain import Chain
from schemas.keyfile import QUICK, lock
from schemas.keyring import PersonKeys
from schemas.keys import OpeningKey, SigningKey, Use
from schemas.signing import Signed
from tests.keys_tooling.admin_place import done, made, run
from tests.keys_tooling.policy_place import served, write_secret
from tests.keys_tooling.test_killed_changes import view
from tests.simulated_world import NOW, PASSPHRASE, World

DAY = 24 * 3600


class Place:
    """Peacock's folder, a relay that knows what `says` adds to its chain, and a clock of the command's own."""

    def __init__(self, folder: Path) -> None:
        self.world = World.again(folder, "Peacock", "IDVAS")
        self.party = self.world.parties["Peacock"]
        self.folder = folder / "A"
        self.folder.mkdir(mode=0o700)
        self.apart = 0
        (self.folder / "partnership.json").write_bytes(self.world.founded.partnership.to_bytes())
        self.write("admin.fpk", self.party.admin)
        self.write("agent.fpk", self.party.member.agent)
        write_secret(folder / "pass", PASSPHRASE + b"\n")

    def write(self, name: str, held: object, passphrase: bytes = PASSPHRASE) -> None:
        data = lock(held.to_json(), held.HOLDS, passphrase, QUICK, secrets.token_bytes)
        write_secret(self.folder / name, data)

    def says(self, *made: Callable[[Chain], Signed]) -> None:
        admin = self.party.admin
        chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
        for one in made:
            self.world.take(one(chain))
        self.world.write_relay_folder()

    def check(self) -> SimpleNamespace:
        outside = Outside(lambda: self.world.clock() + self.apart, secrets.token_bytes)
        words = [
            "check",
            "--dir",
            str(self.folder),
            "--passphrase-file",
            str(self.folder.parent / "pass"),
            "--json",
        ]
        with served(self.world):
            done = CliRunner().invoke(keys, words, obj=outside)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        said = json.loads(done.stdout.splitlines()[-1])  # the relay of this process logs before it
        wrong = " ".join(one["say"] for one in said["checks"] if not one["ok"])
        return SimpleNamespace(exit=done.exit_code, wrong=wrong, said=said)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, before[1]))  # as the program's entrance does
    yield Place(tmp_path)
    resource.setrlimit(resource.RLIMIT_CORE, before)


def test_where_everything_fits_it_says_so_and_lists_every_key(place: Place):
    found = place.check()
    assert (found.exit, found.wrong, found.said["ok"]) == (0, "", True)
    assert {row["use"] for row in found.said["keys"]} >= {
        "msg",
        "auth",
        "consent",
        "witness",
        "prekey",
        "renew",
        "ig",
    }
    assert {row["use"] for row in found.said["keys"] if row["held"] is None} == {"ig", "ig-auth"}
    assert all(row["left_days"] > 0 for row in found.said["keys"])


def added(
    use: Use, *, person: str | None = None, key: SigningKey | None = None, days: int = 365, since: int = 0
):
    public = (key or SigningKey(secrets.token_bytes(32))).public
    return lambda chain: chain.add_key(use, public, NOW - since * DAY, NOW + days * DAY, NOW, person)


WRONG = {
    "a key in our name that nobody holds": (
        lambda place: place.says(added(Use.MSG, days=90)), "msg key that nobody here holds",
    ),
    "a person's key that ends soon": (
        lambda place: place.says(added(Use.PERSON, person="lead-1", days=9)),
        "person key of lead-1 ends on 01 December 2026, in 9 days: she makes a new one",
    ),
    "a key file that others may read": (
        lambda place: (place.folder / "agent.fpk").chmod(0o640), "agent.fpk, or it belongs to somebody else",
    ),
    "this clock ahead": (lambda place: setattr(place, "apart", 40), "40 seconds ahead of the relay's"),
    "this clock behind": (lambda place: setattr(place, "apart", -40), "40 seconds behind the relay's"),
    "this clock far off": (lambda place: setattr(place, "apart", 1000), "Set this machine's clock"),
    "an operational key that is not in force": (
        lambda place: place.write("admin.fpk", dataclasses.replace(place.party.admin, op=SigningKey(bytes(32)))),
        "operational key that is not in force",
    ),
    "the relay hides a statement": (
        lambda place: place.write("admin.fpk", dataclasses.replace(place.party.admin, seq=99)),
        "hides or has changed statements of this agency",
    ),
    "a key that was never published": (
        lambda place: place.write("lead-2.fpk", PersonKeys(place.party.id, "lead-2", SigningKey(bytes(32)))),
        "lead-2.fpk holds a key that is not published",
    ),
    "a key revoked as compromised": (
        lambda place: place.says(
            lambda chain: chain.revoke(place.party.member.agent.witness.kid, "compromised", NOW, NOW)
        ),
        "revoked as compromised: witness. Make new ones: fenpost-keys recover agent --copied. Keep the file",
    ),
    "the wrong passphrase": (
        lambda place: write_secret(place.folder.parent / "pass", b"the words of another\n"), "No key file here opens",
    ),
    "no partnership file": (lambda place: (place.folder / "partnership.json").unlink(), "partnership.json cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_in_a_sentence_and_ends_with_one(place: Place, name: str):
    spoil, said = WRONG[name]
    spoil(place)
    found = place.check()
    assert said in found.wrong, found.said["checks"]
    assert (found.exit, found.said["ok"]) == (1, False)


def test_the_program_itself_ends_with_one_when_somebody_must_act(tmp_path: Path):
    write_secret(tmp_path / "pass", b"the words of nobody\n")
    words = ("check", "--dir", tmp_path, "--passphrase-file", tmp_path / "pass")
    done = subprocess.run(
        [Path(sys.executable).parent / "fenpost-keys", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Somebody must see to what is marked LOOK." in done.stdout


def test_receiving_keys_that_an_agent_keeps_in_its_store_are_nobodys_fault(place: Place):
    place.write("agent.fpk", place.party.member.agent.without_prekeys())
    found = place.check()
    assert (found.exit, found.wrong) == (0, "")


@pytest.mark.parametrize(
    ("use", "stolen"), [(Use.MSG, True), (Use.PREKEY, True), (Use.MSG, False), (Use.PREKEY, False)]
)
def test_a_key_that_a_stolen_renew_key_published_is_named_though_no_agent_answers(
    place: Place, use: Use, stolen: bool
):
    agent, theirs = place.party.member.agent, bytes(range(32))
    public = SigningKey(theirs).public if use is Use.MSG else OpeningKey(theirs).public
    chain = Chain(place.party.id, agent.renew, place.party.admin.seq, place.party.admin.head)
    place.world.take(chain.add_key(use, public, NOW, NOW + 9 * DAY, NOW))
    chain = Chain(place.party.id, place.party.admin.op, chain.seq, chain.head)
    why = "compromised" if stolen else "lost"
    place.world.take(chain.revoke(agent.renew.kid, why, NOW + 900, NOW + 900))
    place.world.write_relay_folder()
    place.world.clock.advance(1000)
    found = place.check()
    if not stolen:  # what an agent renewed itself may be in its store
        assert "that a renew key published" not in found.wrong
        return
    kid = next(row["kid"] for row in found.said["keys"] if row["use"] == use and row["held"] is None)
    assert f"A {use} key stands ({kid[:12]}…) that a renew key published" in found.wrong
    assert f"fenpost-keys revoke {kid[:12]} --reason compromised" in found.wrong
    assert found.exit == 1


def test_a_file_that_still_opens_what_waits_is_not_to_be_destroyed(place: Place):
    agent = place.party.member.agent
    place.says(
        *(
            lambda chain, kid=prekey.key.kid: chain.revoke(kid, "compromised", NOW, NOW)
            for prekey in agent.prekeys
        )
    )
    found = place.check()
    said = [row["say"] for row in found.said["checks"] if "still opens what waits here" in row["say"]]
    assert said == [
        f"agent.fpk still opens what waits here, sealed to {len(agent.prekeys)} receiving keys that ended as compromised."
    ]
    assert "Destroy that file" not in str(found.said)


def test_people_that_were_not_looked_over_for_90_days_are_named(place: Place):
    from keys_tooling.checking import people
    from schemas.directory import Directory

    view = Directory(place.world.founded.oversight.id)
    place.says(added(Use.PERSON, person="lead-1"))
    for signed in place.world.statements:
        view.apply(signed)
    own = view.agencies[place.party.id]
    assert [one.ok for one in people(own, NOW + 89 * DAY)] == [True]
    (late,) = people(own, NOW + 91 * DAY)
    assert not late.ok
    assert "lead-1" in late.say


def test_the_operational_key_and_the_roots_are_named_in_time_with_what_to_type(place: Place):
    def of(days: int) -> list[tuple[bool, str]]:
        return [(one.ok, one.say) for one in successors(own, own.op_since + days * DAY)]

    own = place.world.directory.agencies[place.party.id]
    assert of(304) == [
        (
            True,
            "The operational key is in force since 22 November 2026, the root keys since 22 November 2026.",
        )
    ]
    ((ok, say),) = of(305)
    assert ok
    assert "the next is due on 22 November 2027, in 60 days: fenpost-keys rotate --use op." in say
    ((ok, say),) = of(351)
    assert (ok, "in 14 days" in say) == (False, True)
    (op, root) = of(731)
    assert (op[0], root[0]) == (False, False)
    assert "366 days ago" in op[1]
    assert "1 days ago" not in root[1]
    assert "fenpost-keys recover op --roots FILE" in root[1]


def test_an_operational_key_that_is_over_a_year_old_is_a_line_of_the_whole_command(place: Place):
    auth = SigningKey(secrets.token_bytes(32))
    place.says(added(Use.AUTH, key=auth, days=400))
    place.write("agent.fpk", dataclasses.replace(place.party.member.agent, auth=auth))
    place.world.clock.advance(351 * DAY)
    found = place.check()
    assert (
        "The operational key is in force since 22 November 2026; the next is due on 22 November 2027"
        in found.wrong
    )


def test_a_key_file_with_another_passphrase_is_named_and_not_held_against_anybody(place: Place):
    place.write(
        "lead-1.fpk", PersonKeys(place.party.id, "lead-1", SigningKey(bytes(32))), b"the words of a lead"
    )
    found = place.check()
    assert found.exit == 0
    assert any("No passphrase given opens lead-1.fpk" in one["say"] for one in found.said["checks"])


def test_an_older_directory_than_this_folder_saw_is_a_rollback(place: Place):
    from schemas.checkpoint import Checkpoint, sign_checkpoint

    relay, charter = place.world.founded.relay, place.world.founded.partnership.charter
    newer = Checkpoint(f"{charter.origin}/keys", 10_000, bytes(32))
    (place.folder / "directory.note").write_text(sign_checkpoint(newer, relay.keys_log))
    assert "ROLLBACK" in place.check().wrong


def test_without_a_relay_it_says_so(place: Place):
    outside = Outside(place.world.clock, secrets.token_bytes)
    words = ["check", "--dir", str(place.folder), "--passphrase-file", str(place.folder.parent / "pass")]
    done = CliRunner().invoke(keys, words, obj=outside)
    assert done.exit_code == 1
    assert "LOOK  RELAY_AWAY" in done.stdout
    assert "Somebody must see to what is marked LOOK." in done.stdout


# --- what a copy of admin.fpk signed


def own_chain(world: World, folder: Path) -> dict:
    """The finding of `check` about the agency's own chain."""
    result = run(world, "check", "--dir", folder, "--json")
    found = json.loads(result.stdout.splitlines()[-1])
    (one,) = (one for one in found["checks"] if one["name"] == "own chain")
    assert one["ok"] or not found["ok"]
    return one


def test_what_a_copy_of_the_administrators_key_signed_is_named_until_a_new_key_is_in_force(tmp_path: Path):
    world = made(tmp_path)
    folder, copied = world.folder / "Peacock", world.folder / "thief"
    renew = ("rotate", "--use", "renew", "--demonstration-cost", "--yes")
    with served(world):
        done(world, *renew, "--dir", folder)
        assert own_chain(world, folder)["ok"]
        shutil.copytree(folder, copied)
        (copied / SIGNED).unlink()
        stolen = done(world, *renew, "--dir", copied)["plan"]["publishes"]
        assert [one["op"] for one in stolen] == ["add-key", "revoke"]

        finding = own_chain(world, folder)
        last = view(world)[0].agencies[world.parties["Peacock"].id].seq
        assert not finding["ok"]
        assert f"by no command of this folder: {last - 1} (add-key, " in finding["say"]
        assert f"{last} (revoke, " in finding["say"]
        assert f"{last - 2} (" not in finding["say"]
        assert "fenpost-keys recover op" in finding["say"]

        result = run(world, "rotate", "--dir", folder, "--use", "op", "--demonstration-cost", "--yes")
        assert f"CAREFUL: statement {last} of your agency, revoke, " in result.stderr
        assert own_chain(world, folder)["ok"]


def test_a_folder_out_of_a_backup_knows_what_was_signed_before(tmp_path: Path):
    world = made(tmp_path)
    folder, kept, again = world.folder / "Peacock", tmp_path / "peacock.fpb", tmp_path / "again"
    with served(world):
        done(world, "rotate", "--dir", folder, "--use", "renew", "--demonstration-cost", "--yes")
        done(world, "backup", "--dir", folder, "--out", kept, "--keep-locked", "--demonstration-cost",
             "--backup-passphrase-file", tmp_path / "pass")  # fmt: skip
        done(world, "restore", kept, "--dir", again)
        assert own_chain(world, again)["ok"]
        (again / SIGNED).unlink()
        assert not own_chain(world, again)["ok"]
