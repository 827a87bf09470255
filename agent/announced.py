"""What a command in the agent's own folder says beforehand that it publishes in the agency's name (PROTOCOL.md G15).

The administrator's own act must not stop her agency: whoever may write this file may also say so with the token.
"""

from __future__ import annotations

from pathlib import Path

from agent.secretfile import read_secret
from schemas.errors import Refusal

MADE = "made.txt"
LIMIT = 64 * 1024


def announced(home: Path) -> frozenset[str]:
    """Hashes of the statements that a command here made, and ids of the keys that they publish.

    None of a file that others could have written: then a person says it, with doctor --acknowledge.
    """
    try:
        return frozenset(read_secret(home / MADE, LIMIT).decode("ascii", "replace").split())
    except Refusal:
        return frozenset()
