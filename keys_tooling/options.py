"""Options that commands of every kind take, in the same words everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]
Option = Callable[[Command], Command]
FILE = click.Path(path_type=Path)
AGENCY = click.option("--dir", "folder", type=FILE, required=True, help="The agency's folder.")
MEMBER = click.option(
    "--dir", "folder", type=FILE, required=True, help="The agency's folder, or oversight's."
)
OFFICER = click.option("--dir", "folder", type=FILE, required=True, help="The officer's folder.")
OVERSIGHT = click.option("--partnership-dir", "folder", type=FILE, required=True, help="Oversight's folder.")
PASSPHRASE = click.option(
    "--passphrase-file",
    type=FILE,
    help="A file with the passphrase, readable by you only. Asked for otherwise.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
YES = click.option("--yes", is_flag=True, help="Do not ask before it begins.")
DRY = click.option("--dry-run", "dry", is_flag=True, help="Say what will happen, and stop there.")
DEMONSTRATION = click.option("--demonstration-cost", is_flag=True, hidden=True)


class Id(click.Argument):
    """An id is base64url, so one in 64 begins with a hyphen: it is no option for that."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        parser.ignore_unknown_options = True
        super().add_to_parser(parser, ctx)


OFFICERS = click.option(
    "--officer",
    "officers",
    type=FILE,
    required=True,
    multiple=True,
    help="An IG officer's card (officer.json from fenpost-audit init). May be given several times.",
)


def as_one(name: str, make: Callable[..., object], *options: Option) -> Option:
    """Options that several commands take together, and that reach them as one value.

    Args:
        name: the command's parameter.
        make: makes the value; each of its parameters has an option of that name.
    """
    parts = list(signature(make).parameters)

    def add(command: Command) -> Command:
        @wraps(command)
        def typed(**words: Any) -> Any:
            value = make(**{part: words.pop(part) for part in parts})
            return command(**words, **{name: value})

        whole: Command = typed
        for option in reversed(options):
            whole = option(whole)
        return whole

    return add
