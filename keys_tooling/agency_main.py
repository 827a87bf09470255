"""fenpost-keys agency: an agency's keys, its enrolment, and taking it in. The work is in modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World, report, shown
from keys_tooling.options import DEMONSTRATION, FILE, JSON, MEMBER, OFFICERS, OVERSIGHT, PASSPHRASE
from keys_tooling.partnership_main import NEXT, offline
from schemas.sectors import SECTORS, Sector

if TYPE_CHECKING:
    from keys_tooling.directory_reading import Reading
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Plan


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
@click.option(
    "--agent-passphrase-file",
    type=FILE,
    help="Another passphrase for agent.fpk, which stands on the agent's machine. [default: the same]",
)
@DEMONSTRATION
@CHANGE
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
    agent_passphrase_file: Path | None,
    demonstration_cost: bool,
    change: Change,
) -> None:
    """Make an agency's keys, at the agency, and the enrolment that oversight asks for.

    It says first what it will make. Killed at any moment, run it again.

    \b
    Example:
      fenpost-keys agency init --dir peacock --name "The Peacock Project" --desk referrals \\
        --officer officer.json --partnership partnership.json
    """
    import unicodedata

    from keys_tooling import agency as work
    from keys_tooling.carrying_out import given
    from keys_tooling.demonstration import cost
    from keys_tooling.making import described, making
    from keys_tooling.passphrases import new_passphrase
    from schemas.directory import safety_number
    from schemas.directory_statement import Flags

    flags = Flags(public_authority=public_authority, s16la_member=s16la_member, cda_relevant=cda_relevant)
    plan = work.Plan(unicodedata.normalize("NFC", name), desks, flags, sector, officers, partnership_file)
    (last, others), told = work.makes(folder), given(plan=plan)
    with making(last, told, dry=change.dry) as made:
        if not made.before:
            work.check(plan)
            made.check_free(others)
            lines = [
                f"the keys of {shown(plan.name)} are made, with desks {', '.join(desks)}, sector {sector}",
                *(f"{path} is made" for path in (*others, last)),
            ]
            if not change.goes_on(described(lines), {"makes": [str(path) for path in (*others, last)]}):
                return
            own = new_passphrase(change.passphrase_file, "the administrator's keys")
            agent = (
                new_passphrase(agent_passphrase_file, "the agent's keys") if agent_passphrase_file else own
            )
            locks = work.Locks(own, agent, cost(demonstration_cost))
            made.begin(others)
            work.init(folder, plan, locks, world)
        enrolment, file = work.read_enrolment(folder), folder / work.ENROLMENT
        oversight = safety_number(enrolment.particulars.partnership)
        text = (
            f"{work.described(enrolment)}\n\n"
            f"Hand {file} to oversight. Oversight rings you and asks for the safety number above.\n"
            f"Ask oversight for its own: {oversight}\n"
            f"{offline(folder)}\n"
            f"{NEXT}fenpost-agent init --dir {folder}"
        )
        facts = {**work.facts(enrolment), "enrolment": str(file), "oversight_safety_number": oversight}
        report({**facts, "was_made": made.before}, text, as_json=change.as_json)


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
@CHANGE
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
    change: Change,
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

    handed = own is not None and folder is None and enrolment is None and not change.dry
    if own is not None and handed and (invitation is not None) != is_typed:
        enrolling.hand_in(world, own, invitation, as_json=change.as_json)
    elif folder is not None and own is None and (enrolment is not None) != (pending is not None):
        enrolling.take_in(world, folder, enrolment, pending, fingerprint, change)
    else:
        raise click.UsageError(
            "At the agency: --dir and --invite, and no --dry-run. Oversight: --partnership-dir, and an enrolment or "
            "--pending."
        )


@agency.command("leave")
@MEMBER
@click.option("--member", help="Which agency leaves, by name or id. [default: the folder's own]")
@click.option("--stops", help="From when nobody may write to it: now, or such as 2027-01-04T09:00Z.")
@click.option("--successor", help="Who does its work then, by name or id. [default: nobody]")
@click.option("--finish", is_flag=True, help="Last of all, after that moment: end every key.")
@CHANGE
@click.pass_obj
def agency_leave(
    world: World,
    folder: Path,
    member: str | None,
    stops: str | None,
    successor: str | None,
    finish: bool,
    change: Change,
) -> None:
    """Leave the partnership: first nobody writes to the agency anew, then it finishes, and its keys end last.

    \b
    Example:
      fenpost-keys agency leave --dir peacock --stops 2027-03-31T17:00Z --successor "Harbour House"
      fenpost-keys agency leave --dir peacock --finish
    """
    from keys_tooling import leaving
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.own_agent import status_of
    from keys_tooling.policy_asking import read_moment

    if finish == (stops is not None) or (finish and (member or successor)):
        raise click.UsageError("Say from when on: --stops; or, when all is done, --finish alone.")
    status, told = status_of(folder), given(member=member, stops=stops, successor=successor, finish=finish)

    def plan(reading: Reading, side: OwnSide) -> Plan:
        now = world.now()
        if finish:
            return leaving.finish(reading, side, told, status, now)
        leaver = member or side.admin.agency
        return leaving.leave(reading, side, told, leaver, read_moment(stops or "", now), successor, status)

    does = "agency leave --finish" if finish else "agency leave"
    carry_out(world, *change.administrator(folder), change, does, told, plan)


@agency.command("merge")
@OVERSIGHT
@click.option("--was", required=True, help="The agency that becomes another, by name or id.")
@click.option("--now", "now_is", required=True, help="What it is now: a member, by name or id.")
@click.option(
    "--until", required=True, help="Until when the old one leads to the new, such as 2028-04-01T00:00Z."
)
@click.option("--stops", default="now", show_default=True, help="From when nobody may write to the old one.")
@CHANGE
@click.pass_obj
def agency_merge(
    world: World,
    folder: Path,
    was: str,
    now_is: str,
    until: str,
    stops: str,
    change: Change,
) -> None:
    """An agency is merged into another, or carries on under a new name: oversight says so. Agreements do not follow.

    Enrol the new agency first. A split is several: each new agency is enrolled, and the old one leads to one of them.

    \b
    Example:
      fenpost-keys agency merge --partnership-dir partnership --was "Fenland Council" --now "North Council" \\
        --until 2028-04-01T00:00Z
    """
    from keys_tooling import leaving
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.policy_asking import read_moment

    told = given(was=was, now=now_is, until=until, stops=stops)

    def plan(reading: Reading, side: OwnSide) -> Plan:
        at = world.now()
        return leaving.merge(reading, side, told, was, now_is, read_moment(until, at), read_moment(stops, at))

    carry_out(world, *change.oversight(folder), change, "agency merge", told, plan)


@agency.command("pending")
@OVERSIGHT
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
