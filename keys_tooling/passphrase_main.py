"""fenpost-keys passphrase: the same keys under another passphrase."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.console import World, report
from keys_tooling.options import DEMONSTRATION, DRY, FILE, JSON, PASSPHRASE, YES

if TYPE_CHECKING:
    from keys_tooling.relocking import Locked

AFTER = {
    "agent": "write the new passphrase into the file that agent.toml names (passphrase_file), start the agent anew; "
    "agent.db stays as it is",
    "relay": "write the new passphrase into the file that relay.toml names (passphrase_file), start the relay anew",
    "admin": "the commands of a folder open admin.fpk, agent.fpk and ask.fpk with one passphrase: change them together",
}
"""What people must do then, by what the file holds."""
STOPPED = (
    "A key file does not open with that passphrase. If a run before this one was stopped, it has the new passphrase "
    "already: type the same new one again. If not, stop here, and begin again with the right passphrase."
)
KEPT = (
    "copies, backups and old-*.fpk keep the old passphrase: destroy them, and make a new backup",
    "whoever read the keys has them still: fenpost-keys rotate, or recover",
)


@click.command("passphrase")
@click.argument("files", metavar="KEYFILE...", type=FILE, nargs=-1, required=True)
@PASSPHRASE
@click.option(
    "--new-passphrase-file", type=FILE, help="A file with the new passphrase. Asked for twice otherwise."
)
@YES
@DRY
@DEMONSTRATION
@JSON
@click.pass_obj
def passphrase(
    world: World,
    files: tuple[Path, ...],
    passphrase_file: Path | None,
    new_passphrase_file: Path | None,
    yes: bool,
    dry: bool,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Change the passphrase of key files. The keys stay the same, and so does everything that knows them.

    Each file is replaced in one step, once its successor was opened with the new passphrase. Killed at any moment, run
    it again with the same two passphrases: what was changed already is passed over.

    \b
    Example:
      fenpost-keys passphrase peacock/admin.fpk peacock/agent.fpk
    """
    from keys_tooling import relocking
    from keys_tooling.demonstration import cost
    from keys_tooling.making import described, goes_on
    from keys_tooling.passphrases import known_passphrase, new_passphrase

    old = known_passphrase(passphrase_file, "the key files as they are")

    @cache
    def new() -> bytes:
        return new_passphrase(new_passphrase_file, "the key files from now on")

    @cache
    def typed_again() -> bytes:
        click.echo(STOPPED, err=True)
        return new()

    if new_passphrase_file:
        new()
    held = [relocking.opened(path, old, new if new_passphrase_file else typed_again) for path in files]
    missing = [one for one in held if not one.before]
    after = [*(AFTER[kind] for kind in dict.fromkeys(one.holds for one in missing) if kind in AFTER), *KEPT]
    lines = [f"{one.path} gets the new passphrase" for one in missing]
    lines += [f"{one.path} has it already" for one in held if one.before]
    if missing and not goes_on(described(lines, after), _facts(held), yes=yes, dry=dry, as_json=as_json):
        return
    if missing:
        price = cost(demonstration_cost)
        for one in missing:
            relocking.relock(one, old, new(), price, world)
    text = "\n".join([*lines, "", "Now:", *(f"- {step}" for step in after)]) if missing else "\n".join(lines)
    report({**_facts(held), "applied": bool(missing) and not dry}, text, as_json=as_json)


def _facts(held: list[Locked]) -> dict[str, object]:
    return {
        "files": [{"file": str(one.path), "holds": one.holds, "was_changed": one.before} for one in held],
    }
