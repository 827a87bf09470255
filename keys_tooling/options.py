"""Options that commands of every kind take, in the same words everywhere."""

from __future__ import annotations

from pathlib import Path

import click

FILE = click.Path(path_type=Path)
PASSPHRASE = click.option(
    "--passphrase-file",
    type=FILE,
    help="A file with the passphrase, readable by you only. Asked for otherwise.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
