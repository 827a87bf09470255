"""Tokens as the key tools reach them: the PIN comes from --token-pin-file, or is typed unseen, once for each token."""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.options import FILE

if TYPE_CHECKING:
    from schemas.token_place import TokenKey, TokenPlace

FILED = "token_pin_file"


def _note(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    context.meta[FILED] = value


PIN_FILE = click.option(
    "--token-pin-file",
    type=FILE,
    callback=_note,
    expose_value=False,
    help="A file with the PIN of the token, readable by you only. Asked for otherwise.",
)
"""Stands at the program itself, before the command: every command that signs may meet a key on a token."""


def on_token(place: TokenPlace, data: bytes) -> bytes:
    """Have a token sign. Raises Refusal TOKEN, FILE; click.UsageError where nobody can be asked for the PIN."""
    from agent.tokens import Tokens

    return Tokens(pin_of).sign(place, data)


def made_on_token(module: Path, label: str, name: str) -> TokenKey:
    """A new key on a token, under this name. Raises Refusal TOKEN, EXISTS, and as on_token."""
    from agent.tokens import Tokens
    from schemas.token_place import TokenKey

    place = Tokens(pin_of).make(str(module.absolute()), label, name.encode("ascii"))
    return TokenKey(place, on_token)


@lru_cache
def pin_of(label: str) -> str:
    """The PIN of the token of this name, asked for once while the program runs."""
    from schemas.errors import Refusal

    try:
        return _pin(label).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal("TOKEN", "That is not a PIN that this token could have. Nothing was tried.") from error


def _pin(label: str) -> bytes:
    from keys_tooling.passphrases import known_passphrase

    context = click.get_current_context(silent=True)
    file: Path | None = None if context is None else context.meta.get(FILED)
    if file is not None:
        return known_passphrase(file, "the token")
    if not sys.stdin.isatty():
        raise click.UsageError(
            "There is no terminal to ask for the token's PIN: give --token-pin-file first of all."
        )
    text: str = click.prompt(f"PIN of the token {label}", hide_input=True, err=True)
    return text.encode("utf-8")
