"""Long commands show on a terminal how far they are, and write nothing of it anywhere else."""

import asyncio
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from keys_tooling.audit.exporting import FILE
from tests.keys_tooling.officer_place import Place
from tests.keys_tooling.test_evidence import played

OPENS = ("--offline", "--reason", "review", "--words", "the relay is away")
LONG: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "--dir", "officer"),
    "verify evidence": ("verify", f"officer/evidence/{FILE}"),
    "read": ("read", "--dir", "officer", *OPENS),
    "headers": ("headers", "--dir", "officer", *OPENS),
    "query": ("query", "deleted", "--dir", "officer", *OPENS),
    "report": ("report", "weekly", "--dir", "officer", "--to", "reports", *OPENS),
    "export": ("export", "--dir", "officer", "--to", "again", *OPENS),
    "holds": ("retention", "holds", "--dir", "officer", *OPENS),
}
PLAY = """
import secrets, sys
from keys_tooling.audit_main import audit
from keys_tooling.console import World, run
now = float(sys.argv.pop(1))
run(audit, World(lambda: now, secrets.token_bytes))
"""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return asyncio.run(played(tmp_path_factory.mktemp("kept")))


def typed(place: Place, words: tuple[str, ...], stderr: int) -> bytes:
    """What the command writes to stdout."""
    secret = () if words[0] == "verify" else ("--passphrase-file", "officer/passphrase")
    line = [sys.executable, "-c", PLAY, str(place.world.clock()), *words, *secret]
    root = Path(__file__).parents[2]
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(root),
        "TERM": "xterm",
        "HOME": str(place.folder),
    }
    done = subprocess.run(
        line, cwd=place.folder.parent, env=environ, stdout=subprocess.PIPE, stderr=stderr, check=False
    )
    assert done.returncode == 0
    return done.stdout


@pytest.mark.parametrize("name", LONG)
def test_a_long_command_shows_how_far_it_is(kept: Place, name: str):
    ours, theirs = pty.openpty()
    out = typed(kept, LONG[name], theirs)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # a terminal whose other side is closed
        pass
    os.close(ours)
    assert b"100%" in shown, shown
    assert b"100%The" not in shown
    assert b"%" not in out


def test_nothing_of_it_is_written_where_nobody_looks(kept: Place, tmp_path: Path):
    with (tmp_path / "err").open("wb") as err:
        typed(kept, LONG["verify"], err.fileno())
    assert (tmp_path / "err").read_bytes() == b""
