"""fenpost-keys passphrase: the same keys under another passphrase; whatever goes wrong, the old file stands."""

import os
import pty
import secrets
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from keys_tooling.console import World as Outside
from keys_tooling.keys_main import keys
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock, unlock
from schemas.keyring import AdminKeys
from schemas.keys import SigningKey
from tests.keys_tooling.policy_place import write_secret
from tests.keys_tooling.test_key_ceremonies import BIN, heard

OLD, NEW = b"four words of a test", b"four other words of a test"
HELD = AdminKeys("ag1" + "a" * 32, SigningKey(bytes(range(32))), 3, "A" * 43).to_json()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("admin.fpk", "agent.fpk"):
        write_secret(tmp_path / name, lock(HELD, name[:5], OLD, QUICK, secrets.token_bytes))
    write_secret(tmp_path / "old", OLD + b"\n")
    write_secret(tmp_path / "new", NEW + b"\n")
    return tmp_path


def run(folder: Path, *words: str | Path, old: str = "old", new: str = "new") -> Result:
    typed = ["passphrase", *map(str, words), "--demonstration-cost"]
    typed += ["--passphrase-file", str(folder / old), "--new-passphrase-file", str(folder / new)]
    return CliRunner().invoke(keys, typed, obj=Outside(lambda: 0.0, secrets.token_bytes))


def refused(result: Result) -> Refusal:
    assert isinstance(result.exception, Refusal), (result.output, result.exception)
    return result.exception


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_new_passphrase_opens_the_same_keys_and_the_old_one_opens_nothing(folder: Path):
    before, listed = (folder / "admin.fpk").read_bytes(), names(folder)
    result = run(folder, folder / "admin.fpk", folder / "agent.fpk")
    assert result.exit_code == 0, result.exception
    for name in ("admin.fpk", "agent.fpk"):
        data = (folder / name).read_bytes()
        assert unlock(data, name[:5], NEW) == HELD
        with pytest.raises(Refusal, match="KEYFILE"):
            unlock(data, name[:5], OLD)
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    salt_and_nonce = (folder / "admin.fpk").read_bytes()[:200]
    assert salt_and_nonce != before[:200]
    assert names(folder) == listed
    assert "copies, backups and old-*.fpk keep the old passphrase" in result.output
    assert "(passphrase_file), start the agent anew" in result.output


def test_run_again_it_passes_over_what_is_changed(folder: Path):
    assert run(folder, folder / "admin.fpk").exit_code == 0
    changed = (folder / "admin.fpk").read_bytes()
    result = run(folder, folder / "admin.fpk", folder / "agent.fpk")
    assert result.exit_code == 0
    assert (folder / "admin.fpk").read_bytes() == changed
    assert unlock((folder / "agent.fpk").read_bytes(), "agent", NEW) == HELD
    assert "has it already" in run(folder, folder / "admin.fpk").output


def at_a_terminal(folder: Path, *lines: bytes) -> int:
    """The exit status of the command for both files, each prompt answered by the next of these lines."""
    ours, theirs = pty.openpty()
    words = ["passphrase", folder / "admin.fpk", folder / "agent.fpk", "--yes", "--demonstration-cost"]
    process = subprocess.Popen(
        [BIN / "fenpost-keys", *words],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        for line in lines:
            prompt(ours)
            os.write(ours, line + b"\n")
        return process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def prompt(terminal: int) -> None:
    """Wait until a prompt stands there whole: its last space is written once the echo is off."""
    said = b""
    while not said.endswith(b": "):
        said += heard(terminal, b" ")


def test_typed_again_at_a_terminal_it_passes_over_what_is_changed(folder: Path):
    """The run before was killed between two files: the same two passphrases are typed again."""
    assert run(folder, folder / "admin.fpk").exit_code == 0
    changed = (folder / "admin.fpk").read_bytes()
    assert at_a_terminal(folder, OLD, NEW, NEW) == 0
    assert (folder / "admin.fpk").read_bytes() == changed
    assert unlock((folder / "agent.fpk").read_bytes(), "agent", NEW) == HELD
    assert at_a_terminal(folder, OLD, NEW, NEW) == 0  # killed after the last one
    assert (folder / "admin.fpk").read_bytes() == changed


def test_typed_again_with_another_new_passphrase_nothing_is_changed(folder: Path):
    assert run(folder, folder / "admin.fpk").exit_code == 0
    before = [(folder / name).read_bytes() for name in ("admin.fpk", "agent.fpk")]
    third = b"a third choice of words"
    assert at_a_terminal(folder, OLD, third, third) == 1
    assert [(folder / name).read_bytes() for name in ("admin.fpk", "agent.fpk")] == before


def test_a_dry_run_changes_nothing(folder: Path):
    before = (folder / "admin.fpk").read_bytes()
    result = run(folder, folder / "admin.fpk", "--dry-run")
    assert (result.exit_code, "gets the new passphrase" in result.output) == (0, True)
    assert (folder / "admin.fpk").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("new", "third", "KEYFILE"),
        ("old", "old", "KEYFILE"),
        ("old", "short", "KEYFILE"),
        ("old", "nowhere", "FILE"),
    ],
)
def test_refused_the_old_file_stands(folder: Path, old: str, new: str, code: str):
    write_secret(folder / "short", b"short\n")
    write_secret(folder / "third", b"a third choice of words\n")
    before = (folder / "admin.fpk").read_bytes()
    assert refused(run(folder, folder / "admin.fpk", old=old, new=new)).code == code
    assert (folder / "admin.fpk").read_bytes() == before
    assert not [name for name in names(folder) if name.endswith(".part")]


def test_no_file_is_changed_when_one_of_them_does_not_open(folder: Path):
    write_secret(folder / "agent.fpk", lock(HELD, "agent", b"words of her own", QUICK, secrets.token_bytes))
    before = (folder / "admin.fpk").read_bytes()
    assert refused(run(folder, folder / "admin.fpk", folder / "agent.fpk")).code == "KEYFILE"
    assert (folder / "admin.fpk").read_bytes() == before


def test_a_full_disk_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = (folder / "admin.fpk").read_bytes()

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("os.fsync", full)
        assert refused(run(folder, folder / "admin.fpk")).code == "DISK_FULL"
    assert (folder / "admin.fpk").read_bytes() == before
    assert not [name for name in names(folder) if name.endswith(".part")]


def test_what_others_may_read_or_is_no_key_file_is_refused(folder: Path):
    (folder / "admin.fpk").chmod(0o644)
    assert refused(run(folder, folder / "admin.fpk")).code == "FILE"
    assert refused(run(folder, folder / "old")).code == "KEYFILE"
    (folder / "link.fpk").symlink_to(folder / "agent.fpk")
    assert refused(run(folder, folder / "link.fpk")).code == "FILE"


def test_it_is_asked_for_where_no_file_is_named_and_never_an_argument(folder: Path):
    typed = ["passphrase", str(folder / "admin.fpk"), "--passphrase-file", str(folder / "old"), "--yes"]
    result = CliRunner().invoke(keys, typed, obj=Outside(lambda: 0.0, secrets.token_bytes))
    assert (result.exit_code, "no terminal" in result.output) == (2, True)
