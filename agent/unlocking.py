"""An agent's keys, out of their file (PROTOCOL.md K17, K18)."""

from __future__ import annotations

from pathlib import Path

from agent.secretfile import read_secret
from schemas import keyfile
from schemas.keyring import AgentKeys


def read_keys(path: Path, passphrase: bytes) -> AgentKeys:
    """An agent's keys. Raises Refusal FILE, KEYFILE."""
    return AgentKeys.from_json(keyfile.unlock(read_secret(path, keyfile.LIMIT), AgentKeys.HOLDS, passphrase))
