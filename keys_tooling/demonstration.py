"""The one place that can weaken a key file: for demonstrations and tests, and never quietly."""

from __future__ import annotations

from keys_tooling.console import tell
from schemas.keyfile import MODERATE, QUICK, Cost


def cost(demonstration: bool) -> Cost:
    """argon2id's cost for new key files; says a warning when it is the weak one."""
    if demonstration:
        tell("WARNING: --demonstration-cost. These key files are easily broken. Never use them for real.")
    return QUICK if demonstration else MODERATE
