"""The demonstration fails loudly: a step that does not hold ends it with exit 1, and its report says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.demo import Story
from tests.town import TownError

ROOT = Path(__file__).parents[2]


def played(programs: Path, report: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """The demonstration with other commands than the real ones, as `make demo DEMO_JSON=...` plays it."""
    demo = [sys.executable, "-P", str(ROOT / "tests" / "demo.py"), "--json", str(report)]
    folder.mkdir()
    return subprocess.run(
        [*demo, "--programs", str(programs)],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def program(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_what_does_not_hold_ends_the_story() -> None:
    story = Story()
    with pytest.raises(TownError, match="the desk reads it"), story.step("It is delivered"):
        story.expect([], "the desk reads it")
    assert [step["ok"] for step in story.steps] == [False]


def test_what_holds_is_told_and_its_step_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    story = Story()
    with story.step("It is delivered"):
        story.expect(["an item"], "the desk reads it")
    assert story.steps[0]["ok"] is True
    assert "✓ the desk reads it" in capsys.readouterr().out


def test_a_command_that_refuses_ends_the_demonstration_with_one(tmp_path: Path) -> None:
    programs, report = tmp_path / "programs", tmp_path / "demo.json"
    program(programs, "fenpost-audit", "echo 'DISK_FULL: the disk is full' >&2; exit 1")
    done = played(programs, report, tmp_path / "place")
    said = json.loads(report.read_text())
    assert (done.returncode, said["ok"]) == (1, False)
    assert "DISK_FULL" in done.stderr
    assert [step["ok"] for step in said["steps"]] == [False]
    assert "All of it held" not in done.stdout


def test_what_nobody_expected_ends_it_with_one_and_is_reported_too(tmp_path: Path) -> None:
    programs, report = tmp_path / "programs", tmp_path / "demo.json"
    program(programs, "fenpost-audit", "exit 0")  # and no other command is there at all
    done = played(programs, report, tmp_path / "place")
    said = json.loads(report.read_text())
    assert (done.returncode, said["ok"]) == (1, False)
    assert [step["ok"] for step in said["steps"]] == [False]
