"""No program of ours leaves a core file, and none lets others of its user look into its memory."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASKED = """
import contextlib, ctypes, resource, sys
with contextlib.suppress(BaseException):
    {begun}
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
BEGUN = {
    "fenpost-broker": "from broker.__main__ import main; main(['run', '--config', '/nowhere/relay.toml'])",
    "the relay's calculator": "import broker.calculator as c, io; c.signal.signal = c.os._exit = print; sys.stdin.close(); c.main()",
    "an agent's checker": "import agent.checker as c; c.signal.signal = c.os._exit = print; sys.stdin.close(); c.main()",
    "fenpost-agent": "from agent.__main__ import main; main(['run', '--dir', '/nowhere'])",
    "fenpost-keys": "from keys_tooling.keys_main import main; sys.argv[1:] = ['agency', 'show', '/nowhere']; main()",
    "fenpost-audit": "from keys_tooling.audit_main import main; sys.argv[1:] = ['verify', '--dir', '/nowhere']; main()",
}


@pytest.mark.parametrize("program", BEGUN)
def test_memory_is_closed_before_anything_else_is_done(program: str):
    said = subprocess.run(
        [sys.executable, "-c", ASKED.format(begun=BEGUN[program])],
        check=True, capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    # The calculator has begun by saying that it listens, which is four zero bytes.
    assert said.stdout.splitlines()[-1].lstrip("\0") == "(0, 0) 0", said.stderr
