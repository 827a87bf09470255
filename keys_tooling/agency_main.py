"""fenpost-keys agency: an agency's keys, its enrolment, and taking it in. The work is in modules beside this one."""

from __future__ import annotations

from pathlib import Path

import click

from keys_tooling.console import World, report
from keys_tooling.options import DEMONSTRATION, FILE, JSON, OFFICERS, PASSPHRASE
from keys_tooling.partnership_main import NEXT, offline
from schemas.sectors import SECTORS, Sector


@click.group()
def agency() -> None:
    """Make an agency's keys, look at an enrolment, take an agency in.

    \b
    Example:
      fenpost-keys agency show enrolment.json
    """


@agency.command("init")
@click.option("--dir", "folder", type=FILE, required=True, help="The folder to make.")
@click.option("--name", required=True, help="The agency's name, as others will choose it.")
@click.option("--desk", "desks", required=True, multiple=True, help="A desk, such as referrals. Repeatable.")
@OFFICERS
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
@DEMONSTRATION
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
        f"{offline(folder)}\n"
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
@click.argument("enrolment", type=FILE, required=False)
@click.option(
    "--partnership-dir", "folder", type=FILE, help="Oversight's folder: oversight takes an agency in."
)
@click.option(
    "--pending", help="Oversight: the enrolment that came by wire, by its agency's name, id or mark."
)
@click.option("--fingerprint", help="The safety number that the agency read aloud. Asked for otherwise.")
@click.option("--dir", "own", type=FILE, help="The agency's folder: it hands its enrolment in itself.")
@click.option("--invite", "invitation", type=FILE, help="The agency: oversight's invitation, as a file.")
@click.option("--typed", "is_typed", is_flag=True, help="The agency: type the invitation's line instead.")
@PASSPHRASE
@JSON
@click.pass_obj
def agency_enrol(
    world: World,
    enrolment: Path | None,
    folder: Path | None,
    pending: str | None,
    fingerprint: str | None,
    own: Path | None,
    invitation: Path | None,
    is_typed: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Hand an enrolment in (at the agency, with an invitation), or take an agency in (oversight).

    Oversight rings the agency on a number that it knows, not on one from a letter, and lets it read its safety number.
    Stopped half-way, run it again.

    \b
    Example:
      fenpost-keys agency enrol --dir peacock --invite invite.json
      fenpost-keys agency enrol --pending "The Peacock Project" --partnership-dir partnership
      fenpost-keys agency enrol enrolment.json --partnership-dir partnership \\
        --fingerprint "01234 56789 01234 56789 01234 56789"
    """
    from keys_tooling import enrolling

    if own is not None and folder is None and enrolment is None and (invitation is not None) != is_typed:
        enrolling.hand_in(world, own, invitation, as_json=as_json)
    elif folder is not None and own is None and (enrolment is not None) != (pending is not None):
        enrolling.take_in(world, folder, enrolment, pending, fingerprint, passphrase_file, as_json=as_json)
    else:
        raise click.UsageError(
            "At the agency: --dir and --invite. Oversight: --partnership-dir, and an enrolment or --pending."
        )


@agency.command("pending")
@click.option("--partnership-dir", "folder", type=FILE, required=True, help="Oversight's folder.")
@PASSPHRASE
@JSON
@click.pass_obj
def agency_pending(world: World, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Enrolments that came with an invitation and wait for oversight. The safety number comes by voice, so not here.

    \b
    Example:
      fenpost-keys agency pending --partnership-dir partnership
    """
    from keys_tooling import enrolling

    enrolling.show_pending(world, folder, passphrase_file, as_json=as_json)
