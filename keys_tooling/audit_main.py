"""fenpost-audit: what an IG officer types. Parses the command line; the work is in keys_tooling.audit."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import click

from keys_tooling.console import World, report, run

FILE = click.Path(path_type=Path)


def main() -> None:
    """The program's entrance."""
    run(audit, World(time.time, secrets.token_bytes))


@click.group()
@click.version_option(package_name="fenpost", message="%(version)s")
def audit() -> None:
    """Keep your own copy of the audit log, prove that it is whole, and read your agency's entries.

    \b
    Example:
      fenpost-audit pull --dir officer && fenpost-audit verify --dir officer
    """


_dir = click.option("--dir", "folder", type=FILE, required=True, help="The officer's folder.")
_passphrase = click.option(
    "--passphrase-file",
    type=FILE,
    help="A file with the passphrase, readable by you only. Asked for otherwise.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@audit.command("init")
@_dir
@click.option("--person", default="ig", show_default=True, help="The role that the card names, never a name.")
@_passphrase
@click.option("--demonstration-cost", is_flag=True, hidden=True)
@_json
@click.pass_obj
def audit_init(
    world: World,
    folder: Path,
    person: str,
    passphrase_file: Path | None,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Make an IG officer's keys, and the card that she hands to her agency's administrator.

    \b
    Example:
      fenpost-audit init --dir officer
    """
    from keys_tooling.audit import officer_folder
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import new_passphrase

    passphrase = new_passphrase(passphrase_file, "the officer's keys")
    card, number = officer_folder.init(folder, person, passphrase, cost(demonstration_cost), world)
    text = (
        f"Card           {card}\n"
        f"Safety number  {number}\n\n"
        "Hand the card to your agency's administrator and read the safety number aloud to them.\n"
        "Keep the folder and its passphrase: without them nobody opens your agency's entries.\n\n"
        f"Next, when the agency is in:\n  fenpost-audit pull --dir {folder} --partnership partnership.json"
    )
    report({"card": str(card), "person": person, "safety_number": number}, text, as_json=as_json)
