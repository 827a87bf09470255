"""fenpost-keys: what an administrator types. Parses the command line; the work is in the modules beside this one."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import click

from keys_tooling.console import World, report, run, tell
from keys_tooling.officers_main import officer
from keys_tooling.options import FILE, JSON, PASSPHRASE
from keys_tooling.policy_main import policy
from keys_tooling.roles_main import role
from schemas.sectors import SECTORS, Sector

NEXT = "\nNext:\n  "


def main() -> None:
    """The program's entrance."""
    run(keys, World(time.time, secrets.token_bytes))


@click.group()
@click.version_option(package_name="fenpost", message="%(version)s")
def keys() -> None:
    """Make a partnership, make an agency's keys, and take agencies in.

    Every secret goes into a new file that only you may read, and none is ever overwritten.

    \b
    Example:
      fenpost-keys agency init --dir peacock --name "The Peacock Project" --desk referrals \\
        --officer officer.json --partnership partnership.json
    """


@keys.group()
def partnership() -> None:
    """Found a partnership.

    \b
    Example:
      fenpost-keys partnership init --dir partnership --name "Fenland Partnership" \\
        --relay-url https://relay.example.org --officer officer.json
    """


keys.add_command(policy)
keys.add_command(role)
keys.add_command(officer)


@keys.group()
def agency() -> None:
    """Make an agency's keys, look at an enrolment, take an agency in.

    \b
    Example:
      fenpost-keys agency show enrolment.json
    """


_demonstration = click.option("--demonstration-cost", is_flag=True, hidden=True)
_officer = click.option(
    "--officer",
    "officers",
    type=FILE,
    required=True,
    multiple=True,
    help="An IG officer's card (officer.json from fenpost-audit init). May be given several times.",
)


def _offline(folder: Path) -> str:
    from keys_tooling.partnership import NEXT_ROOTS, ROOTS

    return (
        f"Take {folder / ROOTS} and {folder / NEXT_ROOTS} off this machine, to two different places:\n"
        "they are needed only to recover, and whoever finds the one must not find the other beside it."
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
@_officer
@PASSPHRASE
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
@_demonstration
@JSON
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
    passphrase_file: Path | None,
    relay_passphrase_file: Path | None,
    policy_files: tuple[Path, ...],
    outside: tuple[tuple[str, str], ...],
    outside_needed: int | None,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Found a partnership: oversight's keys, the relay's keys, and partnership.json for every agency.

    \b
    Example:
      fenpost-keys partnership init --dir partnership --name "Fenland Partnership" \\
        --relay-url https://relay.example.org --officer officer.json
    """
    import unicodedata

    from keys_tooling import partnership as founding
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import known_passphrase, new_passphrase
    from schemas.directory import safety_number
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
    )
    relay = relay_passphrase_file and (
        relay_passphrase_file.absolute(),
        known_passphrase(relay_passphrase_file, "the relay's keys"),
    )
    if len(policy_files) not in (0, SIGNERS):
        raise click.UsageError(
            "--policy-passphrase-file is given twice, once for each signer, or not at all."
        )
    locks = founding.Locks(
        new_passphrase(passphrase_file, "oversight's keys"),
        relay or None,
        cost(demonstration_cost),
        tuple(new_passphrase(file, "a policy signer's key") for file in policy_files),
    )
    founded = founding.init(folder, plan, locks, world)
    number = safety_number(founded.oversight.id)
    facts = {
        "name": name,
        "oversight": founded.oversight.id,
        "partnership": str(folder / founding.PARTNERSHIP),
        "policy_keys": [str(folder / f"{signer.person}.fpk") for signer in founded.signers],
        "relay_config": str(folder / "relay" / founding.TOML),
        "safety_number": number,
    }
    text = (
        f"Partnership    {name}\n"
        f"Oversight      {founded.oversight.id}\n"
        f"Safety number  {number}\n\n"
        "Read the safety number aloud to every agency that joins, and hand it partnership.json.\n"
        f"{_offline(folder)}\n"
        f"Give {' and '.join(facts['policy_keys'])} to two different people: both sign each new policy.\n"
        f"{NEXT}fenpost-broker run --config {folder / 'relay' / founding.TOML}"
    )
    report(facts, text, as_json=as_json)


@agency.command("init")
@click.option("--dir", "folder", type=FILE, required=True, help="The folder to make.")
@click.option("--name", required=True, help="The agency's name, as others will choose it.")
@click.option("--desk", "desks", required=True, multiple=True, help="A desk, such as referrals. Repeatable.")
@_officer
@click.option("--partnership", "partnership_file", type=FILE, required=True, help="partnership.json.")
@click.option("--public-authority", is_flag=True, help="The agency is a public authority.")
@click.option("--s16la-member", is_flag=True, help="Takes part under Children Act 2004 s.16LA.")
@click.option("--cda-relevant", is_flag=True, help="A relevant authority, Crime and Disorder Act 1998 s.115.")
@click.option(
    "--sector",
    type=click.Choice(SECTORS),
    default="other",
    show_default=True,
    help="What kind of agency it is. It gets what its kind needs; other gets the least.",
)
@PASSPHRASE
@click.option(
    "--agent-passphrase-file",
    type=FILE,
    help="Another passphrase for agent.fpk, which stands on the agent's machine. [default: the same]",
)
@_demonstration
@JSON
@click.pass_obj
def agency_init(
    world: World,
    folder: Path,
    name: str,
    desks: tuple[str, ...],
    officers: tuple[Path, ...],
    partnership_file: Path,
    public_authority: bool,
    s16la_member: bool,
    cda_relevant: bool,
    sector: Sector,
    passphrase_file: Path | None,
    agent_passphrase_file: Path | None,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Make an agency's keys, at the agency, and the enrolment that oversight asks for.

    \b
    Example:
      fenpost-keys agency init --dir peacock --name "The Peacock Project" --desk referrals \\
        --officer officer.json --partnership partnership.json
    """
    import unicodedata

    from keys_tooling import agency as making
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import new_passphrase
    from schemas.directory import safety_number
    from schemas.directory_statement import Flags

    flags = Flags(public_authority=public_authority, s16la_member=s16la_member, cda_relevant=cda_relevant)
    plan = making.Plan(unicodedata.normalize("NFC", name), desks, flags, sector, officers, partnership_file)
    own = new_passphrase(passphrase_file, "the administrator's keys")
    agent = new_passphrase(agent_passphrase_file, "the agent's keys") if agent_passphrase_file else own
    enrolment, joined = making.init(folder, plan, making.Locks(own, agent, cost(demonstration_cost)), world)
    file = folder / making.ENROLMENT
    oversight = safety_number(joined.charter.oversight)
    text = (
        f"{making.described(enrolment)}\n\n"
        f"Hand {file} to oversight. Oversight rings you and asks for the safety number above.\n"
        f"Ask oversight for its own: {oversight}\n"
        f"{_offline(folder)}\n"
        f"{NEXT}fenpost-agent init --dir {folder}"
    )
    report(
        {**making.facts(enrolment), "enrolment": str(file), "oversight_safety_number": oversight},
        text,
        as_json=as_json,
    )


@agency.command("show")
@click.argument("enrolment", type=FILE)
@JSON
def agency_show(enrolment: Path, as_json: bool) -> None:
    """Verify an enrolment, or the one in an agency's folder, and show what it says.

    \b
    Example:
      fenpost-keys agency show peacock/enrolment.json
    """
    from keys_tooling import agency as making

    found = making.read_enrolment(enrolment)
    report(making.facts(found), making.described(found), as_json=as_json)


@agency.command("enrol")
@click.argument("enrolment", type=FILE)
@click.option("--partnership-dir", "folder", type=FILE, required=True, help="Oversight's folder.")
@click.option("--fingerprint", help="The safety number that the agency read aloud. Asked for otherwise.")
@PASSPHRASE
@JSON
@click.pass_obj
def agency_enrol(
    world: World,
    enrolment: Path,
    folder: Path,
    fingerprint: str | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Take an agency into the partnership: oversight runs this, and may run it again at any time.

    Ring the agency on a number that you know, not on one from its letter, and let it read its safety number to you.

    \b
    Example:
      fenpost-keys agency enrol enrolment.json --partnership-dir partnership \\
        --fingerprint "01234 56789 01234 56789 01234 56789"
    """
    import asyncio
    import sys

    from agent.client import Relay
    from keys_tooling import admission
    from keys_tooling import agency as making
    from keys_tooling.enrolment import check_fingerprint
    from keys_tooling.passphrases import known_passphrase

    found = making.read_enrolment(enrolment)
    tell(making.described(found, number=False))
    if fingerprint is None and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the safety number: give --fingerprint.")
    check_fingerprint(
        found, fingerprint or click.prompt("Safety number, as the agency reads it aloud", err=True)
    )
    oversight = admission.Oversight.open(folder, known_passphrase(passphrase_file, "oversight's keys"))
    charter = oversight.partnership.charter

    async def enrol() -> admission.Admitted:
        async with Relay(charter.relay, charter.authority, oversight.auth, world.clock, world.draw) as relay:
            return await admission.enrol(relay, oversight, found, world)

    done = asyncio.run(enrol())
    facts = {
        "agency": found.particulars.agency,
        "member": True,
        "members": done.members,
        "posted": done.posted,
        "was_member": done.before,
    }
    state = "was a member already; nothing was changed" if done.before else "is a member now"
    text = f"{found.particulars.agency} {state}. Members of the partnership: {done.members}."
    report(facts, text, as_json=as_json)
