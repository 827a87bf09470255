"""Starting the relay: what is wrong in its settings stops it, and the program behaves as its help says."""

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from broker.app import build
from broker.settings import address, load
from schemas import sealing
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.keyring import RelayKeys
from schemas.keys import SigningKey
from schemas.mldsa import MldsaKey
from tests.simulated_world import PASSPHRASE, World


def spoiled(world: World, old: str, new: str) -> Path:
    path = world.write_relay_folder()
    path.write_text(path.read_text().replace(old, new))
    return path


def test_paths_start_at_the_settings_own_folder(world: World):
    settings = load(world.write_relay_folder(), {})
    assert settings.database == (world.folder / "relay" / "relay.db")
    assert settings.listen == f"127.0.0.1:{world.port}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[relay]", "[relais]"), ("[relay]", "[relay]\nnaem = 1"), ("[relay]", "x = 1\n[relay]"), ("listen =", "lisen ="),
        ('database = "relay.db"', ""), ('"relay.db"', "5"), ('"127.0.0.1:0"', '"127.0.0.1"'), ('"127.0.0.1:0"', '"127.0.0.1:99999"'),
        ("[relay]", '[relay]\nlog_level = "loud"'), ("[relay]", "[relay]\nconnections = 0"), ("[relay]", "[relay]\nconnections = true"),
        ("[relay]", "[relay]\nconnections = 1.5"), ("[relay]", "[relay"), ("[relay]", '[relay]\nfolder = "x"'),
    ],
)  # fmt: skip
def test_a_fault_in_the_settings_stops_the_start(world: World, old: str, new: str):
    with pytest.raises(Refusal) as refused:
        load(spoiled(world, old, new), {})
    assert refused.value.code == "SETTINGS"


def test_the_environment_replaces_what_is_no_secret(world: World):
    path = world.write_relay_folder()
    changed = {"FENPOST_LISTEN": "127.0.0.1:7", "FENPOST_LOG_LEVEL": "debug"}
    closed = dict.fromkeys(("FENPOST_KEY_FILE", "FENPOST_PASSPHRASE_FILE", "FENPOST_PARTNERSHIP"), "x")
    settings, as_written = load(path, changed | closed), load(path, {})
    assert (settings.listen, settings.log_level) == ("127.0.0.1:7", "debug")
    for name in ("key_file", "passphrase_file", "partnership", "founding", "anchor"):
        assert getattr(settings, name) == getattr(as_written, name)


def test_an_address_is_host_and_port():
    assert address("[::1]:8440") == ("::1", 8440)


async def refused_start(world: World) -> str:
    with pytest.raises(Refusal) as refused:
        running = await build(
            load(world.folder / "relay" / "relay.toml", {}), world.clock, secrets.token_bytes
        )
        await running.close()  # or a start that was not refused would keep the tests from ending
    return refused.value.code


async def test_missing_wrong_and_foreign_keys_stop_the_start(world: World):
    relay = world.folder / "relay"
    (relay / "passphrase").write_text("another one\n")
    assert await refused_start(world) == "KEYFILE"
    (relay / "passphrase").write_bytes(PASSPHRASE)
    draw = secrets.token_bytes
    other = RelayKeys(SigningKey(draw(32)), MldsaKey(draw(32)), SigningKey(draw(32)))
    (relay / "relay.fpk").write_bytes(lock(other.to_json(), "relay", PASSPHRASE, QUICK, secrets.token_bytes))
    assert await refused_start(world) == "SETTINGS"
    (relay / "relay.fpk").unlink()
    assert await refused_start(world) == "SETTINGS"


async def test_a_machine_without_the_hybrid_stops_the_start(world: World, monkeypatch: pytest.MonkeyPatch):
    """There is no classical fallback: nothing is made and nothing listens."""

    class Lacking:
        def encrypt(self, *_: object) -> bytes:
            raise UnsupportedAlgorithm("no ML-KEM")

    monkeypatch.setattr(sealing, "SUITE", Lacking())
    assert await refused_start(world) == "SELF_TEST"
    assert not (world.folder / "relay" / "relay.db").exists()


async def test_a_founding_file_that_does_not_hold_together_stops_the_start(world: World):
    founding = world.folder / "relay" / "founding.json"
    statements = json.loads(founding.read_text())
    founding.write_text(json.dumps(statements[1:]))
    assert await refused_start(world) == "UNKNOWN_AGENCY"
    founding.write_text(json.dumps({}))
    assert await refused_start(world) == "SETTINGS"
    founding.write_text(json.dumps(statements))
    async with world.relay():
        pass


# --- the program


def run(*words: str, **settings) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "broker", *words],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        **settings,
    )


@pytest.fixture
def real(tmp_path: Path) -> World:
    return World.found(tmp_path, "Peacock", "IDVAS", now=time.time())


def test_the_program_runs_drains_and_ends(real: World):
    path = real.folder / "relay" / "relay.toml"
    process = subprocess.Popen(
        [sys.executable, "-m", "broker", "run", "--config", str(path)], stderr=subprocess.PIPE, text=True
    )
    try:
        port_file = real.folder / "relay" / "relay.port"
        deadline = time.monotonic() + 60
        while not port_file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert port_file.read_text().strip() == str(real.port)
        with urllib.request.urlopen(f"http://127.0.0.1:{real.port}/healthz", timeout=60) as response:
            assert response.status == 200
        limits = Path(f"/proc/{process.pid}/limits")
        if limits.exists():
            (line,) = [
                line for line in limits.read_text().splitlines() if line.startswith("Max core file size")
            ]
            assert line.split()[4:6] == ["0", "0"]
        assert (real.folder / "relay" / "relay.db").stat().st_mode & 0o077 == 0
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    logged = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [line["event"] for line in logged] == ["listening", "stopping"]
    assert not (real.folder / "relay" / "relay.db-wal").exists()


def test_db_upgrade_makes_the_tables_and_says_so(real: World):
    path = real.folder / "relay" / "relay.toml"
    first, second = (run("db", "upgrade", "--config", str(path)) for _ in range(2))
    assert (first.returncode, first.stdout.strip()) == (0, "empty -> 0001")
    assert second.stdout.strip() == "0001 -> 0001"
    tables = (
        sqlite3.connect(real.folder / "relay" / "relay.db")
        .execute("SELECT name FROM sqlite_master")
        .fetchall()
    )
    assert ("envelopes",) in tables


def test_a_fault_is_one_sentence_and_exit_1(real: World):
    path = spoiled(real, "[relay]", "[relay]\nnaem = 1")
    done = run("run", "--config", str(path))
    assert done.returncode == 1
    assert "naem" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("run").returncode == 2


def test_a_port_that_is_taken_is_one_sentence(real: World):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", real.port))
        taken.listen()
        done = run("run", "--config", str(real.folder / "relay" / "relay.toml"), env={**os.environ})
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_an_idle_relay_stays_small(real: World):
    """Resident memory after start, before any load: at most 120 MB."""
    path = real.folder / "relay" / "relay.toml"
    process = subprocess.Popen(
        [sys.executable, "-m", "broker", "run", "--config", str(path)], stderr=subprocess.DEVNULL
    )
    try:
        import psutil

        port_file = real.folder / "relay" / "relay.port"
        deadline = time.monotonic() + 60
        while not port_file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        resident = psutil.Process(process.pid).memory_info().rss
    finally:
        process.terminate()
        process.wait(60)
    assert resident < 120 * 1000 * 1000
