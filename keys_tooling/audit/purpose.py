"""Why an officer opens entries, as every command that does so asks it (PROTOCOL.md U2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from schemas.reasons import WHYS, WORDS, Why

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Purpose:
    """Why she opens, as her command line says it."""

    why: Why
    words: str
    offline: bool


def purposed(command: F) -> F:
    """The options with which every command that opens entries says why; they come as `why`, `words`, `offline`."""
    for option in (
        click.option("--offline", is_flag=True, help="Open although the relay cannot be told first; say why."),
        click.option("--words", default="", help=f"Why, in your own words ({WORDS} letters); officers read it."),
        click.option(
            "--reason", "why", type=click.Choice(WHYS), default="routine", show_default=True,
            help="Why you open these entries; it is logged before anything is shown.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command
