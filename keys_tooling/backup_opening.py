"""Opening a backup at the command line: with its passphrase, or with shares from files or typed unseen."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.console import tell
from keys_tooling.options import FILE
from schemas.errors import Refusal

if TYPE_CHECKING:
    from keys_tooling.backup import Backup, Opened
    from keys_tooling.shares import Share39

TRIES = 5
ROOTS = re.compile(r"(next-)?roots?(-[^/]*)?\.fpk")
"""Root keys: the founding's, a holder's own, a recovery's. In a backup only when named, and one file alone."""
SHARE_FILE = click.option(
    "--share-file",
    "share_files",
    type=FILE,
    multiple=True,
    help="A file with one share, readable by you only. Repeatable. Without any, shares are typed.",
)
BY_SHARES = click.option("--by-shares", is_flag=True, help="Open it with shares, though it has a passphrase.")


def opened(
    path: Path, passphrase_file: Path | None, share_files: tuple[Path, ...], *, by_shares: bool
) -> Opened:
    """The backup, open.

    Raises:
        Refusal: FILE, KEYFILE, SHARE.
        click.UsageError: it has no shares, or there is no terminal to type them at.
    """
    from keys_tooling.backup import MOST, Backup
    from keys_tooling.keyfiles import read_public
    from keys_tooling.passphrases import known_passphrase

    found = Backup.parse(read_public(path, MOST))
    tell(f"Backup {found.head.id}, as it says of itself. It holds: {', '.join(found.head.files)}")
    if share_files or by_shares or not found.slot:
        return found.open(_from_shares(found, share_files))
    return found.open(found.secret(known_passphrase(passphrase_file, "the backup")))


def _from_shares(found: Backup, share_files: tuple[Path, ...]) -> bytes:
    from keys_tooling.backup_files import read_share
    from keys_tooling.shares import combine

    if found.head.need is None:
        raise click.UsageError("This backup has no shares. It opens with its passphrase.")
    if share_files:
        given = [read_share(path) for path in share_files]
        for name, share in given:
            _check_set(found, name, share.set)
        return combine(given)
    return combine(_typed(found))


def _typed(found: Backup) -> list[tuple[str, Share39]]:
    """Shares from the terminal, unseen, each checked at once, so that its holder can look at her page again."""
    if not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to type shares at: give --share-file.")
    given: list[tuple[str, Share39]] = []
    while len(given) < (found.head.need or 0):
        given.append(_one_share(found, given))
        tell(f"Share {given[-1][1].number} is right.")
    return given


def _one_share(found: Backup, given: list[tuple[str, Share39]]) -> tuple[str, Share39]:
    from keys_tooling.shares import read

    name = f"share {len(given) + 1} of the {found.head.need} needed"
    for left in range(TRIES, 0, -1):
        text: str = click.prompt(f"Type {name}: all its words in one line, unseen", hide_input=True, err=True)
        try:
            share = read(text, f"What you typed as {name}")
            _check_set(found, f"What you typed as {name}", share.set)
            if any(share.number == other.number for _, other in given):
                raise Refusal(
                    "SHARE", f"Share {share.number} was typed already. Another holder must type hers."
                )
        except Refusal as refusal:
            if left == 1:
                raise
            tell(f"{refusal.code}: {refusal.say}")
        else:
            return f"share {share.number}", share
    raise Refusal("SHARE")


def _check_set(found: Backup, name: str, shares: int) -> None:
    if shares != found.head.set:
        raise Refusal(
            "SHARE",
            f"{name} is of another backup, or of a set that was replaced. Look for the page that says {found.head.id}.",
        )
