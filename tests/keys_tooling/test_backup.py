"""Backups as people type them: what is kept comes back, once, and everything else is refused in words."""

import contextlib
import json
import os
import pty
import re
import secrets
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest
from pypdf import PdfReader

from keys_tooling.backup import Backup
from keys_tooling.keys_main import keys
from keys_tooling.share_pages import words_of
from schemas.errors import Refusal
from schemas.keyfile import QUICK, Cost, lock, unlock
from schemas.keyring import AdminKeys, AgentKeys
from tests.keys_tooling.test_key_ceremonies import (
    BIN,
    PASSPHRASE,
    audit,
    done,
    files,
    founding,
    joining,
    quick,
    refused,
    typed,
    write_passphrase,
)

OWN, NEW = "the words of a backup", "the words after a restore"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two agencies; a backup of the first's keys with three shares of five, and one of its roots with other shares."""
    root = tmp_path_factory.mktemp("backups")
    write_passphrase(root / "pass")
    write_passphrase(root / "own", OWN)
    write_passphrase(root / "new", NEW)
    for who in ("ig-oversight", "ig-peacock"):
        done(audit, "init", "--dir", root / who, *quick(root))
    done(keys, *founding(root, root / "P"), *quick(root))
    done(keys, *joining(root, root / "A"), *quick(root))
    backed(root, "--shares", root / "pages")
    backed(
        root,
        "--shares",
        root / "root-pages",
        "--shares-only",
        "--file",
        "roots.fpk",
        out="roots.fpb",
        own=False,
    )
    return root


def backed(root: Path, *more: str | Path, out: str = "a.fpb", own: bool = True, folder: str = "A"):
    own_words = ("--backup-passphrase-file", root / "own") if own else ()
    words = ("backup", "--dir", root / folder, "--out", root / "keep" / out, *quick(root), *own_words, *more)
    return done(keys, *words)


def restoring(root: Path, into: Path, *more: str | Path, backup: str = "a.fpb") -> list[str | Path]:
    given = ("--new-passphrase-file", root / "new", "--demonstration-cost")
    return ["restore", root / "keep" / backup, "--dir", into, *given, *more]


def page(root: Path, number: int, folder: str = "pages") -> Path:
    (found,) = (root / folder).glob(f"*-share-{number}-of-*.txt")
    return found


def by(root: Path, *numbers: int, folder: str = "pages") -> list[str | Path]:
    return [word for number in numbers for word in ("--share-file", page(root, number, folder))]


def opened(path: Path, holds: str, passphrase: str = NEW):
    return unlock(path.read_bytes(), holds, passphrase.encode())


# --- what comes back


@pytest.mark.parametrize(
    "how", [lambda root: ("--passphrase-file", root / "own"), lambda root: by(root, 2, 5, 1)]
)
def test_every_key_comes_back_under_the_new_passphrase(place: Path, tmp_path: Path, how):
    done(keys, *restoring(place, tmp_path / "R", *how(place)))
    for name, held in (("admin.fpk", AdminKeys), ("agent.fpk", AgentKeys)):
        before = opened(place / "A" / name, held.HOLDS, PASSPHRASE)
        assert opened(tmp_path / "R" / name, held.HOLDS) == before
        assert (tmp_path / "R" / name).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "R/partnership.json").read_bytes() == (place / "A/partnership.json").read_bytes()


def test_roots_are_only_in_a_backup_when_they_are_named_and_never_both(place: Path):
    assert "roots.fpk" not in Backup.parse((place / "keep/a.fpb").read_bytes()).head.files
    both = ("--file", "roots.fpk", "--file", "next-roots.fpk")
    result = typed(keys, "backup", "--dir", place / "A", "--out", place / "keep/r.fpb", *quick(place), *both)
    assert result.exit_code == 2
    assert "whoever had it had both" in result.output


def test_roots_of_a_recovery_or_of_one_holder_and_replaced_keys_are_in_no_backup_unasked(
    place: Path, tmp_path: Path
):
    later = tmp_path / "later"
    later.mkdir()
    names = ("root-1.fpk", "next-root-1.fpk", "next-roots-2e6jjn.fpk", "old-next-admin-ab12cd34.fpk")
    for name in ("admin.fpk", "renew-ab12cd34.fpk", *names):
        (later / name).write_bytes((place / "A/admin.fpk").read_bytes())
        (later / name).chmod(0o600)
    words = ("backup", "--dir", later, *quick(place), "--backup-passphrase-file", place / "own")
    done(keys, *words, "--out", tmp_path / "later.fpb")
    kept = Backup.parse((tmp_path / "later.fpb").read_bytes()).head.files
    assert set(kept) == {"admin.fpk", "renew-ab12cd34.fpk"}
    two = ("--file", "next-roots-2e6jjn.fpk", "--file", "root-1.fpk")
    assert typed(keys, *words, "--out", tmp_path / "two.fpb", *two).exit_code == 2
    assert not (tmp_path / "two.fpb").exists()


def test_roots_come_back_from_shares_alone(place: Path, tmp_path: Path):
    shares = by(place, 1, 3, 4, folder="root-pages")
    done(keys, *restoring(place, tmp_path / "R", *shares, backup="roots.fpb"))
    assert opened(tmp_path / "R/roots.fpk", "roots") == opened(place / "A/roots.fpk", "roots", PASSPHRASE)
    words = restoring(place, tmp_path / "S", "--passphrase-file", place / "own", backup="roots.fpb")
    assert typed(keys, *words).exit_code == 2  # it asks for shares, and there is no terminal


def test_what_a_restored_agent_must_do_is_said(place: Path, tmp_path: Path):
    said = json.loads(done(keys, *restoring(place, tmp_path / "R", *by(place, 1, 2, 3), "--json")).stdout)[
        "next"
    ]
    text = " ".join(said)
    for words in (
        "old agent runs nowhere", "store is not in a backup", "have ended at the relay", "collected again",
        "nobody can open", "fenpost-keys check",
    ):  # fmt: skip
        assert words in text


def test_one_file_alone_can_be_restored(place: Path, tmp_path: Path):
    done(keys, *restoring(place, tmp_path / "R", *by(place, 1, 2, 3), "--file", "admin.fpk"))
    assert list(files(tmp_path / "R")) == ["admin.fpk"]


def test_kept_locked_they_stay_under_their_own_passphrase(place: Path, tmp_path: Path):
    backed(place, "--keep-locked", out="locked.fpb")
    words = ("--passphrase-file", place / "own")
    done(keys, "restore", place / "keep/locked.fpb", "--dir", tmp_path / "R", *words)
    assert (tmp_path / "R/agent.fpk").read_bytes() == (place / "A/agent.fpk").read_bytes()


def test_a_file_with_another_passphrase_is_named_and_opens_when_it_is_given(place: Path, tmp_path: Path):
    words = (
        "backup",
        "--dir",
        place / "P",
        "--out",
        tmp_path / "p.fpb",
        "--backup-passphrase-file",
        place / "own",
    )
    refusal = refused(keys, *words, *quick(place))
    assert refusal.code == "KEYFILE"
    assert "relay/relay.fpk does not open" in refusal.say
    assert not (tmp_path / "p.fpb").exists()
    done(keys, *words, *quick(place), "--passphrase-file", place / "P/relay/passphrase")
    done(keys, "restore", tmp_path / "p.fpb", "--dir", tmp_path / "R", "--passphrase-file", place / "own",
         "--new-passphrase-file", place / "new", "--demonstration-cost")  # fmt: skip
    assert opened(tmp_path / "R/relay/relay.fpk", "relay")


# --- the pages


def test_there_is_one_share_on_each_page_and_all_its_words(place: Path):
    pages = sorted((place / "pages").iterdir())
    assert len(pages) == 5
    assert {path.stat().st_mode & 0o777 for path in pages} == {0o600}
    kept = Backup.parse((place / "keep/a.fpb").read_bytes()).head
    for number, path in enumerate(pages, 1):
        text = path.read_text(encoding="utf-8")
        assert text.count("share 1 of 5") + text.count("SHARE") == 1
        assert f"BACKUP {kept.id}: SHARE {number} OF 5" in text
        assert "Any 3 of the 5 shares" in text
        assert len(re.findall(r"\d+ [a-z]+", words_of(text))) == 33
        assert max(map(len, text.splitlines())) <= 90


def test_each_page_as_pdf_is_one_page_with_the_same_words(place: Path):
    backed(place, "--shares", place / "printed", "--pdf", out="printed.fpb")
    for path in sorted((place / "printed").glob("*.pdf")):
        reader = PdfReader(path)
        assert len(reader.pages) == 1
        words = words_of(path.with_suffix(".txt").read_text(encoding="utf-8")).split()[1::2]
        text = reader.pages[0].extract_text()
        assert not [word for word in words if word not in text]


def test_numbers_of_shares_can_be_chosen(place: Path, tmp_path: Path):
    backed(place, "--shares", place / "two", "--need", "2", "--of", "3", out="two.fpb")
    done(keys, *restoring(place, tmp_path / "R", *by(place, 3, 1, folder="two"), backup="two.fpb"))
    result = typed(
        keys, "backup", "--dir", place / "A", "--out", place / "x.fpb", *quick(place), "--shares", place / "x",
        "--need", "4", "--of", "3",
    )  # fmt: skip
    assert result.exit_code == 2


# --- wrong shares


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda root: by(root, 1, 2), "These are 2 shares, and 3 are needed"),
        (lambda root: by(root, 1, 2, 2), "are the same share"),
        (lambda root: [*by(root, 1, 2), *by(root, 3, folder="root-pages")], "is of another backup"),
        (lambda root: by(root, 1, 2, 3, folder="root-pages"), "is of another backup"),
    ],
)
def test_wrong_shares_are_refused_and_nothing_is_written(place: Path, tmp_path: Path, given, said: str):
    refusal = refused(keys, *restoring(place, tmp_path / "R", *given(place)))
    assert refusal.code == "SHARE"
    assert said in refusal.say
    assert not (tmp_path / "R").exists()


def test_a_mistyped_word_is_placed(place: Path, tmp_path: Path):
    text = page(place, 1).read_text(encoding="utf-8")
    wrong = re.sub(r"\b7 ([a-z]+)", lambda found: "7 acid" if found[1] != "acid" else "7 acne", text)
    (tmp_path / "mine.txt").write_text(wrong, encoding="utf-8")
    (tmp_path / "mine.txt").chmod(0o600)
    words = ("--share-file", tmp_path / "mine.txt", *by(place, 2, 3))
    refusal = refused(keys, *restoring(place, tmp_path / "R", *words))
    assert "mine.txt does not fit together: word 7 is probably wrong" in refusal.say


def test_a_share_that_others_may_read_is_refused(place: Path, tmp_path: Path):
    (tmp_path / "open.txt").write_text(page(place, 1).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "open.txt").chmod(0o644)
    words = ("--share-file", tmp_path / "open.txt", *by(place, 2, 3))
    assert refused(keys, *restoring(place, tmp_path / "R", *words)).code == "FILE"


def test_shares_typed_at_a_terminal_are_not_shown_and_are_asked_for_again(place: Path, tmp_path: Path):
    told, asked = [], [words_of(page(place, n).read_text(encoding="utf-8")) for n in (1, 2, 3)]
    lines = [" ".join(text.split()) for text in asked]
    lines[1:1] = [lines[0], "no words at all"]  # the first one again, and nonsense: both are asked for anew
    command = [str(BIN / "fenpost-keys"), *map(str, restoring(place, tmp_path / "R", "--by-shares"))]
    main, other = pty.openpty()
    process = subprocess.Popen(
        command, stdin=other, stdout=subprocess.DEVNULL, stderr=other, start_new_session=True
    )
    os.close(other)
    shown = ""
    try:
        while process.poll() is None or select.select([main], [], [], 0.1)[0]:
            if not select.select([main], [], [], 30)[0]:
                break
            try:
                shown += os.read(main, 4096).decode("utf-8", "replace")
            except OSError:
                break
            if shown.count("unseen: ") > len(told):
                told.append(lines[len(told)])
                os.write(main, told[-1].encode() + b"\n")
            elif shown.endswith("[y/N]: ") and told[-1] != "y":
                told.append("y")
                os.write(main, b"y\n")
    finally:
        os.close(main)
        assert process.wait(30) == 0, shown
    assert "was typed already" in shown
    assert "has 4 words" in shown or "none of the list" in shown
    typed_words = lines[0].split()  # each with its number before it
    assert len(typed_words) == 66
    assert not [at for at in range(64) if " ".join(typed_words[at : at + 3]) in shown]
    assert (tmp_path / "R/admin.fpk").exists()


# --- the backup itself, spoilt


def test_a_wrong_passphrase_and_every_changed_byte_have_one_answer_each_and_open_nothing():
    from keys_tooling.backup import Head, Kept, Opened, make

    head = Head(
        v=1, id="ABCD-2345", agency=None, made=1, taken=1, files=("a.fpk",), need=2, of=3, set=77
    )  # fmt: skip
    secret = secrets.token_bytes(32)
    whole = make(
        head, Opened(head, (Kept("a.fpk", data=b"x"),), secret), OWN.encode(), QUICK, secrets.token_bytes
    )
    assert Backup.parse(whole).open(Backup.parse(whole).secret(OWN.encode())).files[0].data == b"x"
    with pytest.raises(Refusal) as wrong:
        Backup.parse(whole).secret(b"the words of another")
    held, slot = len(whole) - len(Backup.parse(whole).slot), wrong.value.say
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises(Refusal) as caught:
            found = Backup.parse(changed)
            found.open(secret)
            found.secret(OWN.encode())
        assert caught.value.code == "BACKUP", at
        if at >= held + 120:
            assert caught.value.say == slot
    for length in range(len(whole)):
        with pytest.raises(Refusal, match="BACKUP"):
            Backup.parse(whole[:length])


def test_a_wrong_passphrase_costs_as_much_as_the_right_one():
    cost = Cost(3, 32 * 2**20)
    data = lock({"a": "b"}, "admin", b"the right words", cost, secrets.token_bytes)

    def spent(passphrase: bytes) -> float:
        begun = time.process_time()
        with contextlib.suppress(Refusal):
            unlock(data, "admin", passphrase)
        return time.process_time() - begun

    right, wrong = (min(spent(words) for _ in range(5)) for words in (b"the right words", b"the wrong words"))
    assert 0.6 < wrong / right < 1.6


# --- never overwritten, stopped half-way


@pytest.mark.parametrize("name", ["admin.fpk", "agent.fpk", "partnership.json"])
def test_what_is_there_and_is_another_stays_and_nothing_else_is_written(
    place: Path, tmp_path: Path, name: str
):
    (tmp_path / "R").mkdir(mode=0o700)
    (tmp_path / "R" / name).write_bytes(b"somebody's")
    (tmp_path / "R" / name).chmod(0o600)
    refusal = refused(keys, *restoring(place, tmp_path / "R", *by(place, 1, 2, 3)))
    assert refusal.code == "EXISTS"
    assert name in refusal.say
    assert files(tmp_path / "R") == {name: b"somebody's"}


def test_run_again_it_finds_what_is_there_and_changes_no_byte(place: Path, tmp_path: Path):
    words = restoring(place, tmp_path / "R", *by(place, 1, 2, 3), "--json")
    done(keys, *words)
    before = files(tmp_path / "R")
    (tmp_path / "R/agent.fpk").unlink()
    assert json.loads(done(keys, *words).stdout)["made"] == ["agent.fpk"]
    after = files(tmp_path / "R")
    assert {name: data for name, data in after.items() if name != "agent.fpk"} == {
        name: data for name, data in before.items() if name != "agent.fpk"
    }
    assert opened(tmp_path / "R/agent.fpk", "agent") == opened(place / "A/agent.fpk", "agent", PASSPHRASE)


@pytest.mark.parametrize("after", [0.0, 0.15, 0.3, 0.45, 0.6])
def test_killed_at_any_moment_it_is_run_again(place: Path, tmp_path: Path, after: float):
    words = [str(BIN / "fenpost-keys"), *map(str, restoring(place, tmp_path / "R", *by(place, 1, 2, 3)))]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.4 + after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done(keys, *restoring(place, tmp_path / "R", *by(place, 1, 2, 3)))
    assert sorted(files(tmp_path / "R")) == ["admin.fpk", "agent.fpk", "partnership.json"]
    assert opened(tmp_path / "R/admin.fpk", "admin") == opened(place / "A/admin.fpk", "admin", PASSPHRASE)


def test_a_backup_and_its_pages_are_never_overwritten(place: Path):
    before = files(place / "keep") | files(place / "pages")
    words = ("backup", "--dir", place / "A", *quick(place), "--backup-passphrase-file", place / "own")
    assert refused(keys, *words, "--out", place / "keep/a.fpb").code == "EXISTS"
    assert refused(keys, *words, "--out", place / "keep/a.fpb", "--shares", place / "more").code == "EXISTS"
    assert files(place / "keep") | files(place / "pages") == before
    assert files(place / "more") == {}


# --- new shares


def test_new_shares_open_the_new_backup_and_old_ones_do_not(place: Path, tmp_path: Path):
    words = (
        "--out",
        place / "keep/again.fpb",
        "--shares",
        place / "again",
        "--shares-only",
        "--demonstration-cost",
    )
    said = done(
        keys, "recover", "shares", place / "keep/roots.fpb", *words, *by(place, 2, 3, 5, folder="root-pages")
    )
    assert "Destroy the old backup" in said.stderr
    done(keys, *restoring(place, tmp_path / "R", *by(place, 5, 4, 3, folder="again"), backup="again.fpb"))
    assert opened(tmp_path / "R/roots.fpk", "roots") == opened(place / "A/roots.fpk", "roots", PASSPHRASE)
    for mixed in (
        by(place, 1, 2, 3, folder="root-pages"),
        [*by(place, 1, 2, folder="again"), *by(place, 3, folder="root-pages")],
    ):
        refusal = refused(keys, *restoring(place, tmp_path / "S", *mixed, backup="again.fpb"))
        assert refusal.code == "SHARE"
        assert "of a set that was replaced" in refusal.say


def test_too_few_old_shares_make_no_new_ones(place: Path):
    words = (
        "--out",
        place / "keep/never.fpb",
        "--shares",
        place / "never",
        "--shares-only",
        "--demonstration-cost",
    )
    refusal = refused(
        keys, "recover", "shares", place / "keep/roots.fpb", *words, *by(place, 2, 3, folder="root-pages")
    )
    assert "These are 2 shares, and 3 are needed" in refusal.say
    assert not (place / "never").exists()


def test_no_option_takes_a_share_or_a_passphrase_itself():
    for words in (("backup",), ("restore",), ("recover", "shares")):
        text = typed(keys, *words, "--help").output
        assert "--passphrase " not in text
        assert not re.search(r"--share TEXT|--shares TEXT|--share-words", text)
