"""The runbook's session does what it says, as it is printed."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.ports import free_port

RUNBOOK = Path(__file__).parents[2] / "keys_tooling" / "README.md"
PATIENCE = 60.0


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_the_session_of_the_runbook_runs_as_printed(tmp_path: Path):
    ports = {"8440": str(free_port()), "8441": str(free_port())}
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    relay: subprocess.Popen | None = None
    out = ""
    try:
        for block in blocks():
            for printed, free in ports.items():
                block = block.replace(f"127.0.0.1:{printed}", f"127.0.0.1:{free}")
            block = re.sub(r"^(fenpost-.* init) ", r"\1 --demonstration-cost ", block, flags=re.MULTILINE)
            if block.startswith("fenpost-broker run"):
                command = ["sh", "-c", f"exec {block}"]
                with (tmp_path / "relay.log").open("wb") as log:
                    relay = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log)
                end = time.monotonic() + PATIENCE
                while not ready(int(ports["8441"])):
                    assert time.monotonic() < end, (tmp_path / "relay.log").read_text()
                    time.sleep(0.1)
                continue
            done = subprocess.run(
                ["sh", "-e", "-c", block],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, (block, done.stdout, done.stderr)
            out += done.stdout
    finally:
        if relay is not None:
            relay.send_signal(signal.SIGTERM)
            assert relay.wait(PATIENCE) == 0
    assert relay is not None
    assert "is a member now" in out
    assert "WHOLE. Everything stored is what the relay signed" in out
    assert "17 entries belong to other agencies and stay closed." in out
    assert "thresholds.prompt_days: was 14, becomes 21." in out
    assert "Version 2 is on record now." in out
    assert "Version 3 is on record now." in out
    assert "policy-3 is named." in out
    assert "lead-2 is countersigned." in out
    assert "The Peacock Project  lead-2  counts later" in out
    assert "Nothing may go now." in out
    assert "2 entries: 1-2" in out
    assert "Nothing was deleted yet." in out
    pulling = next(block for block in blocks() if block.startswith("fenpost-audit pull"))
    away = subprocess.run(
        ["sh", "-c", pulling.split("fenpost-audit verify")[0]],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (away.returncode, away.stderr.split(":")[0]) == (3, "RELAY_AWAY")
