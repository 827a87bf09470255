"""Where secrets are: in files of their owner's, written whole or not at all; not in the environment, not in a core file."""

import os
import pty
import secrets
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.secretfile import credential, read_passphrase
from broker.settings import load
from keys_tooling.keyfiles import NewFiles, new_files
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock, unlock
from tests.simulated_world import PASSPHRASE, World

BIN = Path(sys.executable).parent
SECRET = "four words of passphrase"
PLAUSIBLE = (
    "PASSPHRASE", "FENPOST_PASSPHRASE", "FENPOST_PASSPHRASE_FILE", "FENPOST_KEYS_PASSPHRASE", "FENPOST_AGENT_PASSPHRASE",
    "FENPOST_RELAY_PASSPHRASE", "FENPOST_KEY_FILE", "BROKER_PASSPHRASE", "KEYS_PASSPHRASE", "PASSWORD", "FENPOST_PASSWORD",
)  # fmt: skip


def secret_file(path: Path, text: str = SECRET + "\n", mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


# --- modes


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o177, 0o777])
def test_a_secret_file_is_0600_and_its_new_folder_0700_under_any_umask(tmp_path: Path, umask: int):
    before = os.umask(umask)
    try:
        with new_files(tmp_path / "folder") as files:
            path = files.secret("a.fpk", b"secret")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_so_it_is_when_the_programs_are_started_under_that_umask(tmp_path: Path, umask: int):
    words = [
        "init",
        "--dir",
        tmp_path / "o",
        "--passphrase-file",
        secret_file(tmp_path / "pass"),
        "--demonstration-cost",
    ]
    subprocess.run(
        [BIN / "fenpost-audit", *words], check=True, capture_output=True, umask=umask, timeout=60
    )  # fmt: skip
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "o").iterdir()}
    assert found["officer.fpk"] == 0o600


# --- once, and whole


def test_what_is_there_is_never_written_over_whatever_it_is(tmp_path: Path):
    """The last step itself refuses: another command may have made the file after the first look."""
    (tmp_path / "there.fpk").write_bytes(b"the only key")
    (tmp_path / "empty.fpk").touch()
    (tmp_path / "dangling.fpk").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "folder.fpk").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    for name in before:
        for write in (NewFiles(tmp_path).secret, NewFiles(tmp_path).public):
            with pytest.raises(Refusal, match="EXISTS"):
                write(name, b"another key")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "there.fpk").read_bytes() == b"the only key"
    assert (tmp_path / "empty.fpk").read_bytes() == b""


def test_of_many_who_write_one_name_at_once_one_does_and_its_bytes_are_whole(tmp_path: Path):
    said, refusals, start = [], [], threading.Barrier(16)

    def write(number: int) -> None:
        start.wait()
        try:
            NewFiles(tmp_path).secret("a.fpk", bytes([number]) * 100_000)
        except Refusal as refusal:
            refusals.append(refusal.code)
        else:
            said.append(number)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    (winner,) = said
    assert refusals == ["EXISTS"] * 15
    assert (tmp_path / "a.fpk").read_bytes() == bytes([winner]) * 100_000
    assert [path.name for path in tmp_path.iterdir()] == ["a.fpk"]


def test_what_a_killed_command_left_is_in_nobodys_way_and_its_bytes_stay_where_they_are_linked(
    tmp_path: Path,
):
    (tmp_path / ".a.fpk.part").write_bytes(b"of a command that was killed")
    os.link(tmp_path / ".a.fpk.part", tmp_path / "moved-away.fpk")
    NewFiles(tmp_path).secret("a.fpk", b"new")
    assert (tmp_path / "a.fpk").read_bytes() == b"new"
    assert (tmp_path / "moved-away.fpk").read_bytes() == b"of a command that was killed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fpk", "moved-away.fpk"]


def test_a_link_in_the_way_of_the_part_is_not_followed(tmp_path: Path):
    secret_file(tmp_path / "other", "somebody's")
    (tmp_path / ".a.fpk.part").symlink_to(tmp_path / "other")
    with pytest.raises(Refusal, match="FILE"):
        NewFiles(tmp_path).secret("a.fpk", b"new")
    assert (tmp_path / "other").read_text() == "somebody's"


FULL = """
import secrets, sys
from pathlib import Path
from keys_tooling.console import World, run
from keys_tooling.audit_main import audit
sys.argv[1:] = ["init", "--dir", sys.argv[1], "--passphrase-file", sys.argv[2], "--demonstration-cost"]
run(audit, World(lambda: 1795305600.0, secrets.token_bytes))
"""
"""An officer's two files: 0.4 KB and 2 KB."""


def test_a_full_disk_leaves_nothing_half_written_and_says_so(tmp_path: Path):
    """A file system of one page that is full but for one file: the second write finds no room."""
    place = tmp_path / "full"
    place.mkdir()
    secret_file(tmp_path / "pass")
    script = (
        f"mount -t tmpfs -o size=16k,mode=700 tmpfs {place} && mkdir -m 700 {place}/o && head -c 9000 /dev/zero > {place}/big; "
        f'"{sys.executable}" -c "$0" {place}/o {tmp_path}/pass; echo "ended $?"; ls -A {place}/o'
    )
    for enter in (["unshare", "-m"], ["unshare", "-rm"]):
        done = subprocess.run(
            [*enter, "sh", "-c", script, FULL], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
            timeout=60,
        )  # fmt: skip
        if "ended" in done.stdout:
            break
    else:
        done = limited(tmp_path)
    assert "DISK_FULL" in done.stderr, done
    assert "DISK_FULL: The disk is full. Free some space" in done.stderr
    assert done.stdout == "ended 1\n"


def limited(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The same where nobody may mount: no file may grow beyond a kilobyte."""
    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 2; exec "$@"', "sh", sys.executable, "-c", FULL, tmp_path / "o", tmp_path / "pass"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], timeout=60,
    )  # fmt: skip
    left = sorted(path.name for path in (tmp_path / "o").iterdir())
    return subprocess.CompletedProcess([], 0, f"ended {done.returncode}\n" + "".join(left), done.stderr)


def test_a_file_that_may_not_grow_is_a_full_disk_too(tmp_path: Path):
    secret_file(tmp_path / "pass")
    done = limited(tmp_path)
    assert "DISK_FULL" in done.stderr
    assert done.stdout == "ended 1\n"


def test_a_key_file_with_any_byte_changed_does_not_open():
    whole = lock({"a": "b"}, "admin", SECRET.encode(), QUICK, secrets.token_bytes)
    assert unlock(whole, "admin", SECRET.encode()) == {"a": "b"}
    for at in range(len(whole)):
        for bit in (1, 0x80):
            changed = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
            with pytest.raises(Refusal) as caught:
                unlock(changed, "admin", SECRET.encode())
            assert (caught.value.code, caught.value.say) == ("KEYFILE", Refusal("KEYFILE").say), (at, bit)


# --- the environment


@pytest.mark.parametrize(
    "words",
    [
        ("fenpost-keys", "check", "--dir", "{home}"),
        ("fenpost-keys", "backup", "--dir", "{home}", "--out", "{home}/x.fpb"),
        ("fenpost-audit", "init", "--dir", "{home}/o"),
        ("fenpost-agent", "run", "--dir", "{home}"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_no_passphrase_is_taken_from_the_environment(tmp_path: Path, words: tuple[str, ...]):
    secret_file(tmp_path / "admin.fpk", "x")
    (tmp_path / "agent.toml").write_text("[agent]\n")
    environment = {**os.environ, **dict.fromkeys(PLAUSIBLE, SECRET)}
    named = [word.format(home=tmp_path) for word in words]
    done = subprocess.run(
        [BIN / named[0], *named[1:]], capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert "passphrase file" in done.stderr.lower() or "--passphrase-file" in done.stderr
    assert SECRET not in done.stderr + done.stdout


# --- what the service manager hands over


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    (tmp_path / "credentials").mkdir()
    return secret_file(tmp_path / "credentials" / "fenpost", mode=0o440).parent


def test_the_agent_takes_its_passphrase_from_a_credential(handed: Path):
    path = credential("fenpost", {"CREDENTIALS_DIRECTORY": str(handed)})
    assert read_passphrase(path, handed=True) == SECRET.encode()


def test_the_relay_takes_its_passphrase_from_a_credential(handed: Path, tmp_path: Path):
    world = World.again(tmp_path / "world", "Peacock")
    settings = world.write_relay_folder()
    (handed / "relay").write_bytes(PASSPHRASE)
    (handed / "relay").chmod(0o440)
    text = settings.read_text().replace(
        'passphrase_file = "passphrase"', 'passphrase_file = "credential:relay"'
    )
    settings.write_text(text)
    environment = {"CREDENTIALS_DIRECTORY": str(handed)}
    assert load(settings, environment).read_keys().log.kid == world.founded.relay.log.kid
    (handed / "relay").chmod(0o444)
    with pytest.raises(Refusal, match="FILE"):
        load(settings, environment).read_keys()
    for without in ({}, {"CREDENTIALS_DIRECTORY": ""}, {"CREDENTIALS_DIRECTORY": str(tmp_path)}):
        with pytest.raises(Refusal, match="no credential of that name"):
            load(settings, without)


def test_a_credential_that_the_world_may_read_is_refused(handed: Path):
    (handed / "fenpost").chmod(0o444)
    with pytest.raises(Refusal, match="FILE"):
        read_passphrase(handed / "fenpost", handed=True)


@pytest.mark.parametrize("name", ["", "../fenpost", "a/b", "missing", "."])
def test_a_credentials_name_leads_nowhere_else(handed: Path, name: str):
    with pytest.raises(Refusal, match="SETTINGS"):
        credential(name, {"CREDENTIALS_DIRECTORY": str(handed)})


@pytest.mark.parametrize("name", ["relay.fpk", "passphrase"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_the_relay_refuses_secrets_that_others_may_read(tmp_path: Path, name: str, mode: int):
    world = World.again(tmp_path, "Peacock")
    settings = world.write_relay_folder()
    assert load(settings, {}).read_keys()
    (settings.parent / name).chmod(mode)
    with pytest.raises(Refusal, match=f"FILE: Others on this machine may read {name}"):
        load(settings, {}).read_keys()


# --- core files


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.mark.parametrize("program", ["fenpost-keys", "fenpost-audit", "fenpost-agent"])
def test_a_program_that_is_broken_off_leaves_no_core_file(tmp_path: Path, asking: list, program: str):
    """It waits for a passphrase at a terminal, though it was started by somebody who wants core files."""
    secret_file(tmp_path / "admin.fpk", "x")
    (tmp_path / "agent.toml").write_text("[agent]\n")
    words = {
        "fenpost-keys": ["check", "--dir", str(tmp_path)],
        "fenpost-audit": ["init", "--dir", str(tmp_path / "o")],
        "fenpost-agent": ["run", "--dir", str(tmp_path)],
    }[program]
    main, other = pty.openpty()
    process = subprocess.Popen(
        ["sh", "-c", 'ulimit -c "$(ulimit -Hc)"; exec "$@"', "sh", BIN / program, *words],
        cwd=tmp_path, stdin=other, stdout=other, stderr=other, start_new_session=True,
    )  # fmt: skip
    asking.append(process)
    os.close(other)
    shown = b""
    while b"assphrase" not in shown:
        shown += os.read(main, 1024)
    limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core file size")] == [
        ["0", "0"]
    ]
    process.send_signal(signal.SIGABRT)
    assert process.wait(30) == -signal.SIGABRT
    os.close(main)
    time.sleep(0.1)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("core")]
