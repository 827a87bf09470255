"""fenpost-keys partnership: founding one. The work is in keys_tooling.partnership."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World, report
from keys_tooling.options import DEMONSTRATION, FILE, OFFICERS

if TYPE_CHECKING:
    from keys_tooling.plan import Facts

NEXT = "\nNext:\n  "


@click.group()
def partnership() -> None:
    """Found a partnership.

    \b
    Example:
      fenpost-keys partnership init --dir partnership --name "Fenland Partnership" \\
        --relay-url https://relay.example.org --officer officer.json
    """


def offline(folder: Path) -> str:
    """Where the root keys go."""
    from keys_tooling.partnership import NEXT_ROOTS, ROOTS

    return (
        f"Take {folder / ROOTS} and {folder / NEXT_ROOTS} off this machine, to two different places:\n"
        "they are needed only to recover, and whoever finds the one must not find the other beside it."
    )


def held_apart(folder: Path, threshold: int, names: tuple[str, ...]) -> str:
    """Where the root keys go when each has a holder."""
    holders = "\n".join(
        f"  {folder / now} to one holder, {folder / after} to her other place"
        for now, after in zip(names[::2], names[1::2], strict=True)
    )
    return (
        f"Any {threshold} of these root keys replace the operational key. Take them off this machine:\n{holders}\n"
        "Nobody gets two, and a holder keeps the two files that she has in two places."
    )


@partnership.command("init")
@click.option("--dir", "folder", type=FILE, required=True, help="The folder to make.")
@click.option("--name", required=True, help="The partnership's name.")
@click.option("--relay-url", required=True, help="Where agents reach the relay: https://host[:port].")
@click.option("--origin", help="The audit log's name, such as relay.example.org/log. [default: from the URL]")
@click.option("--listen", default="127.0.0.1:8440", show_default=True, help="Where the relay listens.")
@click.option(
    "--admin-listen", default="127.0.0.1:8441", show_default=True, help="Where it answers health and metrics."
)
@OFFICERS
@click.option(
    "--relay-passphrase-file",
    type=FILE,
    help="The passphrase for the relay's own keys. Drawn and written beside them otherwise.",
)
@click.option(
    "--policy-passphrase-file",
    "policy_files",
    type=FILE,
    multiple=True,
    help="The passphrase of a policy signer's key: give it twice, each person's own. [default: the same]",
)
@click.option(
    "--outside-witness",
    "outside",
    type=(str, str),
    multiple=True,
    metavar="VKEY URL",
    help="A witness outside the partnership that the relay asks: its verifier key and address. Repeatable.",
)
@click.option(
    "--outside-needed",
    type=click.IntRange(0, 8),
    help="How many of these must vouch for the log. [default: more than half]",
)
@click.option(
    "--roots", type=click.IntRange(1, 9), default=3, show_default=True, help="How many root keys there are."
)
@click.option(
    "--threshold",
    type=click.IntRange(1, 9),
    default=2,
    show_default=True,
    help="How many of them must agree.",
)
@click.option(
    "--root-passphrase-file",
    "root_files",
    type=FILE,
    multiple=True,
    help="A root key holder's passphrase: once for each root key, which gets files of its own. [default: one file]",
)
@DEMONSTRATION
@CHANGE
@click.pass_obj
def partnership_init(
    world: World,
    folder: Path,
    name: str,
    relay_url: str,
    origin: str | None,
    listen: str,
    admin_listen: str,
    officers: tuple[Path, ...],
    relay_passphrase_file: Path | None,
    policy_files: tuple[Path, ...],
    outside: tuple[tuple[str, str], ...],
    outside_needed: int | None,
    roots: int,
    threshold: int,
    root_files: tuple[Path, ...],
    demonstration_cost: bool,
    change: Change,
) -> None:
    """Found a partnership: oversight's keys, the relay's keys, and partnership.json for every agency.

    It says first what it will make. Killed at any moment, run it again.

    \b
    Example:
      fenpost-keys partnership init --dir partnership --name "Fenland Partnership" \\
        --relay-url https://relay.example.org --officer officer.json
    """
    import unicodedata

    from keys_tooling import partnership as founding
    from keys_tooling.carrying_out import given
    from keys_tooling.demonstration import cost
    from keys_tooling.keyfiles import read_public
    from keys_tooling.making import described, making
    from keys_tooling.passphrases import known_passphrase, new_passphrase
    from schemas.directory import safety_number
    from schemas.partnership import FILE_LIMIT, Partnership
    from schemas.policing import SIGNERS

    name = unicodedata.normalize("NFC", name)
    plan = founding.Plan(
        name=name,
        relay_url=relay_url,
        origin=origin or founding.default_origin(relay_url),
        listen=listen,
        admin_listen=admin_listen,
        outside=outside,
        outside_needed=(len(outside) // 2 + 1 if outside else 0)
        if outside_needed is None
        else outside_needed,
        officers=officers,
        roots=roots,
        threshold=threshold,
    )
    if len(policy_files) not in (0, SIGNERS):
        raise click.UsageError(
            "--policy-passphrase-file is given twice, once for each signer, or not at all."
        )
    if threshold > roots:
        raise click.UsageError("--threshold is at most --roots: so many root keys must agree.")
    if len(root_files) not in (0, roots):
        raise click.UsageError("--root-passphrase-file is given once for each root key, or not at all.")

    def locks() -> founding.Locks:
        relay = relay_passphrase_file and (
            relay_passphrase_file.absolute(),
            known_passphrase(relay_passphrase_file, "the relay's keys"),
        )
        return founding.Locks(
            new_passphrase(change.passphrase_file, "oversight's keys"),
            relay or None,
            cost(demonstration_cost),
            tuple(new_passphrase(file, "a policy signer's key") for file in policy_files),
            tuple(new_passphrase(file, "a root key") for file in root_files),
        )

    names = founding.root_files(roots if root_files else 0)
    own_relay = relay_passphrase_file is None
    told = given(plan=plan, roots=names, relay=relay_passphrase_file, officers=officers)
    last, others = founding.makes(folder, names, own_relay=own_relay)
    with making(last, told, dry=change.dry) as made:
        if not made.before:
            founding.check(plan)
            made.check_free(others)
            lines = [
                f"the partnership {name} is founded, with {roots} root keys, of which {threshold} must agree",
                *(f"{path} is made" for path in (*others, last)),
            ]
            if not change.goes_on(described(lines), {"makes": [str(path) for path in (*others, last)]}):
                return
            secrets = locks()
            made.begin(others)
            founding.init(folder, plan, secrets, world)
        oversight = Partnership.parse(read_public(last, FILE_LIMIT)).charter.oversight
        number = safety_number(oversight)
        signers = [str(folder / file) for file in founding.SIGNER_FILES]
        facts: Facts = {
            "name": name,
            "oversight": oversight,
            "partnership": str(last),
            "policy_keys": signers,
            "roots": [str(folder / name) for name in names],
            "threshold": threshold,
            "relay_config": str(folder / "relay" / founding.TOML),
            "safety_number": number,
            "was_made": made.before,
        }
        text = (
            f"Partnership    {name}\n"
            f"Oversight      {oversight}\n"
            f"Safety number  {number}\n\n"
            "Read the safety number aloud to every agency that joins, and hand it partnership.json.\n"
            f"{held_apart(folder, threshold, names) if root_files else offline(folder)}\n"
            f"Give {' and '.join(signers)} to two different people: both sign each new policy.\n"
            f"{NEXT}fenpost-broker run --config {folder / 'relay' / founding.TOML}"
        )
        report(facts, text, as_json=change.as_json)
