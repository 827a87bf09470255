"""What every command of `fenpost-agent` shares: the folder, the line to its agent, how results are printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)


class Id(click.Argument):
    """An id is base64url, so one in 64 begins with a hyphen: it is no option for that."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        parser.ignore_unknown_options = True
        super().add_to_parser(parser, ctx)


def folder(command: F) -> F:
    """--dir and --json, which every command has."""
    command = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(command)
    return click.option(
        "--dir", "home", type=PATH, default=Path(), show_default="this folder", help="The agent's folder."
    )(command)


def line(home: Path) -> Any:
    """The line to the agent of a folder."""
    from agent.call import Line

    return Line(home)


def say(as_json: bool, value: Any, text: str) -> None:
    """Print a result."""
    click.echo(json.dumps(value, ensure_ascii=True) if as_json else text)


def read(file: Any) -> Any:
    """Strict JSON from a file."""
    from agent.legible import legible
    from agent.limits import FORM_LIMIT

    return legible(file.read(FORM_LIMIT + 1))


def safe(text: str) -> str:
    """A name as one part of an address."""
    from urllib.parse import quote

    return quote(text, safe="")
