"""A person's own key, out of her key file: opened by the command that she types, never by the agent."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.secretfile import read_passphrase, read_secret
from agent.tokens import Tokens
from schemas import keyfile
from schemas.errors import Refusal
from schemas.keyring import PersonKeys

PIN_FILE = "token_pin_file"


def read_person(path: Path, passphrase_file: Path | None) -> PersonKeys:
    """Raises Refusal FILE, KEYFILE."""
    data = read_secret(path, keyfile.LIMIT)
    secrets = keyfile.unlock(data, PersonKeys.HOLDS, _passphrase(passphrase_file))
    return PersonKeys.from_json(secrets, Tokens(_pin).sign)


def _pin(label: str) -> str:
    """The PIN of a token, from the file that --token-pin-file names, or typed unseen. Raises Refusal FILE, TOKEN."""
    import click

    context = click.get_current_context(silent=True)
    file: Path | None = None if context is None else context.meta.get(PIN_FILE)
    if file is not None:
        return read_passphrase(file).decode("utf-8", "replace")
    if not sys.stdin.isatty():
        raise Refusal("TOKEN", "There is no terminal to ask for the token's PIN: give --token-pin-file.")
    return str(click.prompt(f"PIN of the token {label}", hide_input=True, err=True))


def _passphrase(given: Path | None) -> bytes:
    if given is not None:
        return read_passphrase(given)
    if not sys.stdin.isatty():
        raise Refusal("KEYFILE", "Name a passphrase file, or do this at a terminal.")
    import click

    return str(click.prompt("Passphrase of your key", hide_input=True, err=True)).encode()
