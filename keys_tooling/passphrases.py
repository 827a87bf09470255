"""Passphrases: from a file that only its owner may read, or typed unseen. Never from argv or the environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from keys_tooling.keyfiles import check_private
from schemas.errors import Refusal

SHORTEST = 12
LONGEST = 1024


def known_passphrase(file: Path | None, what: str) -> bytes:
    """The passphrase of something that exists.

    Args:
        file: where it stands; asked for on the terminal when None.
        what: what it opens, as the prompt names it.

    Raises:
        Refusal: FILE, KEYFILE.
        click.UsageError: there is neither a file nor a terminal.
    """
    return _from_file(file) if file else _typed(what, confirm=False)


def new_passphrase(file: Path | None, what: str) -> bytes:
    """A passphrase for something new: at least 12 characters, typed twice. Raises as known_passphrase does."""
    chosen = _from_file(file) if file else _typed(what, confirm=True)
    if len(chosen) < SHORTEST:
        raise Refusal(
            "KEYFILE", "The passphrase is shorter than 12 characters. Choose one of at least four words."
        )
    return chosen


def _from_file(file: Path) -> bytes:
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_CLOEXEC), "rb") as stream:
            check_private(os.fstat(stream.fileno()), "the passphrase file")
            data = stream.read(LONGEST + 3)
    except OSError as error:
        raise Refusal("FILE", "The passphrase file cannot be read. Check its name and owner.") from error
    return _checked(data.removesuffix(b"\n").removesuffix(b"\r"))


def _typed(what: str, *, confirm: bool) -> bytes:
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the passphrase: give --passphrase-file.")
    text: str = click.prompt(f"Passphrase for {what}", hide_input=True, confirmation_prompt=confirm, err=True)
    return _checked(text.encode("utf-8"))


def _checked(passphrase: bytes) -> bytes:
    if not passphrase:
        raise Refusal("KEYFILE", "The passphrase is empty. Choose one of at least four words.")
    if len(passphrase) > LONGEST or b"\n" in passphrase or b"\x00" in passphrase:
        raise Refusal("KEYFILE", "The passphrase must be one line of at most 1024 bytes.")
    return passphrase
