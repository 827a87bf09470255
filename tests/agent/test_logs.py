"""The diagnostic log shows what is allowed and nothing else."""

import json
import logging
import subprocess
import sys

import pytest

from agent.logs import allow_listed


def test_a_field_that_nobody_allowed_is_dropped():
    assert allow_listed(None, "info", {"event": "x", "name": "Robin"}) == {"event": "x"}


def test_a_value_that_is_not_plain_shows_its_kind_only():
    shown = allow_listed(None, "info", {"event": "x", "error": ValueError("CANARY")})
    assert shown == {"event": "x", "error": "ValueError"}


@pytest.mark.parametrize("line", ["log.error('x', say='CANARY')", "logging.getLogger('lib').error('CANARY')"])
def test_words_never_reach_the_log(line):
    program = f"import logging; from agent.logs import begin, log; begin('debug'); {line}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "CANARY" not in done.stderr + done.stdout
    assert json.loads(done.stderr)["level"] in ("error", "warning")


def test_the_test_run_itself_keeps_its_handlers():
    assert logging.getLogger().handlers
