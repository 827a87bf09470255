"""fenpost-keys officer: what an agency's administrator types when an IG officer comes or goes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.console import World
from keys_tooling.options import DRY, FILE, JSON, PASSPHRASE, YES

if TYPE_CHECKING:
    from keys_tooling.directory_reading import Reading
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Facts, Plan

_dir = click.option("--dir", "folder", type=FILE, required=True, help="The agency's folder.")


@click.group()
def officer() -> None:
    """IG officers who come or go while the agency is a member.

    \b
    Example:
      fenpost-keys officer publish officer.json --dir peacock --number "01234 56789 01234 56789 01234 56789"
      fenpost-keys officer end old-officer.json --dir peacock --reason left
    """


@officer.command("publish")
@click.argument("card", type=FILE)
@_dir
@click.option("--number", help="The card's number, as she read it aloud. Asked for otherwise.")
@YES
@DRY
@PASSPHRASE
@JSON
@click.pass_obj
def officer_publish(
    world: World,
    card: Path,
    folder: Path,
    number: str | None,
    yes: bool,
    dry: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Publish an IG officer's card. Ring her on a number that you know; she reads the card's number to you.

    From then on entries are sealed to her too. What came before, the old officer hands over to her.

    \b
    Example:
      fenpost-keys officer publish officer.json --dir peacock
    """
    from keys_tooling import officers
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.keyfiles import read_public
    from keys_tooling.officer import CARD_LIMIT, card_number, parse_card
    from keys_tooling.own_side import OwnSide
    from keys_tooling.passphrases import known_passphrase

    found = parse_card(read_public(card, CARD_LIMIT))
    if number is None and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the number: give --number.")
    officers.check_number(found, number or click.prompt("Number, as she reads it aloud", err=True))
    passphrase = known_passphrase(passphrase_file, "the administrator's keys")
    own, told = OwnSide.open(folder, passphrase), given(card=card_number(found))

    def plan(reading: Reading, side: OwnSide) -> Plan:
        return officers.publish(reading.view.agencies[side.admin.agency], told, found, world.now())

    def words(plan: Plan) -> tuple[Facts, str]:
        said = "is published now." if plan.says else "was published already."
        return {"person": found.person, "was_published": not plan.says}, f"{found.person} {said}"

    carry_out(
        world, own, passphrase, "officer publish", told, plan, yes=yes, dry=dry, as_json=as_json, words=words,
        unasked=True,
    )  # fmt: skip


@officer.command("end")
@click.argument("card", type=FILE)
@_dir
@click.option("--reason", type=click.Choice(["left", "rotated", "lost", "compromised"]), required=True)
@YES
@DRY
@PASSPHRASE
@JSON
@click.pass_obj
def officer_end(
    world: World,
    card: Path,
    folder: Path,
    reason: str,
    yes: bool,
    dry: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Revoke an IG officer's keys, once her successor has taken what she handed over.

    \b
    Example:
      fenpost-keys officer end old-officer.json --dir peacock --reason left
    """
    from keys_tooling import officers
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.keyfiles import read_public
    from keys_tooling.officer import CARD_LIMIT, card_number, parse_card
    from keys_tooling.own_side import OwnSide
    from keys_tooling.passphrases import known_passphrase

    found = parse_card(read_public(card, CARD_LIMIT))
    passphrase = known_passphrase(passphrase_file, "the administrator's keys")
    own, told = OwnSide.open(folder, passphrase), given(card=card_number(found), reason=reason)

    def plan(reading: Reading, side: OwnSide) -> Plan:
        return officers.end(reading.view.agencies[side.admin.agency], told, found, world.now(), reason)

    def words(plan: Plan) -> tuple[Facts, str]:
        said = "ends here: nothing more is sealed to her." if plan.says else "had ended already."
        return {"had_ended": not plan.says, "person": found.person}, f"{found.person} {said}"

    carry_out(
        world,
        own,
        passphrase,
        "officer end",
        told,
        plan,
        yes=yes,
        dry=dry,
        as_json=as_json,
        words=words,
        unasked=True,
    )
