"""fenpost-keys restore: key files back from a backup, and what people must do then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.backup_opening import BY_SHARES, ROOTS, SHARE_FILE, opened
from keys_tooling.console import World, paragraphs, report
from keys_tooling.options import DEMONSTRATION, DRY, FILE, JSON, YES

if TYPE_CHECKING:
    from keys_tooling.plan import Facts

AGENT_STEPS = paragraphs("""\
Make sure that the old agent runs nowhere: two agents with the same keys take each other's messages. The relay
reports it.

The agent's store is not in a backup: what was received and read there is gone from here, and nobody can bring it back.
Look for a copy of agent.db.

Messages that your agency had confirmed have ended at the relay and do not come again. Those not yet confirmed are
collected again by themselves.

Receiving keys that the agent had made by itself were in its store. Make new running keys: fenpost-keys recover agent.
What was sealed to the lost ones nobody can open; its senders are asked to seal it again.

Write the new passphrase into the agent's passphrase file. Then: fenpost-agent init --dir FOLDER, and fenpost-agent run
--dir FOLDER""")


@click.command("restore")
@click.argument("backup_file", metavar="BACKUP", type=FILE)
@click.option("--dir", "folder", type=FILE, required=True, help="The folder to put key files into.")
@click.option("--file", "chosen", multiple=True, help="Only this file of the backup. Repeatable.")
@click.option(
    "--passphrase-file", type=FILE, help="A file with the backup's passphrase. Asked for otherwise."
)
@SHARE_FILE
@BY_SHARES
@click.option(
    "--new-passphrase-file",
    type=FILE,
    help="A file with the passphrase that the restored key files get. Asked for otherwise.",
)
@DEMONSTRATION
@YES
@DRY
@JSON
@click.pass_obj
def restore(
    world: World,
    backup_file: Path,
    folder: Path,
    chosen: tuple[str, ...],
    passphrase_file: Path | None,
    share_files: tuple[Path, ...],
    by_shares: bool,
    new_passphrase_file: Path | None,
    demonstration_cost: bool,
    yes: bool,
    dry: bool,
    as_json: bool,
) -> None:
    """Put a backup's key files back. It says first which. Nothing is overwritten; stopped half-way, run it again.

    \b
    Example:
      fenpost-keys restore /media/safe/peacock.fpb --dir peacock
    """
    from keys_tooling import backup_files
    from keys_tooling.demonstration import cost
    from keys_tooling.making import described, goes_on
    from keys_tooling.passphrases import new_passphrase

    found = opened(backup_file, passphrase_file, share_files, by_shares=by_shares)
    unknown = sorted(set(chosen) - set(found.head.files))
    if unknown:
        raise click.UsageError(f"The backup holds no {unknown[0]}. It holds: {', '.join(found.head.files)}")
    kept = [one for one in found.files if not chosen or one.name in chosen]
    there = [one.name for one in kept if os.path.lexists(folder / one.name)]
    makes = [one.name for one in kept if one.name not in there]
    lines = [f"{folder / name} is restored" for name in makes]
    lines += [f"{folder / name} is there already, and stays as it is" for name in there]
    plan: Facts = {"backup": found.head.id, "makes": makes, "taken": found.head.taken, "there": there}
    steps = next_steps([one.name for one in kept])
    if not goes_on(described(lines), plan, yes=yes, dry=dry, as_json=as_json):
        return
    new = None
    if any(one.holds is not None for one in kept):
        passphrase = new_passphrase(new_passphrase_file, "the restored key files")
        new = backup_files.NewLock(passphrase, cost(demonstration_cost))
    done = backup_files.restore(folder, kept, new, world)
    facts = {
        "backup": found.head.id,
        "made": list(done.made),
        "next": steps,
        "taken": found.head.taken,
        "there": list(done.there),
    }
    lines = [f"{name}: restored" for name in done.made] + [
        f"{name}: was there already" for name in done.there
    ]
    report(facts, "\n".join([*lines, "", "Now:", *(f"- {step}" for step in steps)]), as_json=as_json)


def next_steps(files: list[str]) -> list[str]:
    """What people must do after these files were restored."""
    steps = list(AGENT_STEPS) if "agent.fpk" in files else []
    if "relay/relay.fpk" in files:
        steps.append("Write the new passphrase into the file that relay.toml names (passphrase_file).")
    if any(ROOTS.fullmatch(name) for name in files):
        steps.append(
            "Take the root keys off this machine again, roots.fpk and next-roots.fpk to different places."
        )
    return [*steps, "Look whether everything fits: fenpost-keys check --dir FOLDER"]
