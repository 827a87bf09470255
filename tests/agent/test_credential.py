"""An agent that nobody attends takes its passphrase from the service manager, and refuses one that others may read."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agent.agencies import folder_of
from tests.simulated_world import PASSPHRASE, World
from tests.town import until

AGENT = Path(sys.executable).parent / "fenpost-agent"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An agent's folder whose settings name a credential, and no passphrase in it."""
    found = folder_of(World.again(tmp_path, "Peacock"), "Peacock")
    settings = found / "agent.toml"
    lines = [
        line
        for line in settings.read_text().splitlines()
        if not line.startswith(("passphrase_file", "listen"))
    ]
    settings.write_text(
        "\n".join([*lines, 'passphrase_file = "credential:fenpost"', 'listen = "127.0.0.1:0"', ""])
    )
    (found / "passphrase").unlink()
    return found


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    """What the service manager hands over: a folder of its own, and the credential in it."""
    path = tmp_path / "credentials" / "fenpost"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(PASSPHRASE + b"\n")
    path.chmod(0o440)
    return path


def status(home: Path) -> dict[str, Any]:
    said = subprocess.run(
        [AGENT, "status", "--dir", home, "--json"], capture_output=True, check=True, timeout=60
    )
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def test_it_starts_with_the_credential_and_answers(home: Path, handed: Path):
    environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(handed.parent)}
    process = subprocess.Popen(
        [AGENT, "run", "--dir", home], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )  # fmt: skip
    try:
        until(lambda: (home / "agent.port").exists() or process.poll() is not None, "the agent listens")
        assert process.poll() is None
        until(lambda: status(home)["relay"]["code"] == "RELAY_AWAY", "it has looked for its relay")
        assert PASSPHRASE not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("spoil", "code"), [("missing", "SETTINGS"), ("everybody's", "FILE"), ("another's", "KEYFILE")]
)
def test_it_does_not_start_without_a_good_one(home: Path, handed: Path, spoil: str, code: str):
    environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(handed.parent)}
    if spoil == "missing":
        del environment["CREDENTIALS_DIRECTORY"]
    elif spoil == "everybody's":
        handed.chmod(0o444)
    else:
        handed.chmod(0o600)
        handed.write_bytes(b"the words of another\n")
        handed.chmod(0o440)
    done = subprocess.run(
        [AGENT, "run", "--dir", home], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )  # fmt: skip
    assert (done.returncode, done.stderr.split(":")[0]) == (1, code), done.stderr
    assert PASSPHRASE.decode() not in done.stderr + done.stdout
