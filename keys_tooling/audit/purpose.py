"""Where and why an officer opens entries, as every command that does so asks it (PROTOCOL.md U2)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.options import OFFICER, PASSPHRASE, as_one
from schemas.reasons import WHYS, WORDS, Why

if TYPE_CHECKING:
    from keys_tooling.audit.session import Session
    from keys_tooling.console import World


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why she opens, as her command line says it."""

    why: Why
    words: str
    offline: bool


@dataclass(frozen=True, slots=True)
class Occasion:
    """An opening as her command line asks for it: her folder, where its passphrase is, and why she opens."""

    folder: Path
    passphrase_file: Path | None
    purpose: Purpose

    def session(self, world: World) -> Session:
        """Her folder, opened. Raises as keys_tooling.audit.session.Session.begin."""
        from keys_tooling.audit.session import Session

        return Session.begin(self.folder, self.passphrase_file, world)


def _occasion(folder: Path, passphrase_file: Path | None, why: Why, words: str, *, offline: bool) -> Occasion:
    return Occasion(folder, passphrase_file, Purpose(why, words, offline))


purposed = as_one(
    "at",
    _occasion,
    OFFICER,
    PASSPHRASE,
    click.option(
        "--reason", "why", type=click.Choice(WHYS), default="routine", show_default=True,
        help="Why you open these entries; it is logged before anything is shown.",
    ),
    click.option("--words", default="", help=f"Why, in your own words ({WORDS} letters); officers read it."),
    click.option("--offline", is_flag=True, help="Open although the relay cannot be told first; say why."),
)  # fmt: skip
"""The options of every command that opens entries; the command gets them as one `at`, an Occasion."""
