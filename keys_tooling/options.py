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
YES = click.option("--yes", is_flag=True, help="Do not ask before it begins.")
DRY = click.option("--dry-run", "dry", is_flag=True, help="Say what will happen, and stop there.")
DEMONSTRATION = click.option("--demonstration-cost", is_flag=True, hidden=True)
OFFICERS = click.option(
    "--officer",
    "officers",
    type=FILE,
    required=True,
    multiple=True,
    help="An IG officer's card (officer.json from fenpost-audit init). May be given several times.",
)
