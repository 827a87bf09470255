"""A list of what a killed command had made: it takes back that, and never a file of somebody's."""

import json
from pathlib import Path

import pytest

from keys_tooling.backup_main import _is_page
from keys_tooling.making import making
from schemas.errors import Refusal
from tests.keys_tooling.admin_place import made, run


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """A folder that came from somebody else."""
    folder = tmp_path / "stick"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of this machine's."""
    (tmp_path / "own").mkdir(mode=0o700)
    file = tmp_path / "own" / "admin.fpk"
    file.write_text("the keys")
    return file


def planted(stick: Path, *names: object) -> Path:
    (stick / ".last.json.begun").write_text(json.dumps({"given": {}, "makes": names}))
    return stick / "last.json"


def test_what_a_killed_run_had_made_is_taken_back(stick: Path):
    made, kept = stick / "agent" / "one.fpk", stick / "other.fpk"
    made.parent.mkdir()
    for file in (made, kept, stick / ".last.json.part"):
        file.write_text("x")
    with making(planted(stick, str(made)), {}) as again:
        assert not again.before
    assert [path.name for path in stick.iterdir() if path.is_file()] == [kept.name]
    assert not made.exists()


def test_a_list_takes_nobodys_files_away(stick: Path, victim: Path):
    own = stick / "one.fpk"
    own.write_text("x")
    (stick / "agent").symlink_to(victim.parent)
    for name in (
        str(victim),
        str(stick / "agent" / victim.name),
        str(stick / ".." / "own" / victim.name),
        f"../own/{victim.name}",
        victim.name,
        str(stick / ".."),
        7,
        None,
    ):
        last = planted(stick, str(own), name)
        with pytest.raises(Refusal, match="FILE") as refusal, making(last, {}):
            pass
        assert "Nothing was touched" in refusal.value.say
        assert (victim.read_text(), own.read_text()) == ("the keys", "x"), name
        assert (stick / ".last.json.begun").exists(), "it is evidence"


def test_a_list_that_is_none_is_refused(stick: Path):
    for makes in ({}, "text", 3):
        (stick / ".last.json.begun").write_text(json.dumps({"given": {}, "makes": makes}))
        with pytest.raises(Refusal, match="FILE"), making(stick / "last.json", {}):
            pass


def test_a_run_that_was_killed_while_it_wrote_the_names_had_made_nothing(stick: Path):
    (stick / ".last.json.begun").write_text('{"giv')
    with making(stick / "last.json", {}):
        pass
    assert list(stick.iterdir()) == []


def test_files_of_another_folder_are_those_that_the_command_makes_there(stick: Path, victim: Path):
    page, last = victim.parent / "page-1.txt", stick / "last.json"
    for file in (page, stick / "one.fpk"):
        file.write_text("x")

    def pages(path: Path) -> bool:
        return path == page.resolve()

    with pytest.raises(Refusal, match="FILE"), making(planted(stick, str(victim)), {}, elsewhere=pages):
        pass
    with making(planted(stick, str(page)), {}, elsewhere=pages):
        pass
    assert (page.exists(), victim.exists(), last.exists()) == (False, True, False)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("ABCD-2345-share-1-of-5.txt", True),
        ("ABCD-2345-share-12-of-16.pdf", True),
        ("ABCD-2345-share-1-of-5.fpk", False),
        ("admin.fpk", False),
        ("x-ABCD-2345-share-1-of-5.txt", False),
        ("ABCD-2345-share-1-of-5.txt.x", False),
    ],
)
def test_a_backup_takes_back_pages_only(tmp_path: Path, name: str, is_one: bool):
    assert _is_page(tmp_path, tmp_path.resolve() / name) is is_one
    assert not _is_page(tmp_path / "another", tmp_path.resolve() / name)
    assert not _is_page(None, tmp_path.resolve() / name)


def test_a_command_that_meets_such_a_list_says_so(tmp_path: Path, stick: Path):
    world = made(tmp_path, "Peacock")
    admin = world.folder / "Peacock" / "admin.fpk"
    (stick / ".partnership.json.begun").write_text(json.dumps({"given": {}, "makes": [str(admin)]}))
    words = ("--name", "X", "--desk", "a", "--officer", tmp_path / "no", "--partnership", tmp_path / "no")
    result = run(world, "agency", "init", "--dir", stick, *words)
    assert result.exit_code != 0
    assert admin.exists()
    assert "Nothing was touched" in str(result.exception)
