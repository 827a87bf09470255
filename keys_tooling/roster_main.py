"""fenpost-keys role roster, desk, recertify: who has a key at an agency, who works where, and what is due."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import REFUSED, World, report
from keys_tooling.options import AGENCY, JSON, PASSPHRASE

if TYPE_CHECKING:
    from keys_tooling.directory_reading import Reading
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Plan


@click.command("roster")
@AGENCY
@PASSPHRASE
@JSON
@click.pass_obj
def role_roster(world: World, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Everybody with a key at your agency: what counts, what ends soon, what nobody looked at for 90 days.

    Ends with exit code 1 when something is due, so that a timer can remind you.

    \b
    Example:
      fenpost-keys role roster --dir peacock
    """
    from keys_tooling import roster
    from keys_tooling.moments import moment
    from keys_tooling.own_side import OwnSide, reached, read_own
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.policy import text_of
    from schemas.errors import Refusal
    from schemas.override import terms_of

    own = OwnSide.open(folder, known_passphrase(passphrase_file, "the administrator's keys"))

    async def ask() -> tuple[list[roster.Row], list[str], dict[str, list[str] | None]]:
        async with reached(own, world) as line:
            view, now = (await read_own(line, own, world)).view, world.now()
            entry = view.policies.in_force(now)
            try:
                policy = None if entry is None else await text_of(line, entry)
            except Refusal as refusal:
                if refusal.code not in ("UNAUTHENTICATED", "CLOCK"):
                    raise
                policy = None  # the request key is over: without the policy's text the strictest delay counts
        agency = view.agencies[own.admin.agency]
        rows = roster.roster(view, agency, now, terms_of(policy).key_delay)
        return (
            rows,
            roster.shortages(rows, needs_leads=agency.id != view.oversight),
            roster.desks(agency, now),
        )

    rows, lacks, desks = asyncio.run(ask())
    lines = [
        f"{row.key.person or '':<12} {row.key.use:<8} {row.state}, until {moment(row.key.exp)}"
        + "".join(f"\n{'':>13}DUE: {roster.ADVICE[one]}" for one in row.due)
        for row in rows
    ]
    lines += [
        f"desk {name}: {'no roster on record' if who is None else ', '.join(who) or 'nobody'}"
        for name, who in desks.items()
    ]
    lines += [f"LACKS: {one}" for one in lacks]
    due = bool(lacks) or any(row.due for row in rows)
    report(
        {"desks": desks, "due": due, "keys": [row.to_json() for row in rows], "lacks": lacks},
        "\n".join(lines),
        as_json=as_json,
    )
    if due:
        sys.exit(REFUSED)


@click.command("desk")
@click.argument("desk")
@AGENCY
@click.option("--role", "roles", multiple=True, help="A role that works there, such as idva. Repeatable.")
@click.option("--nobody", is_flag=True, help="Nobody works there now.")
@CHANGE
@click.pass_obj
def role_desk(
    world: World,
    desk: str,
    folder: Path,
    roles: tuple[str, ...],
    nobody: bool,
    change: Change,
) -> None:
    """Put on record which roles work at a desk, so that officers see when another one takes something on.

    Give the roles as your case system gives them when a message is taken on, all of them, and never a name.

    \b
    Example:
      fenpost-keys role desk referrals --dir peacock --role idva --role duty-manager
    """
    from keys_tooling import roster
    from keys_tooling.carrying_out import carry_out, given

    if nobody == bool(roles):
        raise click.UsageError("Say who works there, with --role, or --nobody.")
    told = given(desk=desk, roles=",".join(roles))

    def plan(reading: Reading, side: OwnSide) -> Plan:
        return roster.desk(reading.view.agencies[side.admin.agency], told, desk, roles)

    carry_out(world, *change.administrator(folder), change, "role desk", told, plan)


@click.command("recertify")
@AGENCY
@click.option(
    "--person", "only", multiple=True, help="Only this person, such as lead-2. [default: everybody]"
)
@CHANGE
@click.pass_obj
def role_recertify(
    world: World,
    folder: Path,
    only: tuple[str, ...],
    change: Change,
) -> None:
    """Say that your people's keys are still theirs, once a quarter. Look at role roster first.

    \b
    Example:
      fenpost-keys role recertify --dir peacock
    """
    from keys_tooling import roster
    from keys_tooling.carrying_out import carry_out, given

    told = given(only=",".join(sorted(only)))

    def plan(reading: Reading, side: OwnSide) -> Plan:
        agency = reading.view.agencies[side.admin.agency]
        return roster.recertify(agency, roster.roster(reading.view, agency, world.now(), 0), told, only)

    carry_out(world, *change.administrator(folder), change, "role recertify", told, plan)
