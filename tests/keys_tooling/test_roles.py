"""fenpost-keys role with a real relay: a person makes her key, her agency publishes it, oversight countersigns it."""

import json
import os
import pty
import secrets
import shutil
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from keys_tooling import journal as journals
from keys_tooling.console import World as Outside
from keys_tooling.keys_main import keys
from keys_tooling.roles import card_bytes, parse_card
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.keyring import PersonKeys
from tests.keys_tooling.test_policy import served, write_secret
from tests.simulated_world import PASSPHRASE, World

DAY = 24 * 3600


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two agencies and oversight, each with its administrator's folder."""
    found = World.again(tmp_path, "Peacock", "IDVAS")
    for name, party in found.parties.items():
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        (folder / "partnership.json").write_bytes(found.founded.partnership.to_bytes())
        for file, held in (("admin.fpk", party.admin), ("agent.fpk", party.member.agent)):
            write_secret(
                folder / file, lock(held.to_json(), held.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
            )
    write_secret(tmp_path / "pass", PASSPHRASE + b"\n")
    return found


def run(world: World, *words: str | Path) -> Result:
    outside = Outside(world.clock, secrets.token_bytes)
    typed = ["role", *map(str, words), "--passphrase-file", str(world.folder / "pass")]
    return CliRunner().invoke(keys, typed, obj=outside)


def done(world: World, *words: str | Path) -> dict:
    result = run(world, *words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout)


def refused(world: World, *words: str | Path) -> str:
    result = run(world, *words)
    assert isinstance(result.exception, Refusal), (result.output, result.exception)
    return result.exception.code


def new(world: World, role: str, person: str, party: str = "Peacock", folder: str = "ann") -> dict:
    return done(
        world, "new", "--dir", world.folder / folder, "--agency", world.parties[party].id, "--role", role,
        "--person", person, "--demonstration-cost",
    )  # fmt: skip


def publish(world: World, card: dict, party: str = "Peacock") -> dict:
    return done(world, "publish", card["card"], "--dir", world.folder / party)


def countersign(world: World, card: dict) -> dict:
    place = ("--partnership-dir", world.folder / "oversight", "--number", card["number"])
    return done(world, "countersign", card["card"], *place)


def shown(world: World) -> list[tuple[str, str]]:
    rows = done(world, "show", "--dir", world.folder / "IDVAS")["keys"]
    return [(row["person"], row["state"]) for row in rows]


def test_a_key_counts_a_day_after_oversight_has_countersigned_it(world: World):
    card = new(world, "lead", "2")
    with served(world):
        assert publish(world, card)["was_published"] is False
        assert shown(world) == [("lead-2", "not countersigned")]
        assert countersign(world, card)["was_countersigned"] is False
        assert shown(world) == [("lead-2", "counts later")]
        world.clock.advance(DAY - 1)
        assert shown(world) == [("lead-2", "counts later")]
        world.clock.advance(1)
        assert shown(world) == [("lead-2", "counts")]


def test_saying_it_twice_changes_nothing(world: World):
    card = new(world, "author", "1")
    with served(world):
        publish(world, card)
        assert publish(world, card)["was_published"] is True
        countersign(world, card)
        assert countersign(world, card)["was_countersigned"] is True


def test_the_key_file_is_hers_alone_and_never_overwritten(world: World):
    card = new(world, "lead", "2")
    path = world.folder / "ann" / "lead-2.fpk"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    agency = world.parties["Peacock"].id
    again = ("--dir", world.folder / "ann", "--agency", agency, "--role", "lead", "--person", "2")
    assert refused(world, "new", *again) == "EXISTS"
    assert path.read_bytes() == before
    assert PersonKeys.HOLDS == "person"
    assert "seed" not in Path(card["card"]).read_text()


def test_nobody_publishes_both_roles_for_one_person(world: World):
    author, lead = new(world, "author", "1"), new(world, "lead", "1")
    with served(world):
        publish(world, author)
        assert refused(world, "publish", lead["card"], "--dir", world.folder / "Peacock") == "ONE_PERSON"


@pytest.mark.parametrize("person", ["", "Ann", "a b", "2-3", "é"])
def test_a_persons_number_is_no_name(world: World, person: str):
    agency = world.parties["Peacock"].id
    place = ("--dir", world.folder / "ann", "--agency", agency, "--role", "lead", "--person", person)
    assert refused(world, "new", *place) == "PERSON_TAG"


def test_a_card_is_for_one_agency_and_one_role(world: World):
    card = new(world, "lead", "2")
    with served(world):
        assert refused(world, "publish", card["card"], "--dir", world.folder / "IDVAS") == "KEY"
        place = ("--partnership-dir", world.folder / "oversight", "--number", card["number"])
        assert refused(world, "countersign", card["card"], *place) == "UNKNOWN_KEY"
        wrong = ("--partnership-dir", world.folder / "oversight", "--number", "00000 " * 6)
        assert refused(world, "countersign", card["card"], *wrong) == "FINGERPRINT"
        assert shown(world) == []


def test_oversight_does_not_countersign_another_role_than_the_card_says(world: World):
    card = new(world, "author", "1")
    held = parse_card(Path(card["card"]).read_bytes())
    from keys_tooling.roles import number_of

    number = number_of(held.agency, "lead-1", held.public)
    other = held.model_copy(update={"person": "lead-1", "number": number})
    changed = world.folder / "changed.json"
    changed.write_bytes(card_bytes(other))
    with served(world):
        publish(world, card)
        place = ("--partnership-dir", world.folder / "oversight", "--number", number)
        assert refused(world, "countersign", changed, *place) == "KEY"


@pytest.mark.parametrize(
    "change",
    [{"v": 2}, {"person": "lead-3"}, {"pub": "A" * 43}, {"number": "0"}, {"agency": "ag1"}, {"more": 1}],
)
def test_a_changed_card_is_refused(world: World, change: dict):
    card = Path(new(world, "lead", "2")["card"])
    card.write_text(json.dumps({**json.loads(card.read_text()), **change}))
    assert refused(world, "publish", card, "--dir", world.folder / "Peacock") == "KEY"


def test_an_administrator_needs_the_agencys_own_keys(world: World):
    card = new(world, "lead", "2")
    write_secret(world.folder / "pass", b"not the passphrase at all\n")
    assert refused(world, "publish", card["card"], "--dir", world.folder / "Peacock") == "KEYFILE"


def test_administrators_and_oversights_people_have_keys_too_and_no_officer_is_administrator(world: World):
    admin, duty = new(world, "admin", "1"), new(world, "oversight", "1", "oversight", "zoe")
    with served(world):
        publish(world, admin)
        assert countersign(world, admin)["was_countersigned"] is False
        publish(world, duty, "oversight")
        foreign = new(world, "oversight", "2", folder="bob")
        assert refused(world, "publish", foreign["card"], "--dir", world.folder / "Peacock") == "NOT_ALLOWED"
        assert ("admin-1", "counts later") in shown(world)


def test_a_desks_roster_is_put_on_record_and_shown(world: World):
    place, desk = (
        ("--dir", world.folder / "Peacock"),
        world.directory.agencies[world.parties["Peacock"].id].desks[0],
    )
    with served(world):
        dry = done(world, "desk", desk, *place, "--role", "idva", "--dry-run")
        assert (dry["applied"], dry["plan"]["publishes"][0]["op"]) == (False, "roster")
        assert (
            done(world, "desk", desk, *place, "--role", "idva", "--role", "manager", "--yes")["posted"] == 1
        )
        assert (
            done(world, "desk", desk, *place, "--role", "idva", "--role", "manager", "--yes")["posted"] == 0
        )
        listed = run(world, "roster", *place, "--json")
        assert json.loads(listed.stdout.splitlines()[-1])["desks"] == {desk: ["idva", "manager"]}
        assert done(world, "desk", desk, *place, "--nobody", "--yes")["posted"] == 1
        assert refused(world, "desk", "elsewhere", *place, "--role", "idva", "--yes") == "UNKNOWN_DESK"
        assert run(world, "desk", desk, *place, "--yes").exit_code == 2


async def _away(_self: object, _request: object) -> None:
    raise Refusal("RELAY_AWAY")


def test_each_word_about_a_person_is_a_plan_first_and_goes_on_where_it_was_stopped(world: World, monkeypatch):
    card, peacock = new(world, "lead", "2"), world.folder / "Peacock"
    steps = (
        ("publish", card["card"], "--dir", peacock),
        (
            "countersign",
            card["card"],
            "--partnership-dir",
            world.folder / "oversight",
            "--number",
            card["number"],
        ),
    )
    with served(world):
        for words, folder in zip(steps, (peacock, world.folder / "oversight"), strict=True):
            dry = done(world, *words, "--dry-run")
            assert (dry["applied"], len(dry["plan"]["publishes"])) == (False, 1)
            with monkeypatch.context() as away:
                away.setattr("agent.client.Relay.post_statements", _away)
                assert refused(world, *words) == "RELAY_AWAY"
            assert (folder / journals.NAME).exists()
            assert done(world, *words, "--yes")["posted"] == 1
            assert not (folder / journals.NAME).exists()
        assert shown(world) == [("lead-2", "counts later")]


def test_what_the_directory_refuses_does_not_wait_for_ever(world: World, monkeypatch):
    """It was begun, nothing of it was published, and meanwhile another copy of the folder said what forbids it."""
    author, lead = new(world, "author", "1"), new(world, "lead", "1")
    folder, other = world.folder / "Peacock", world.folder / "other"
    shutil.copytree(folder, other)
    with served(world):
        with monkeypatch.context() as away:
            away.setattr("agent.client.Relay.post_statements", _away)
            assert refused(world, "publish", author["card"], "--dir", folder) == "RELAY_AWAY"
        assert done(world, "publish", lead["card"], "--dir", other)["posted"] == 1
        assert refused(world, "publish", author["card"], "--dir", folder) == "ONE_PERSON"
        assert not (folder / journals.NAME).exists()
        assert done(world, "publish", new(world, "author", "2")["card"], "--dir", folder)["posted"] == 1


def test_at_a_terminal_the_plan_is_shown_and_a_no_changes_nothing(world: World):
    card, folder = new(world, "lead", "2"), world.folder / "Peacock"
    outside = textwrap.dedent(f"""
        import secrets
        from keys_tooling.console import World, run
        from keys_tooling.keys_main import keys
        run(keys, World(lambda: {world.clock()!r}, secrets.token_bytes))
    """)
    typed = ["role", "publish", card["card"], "--dir", folder, "--passphrase-file", world.folder / "pass"]
    with served(world):
        for answer, code, there in (("n", 1, []), ("y", 0, [("lead-2", "not countersigned")])):
            mine, hers = pty.openpty()
            os.write(mine, f"{answer}\n".encode())
            ended = subprocess.run(
                [sys.executable, "-c", outside, *map(str, typed)],
                check=False,
                stdin=hers,
                capture_output=True,
                text=True,
                timeout=60,
            )
            os.close(mine)
            os.close(hers)
            assert (ended.returncode, "This will happen:" in ended.stderr) == (code, True), ended.stderr
            assert shown(world) == there
        assert not (folder / journals.NAME).exists()
