"""The commands that the README and the CI name exist, and the wheel carries what the code reads."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "broker", "agent", "keys_tooling")


def run(*command: str) -> str:
    quiet = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("target", ["demo", "test", "bench", "run", "help", "storm", "interop"])
def test_make_help_lists_it(target: str):
    assert re.search(rf"^ +make {target} +\S", run("make"), re.MULTILINE)


def test_the_ci_runs_the_four_checks_in_order():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "for target in test interop storm demo; do" in script.read_text(encoding="utf-8")


def test_plain_pytest_leaves_storm_and_interop_alone(pytestconfig: pytest.Config):
    assert {"storm", "interop"} <= set(pytestconfig.getini("norecursedirs"))


def test_the_wheel_carries_every_file_of_the_packages(tmp_path: Path):
    uv = Path(sys.executable).with_name("uv")
    run(
        str(uv),
        "build",
        "--wheel",
        "--offline",
        "--no-build-isolation",
        "--quiet",
        "--out-dir",
        str(tmp_path),
    )
    [wheel] = tmp_path.glob("*.whl")
    shipped = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    there = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert there - shipped == set()
    assert {name.split("/")[0] for name in shipped} == {*PACKAGES, "fenpost-0.1.0.dist-info"}
