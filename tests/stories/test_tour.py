"""The tour of README.md is typed here, word for word, into the partnership that `make run` leaves up."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import forked

ROOT = Path(__file__).parents[2]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Path]:
    """A folder in which `run` is the partnership that `make run` stands up."""
    demo = [
        sys.executable,
        "-P",
        str(ROOT / "tests" / "demo.py"),
        "--stay",
        "--folder",
        str(tmp_path / "run"),
        "--programs",
        str(forked.programs()),
    ]
    process = subprocess.Popen(demo, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "The partnership is up" in line:
                break
        yield tmp_path
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 0


def commands() -> list[str]:
    """The commands of the tour's block, continued lines joined."""
    block = re.search(r"<!-- tour:.*?```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    lines = block[1].replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def typed(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PATH"] = forked.path()
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_tour_of_the_readme_goes_as_it_says(town: Path) -> None:
    path, *tour = commands()
    assert path.startswith("PATH=")
    assert len(tour) == 5
    refers, reads, withdraws, again, audits = tour

    sent = typed(refers, town)
    assert (sent.returncode, "stayed here" in sent.stdout) == (0, True), sent.stderr
    read = _until_it_shows(reads, town, "The Peacock Project")
    assert "REFER" in read
    withdrawn = typed(withdraws, town)
    assert (withdrawn.returncode, withdrawn.stdout[:10]) == (0, "Withdrawn."), withdrawn.stderr
    refused = typed(again, town)
    assert refused.returncode == 1
    assert refused.stderr.startswith("BASIS: ")
    audited = typed(audits, town)
    assert (audited.returncode, "WHOLE" in audited.stdout) == (0, True), audited.stderr


def _until_it_shows(command: str, folder: Path, words: str) -> str:
    deadline = time.monotonic() + 60
    while words not in (shown := typed(command, folder).stdout):
        assert time.monotonic() < deadline, f"never shown: {words}"
        time.sleep(0.2)
    return shown
