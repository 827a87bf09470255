"""A person's own key, out of her key file: opened by the command that she types, never by the agent."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.secretfile import read_passphrase, read_secret
from schemas import keyfile
from schemas.errors import Refusal
from schemas.keyring import PersonKeys


def read_person(path: Path, passphrase_file: Path | None) -> PersonKeys:
    """Raises Refusal FILE, KEYFILE."""
    return PersonKeys.from_json(
        keyfile.unlock(read_secret(path, keyfile.LIMIT), PersonKeys.HOLDS, _passphrase(passphrase_file))
    )


def _passphrase(given: Path | None) -> bytes:
    if given is not None:
        return read_passphrase(given)
    if not sys.stdin.isatty():
        raise Refusal("KEYFILE", "Name a passphrase file, or do this at a terminal.")
    import click

    return str(click.prompt("Passphrase of your key", hide_input=True, err=True)).encode()
