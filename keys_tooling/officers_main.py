"""fenpost-keys officer: what an agency's administrator types when an IG officer comes or goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World
from keys_tooling.options import AGENCY, FILE

if TYPE_CHECKING:
    from keys_tooling.directory_reading import Reading
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Facts, Plan


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
@AGENCY
@click.option("--number", help="The card's number, as she read it aloud. Asked for otherwise.")
@CHANGE
@click.pass_obj
def officer_publish(
    world: World,
    card: Path,
    folder: Path,
    number: str | None,
    change: Change,
) -> None:
    """Publish an IG officer's card. Ring her on a number that you know; she reads the card's number to you.

    From then on entries are sealed to her too. What came before, the old officer hands over to her.

    \b
    Example:
      fenpost-keys officer publish officer.json --dir peacock
    """
    from keys_tooling import officers
    from keys_tooling.card_number import hear
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.keyfiles import read_public
    from keys_tooling.officer import CARD_LIMIT, card_number, parse_card

    found = parse_card(read_public(card, CARD_LIMIT))
    hear(card_number(found), number)
    told = given(card=card_number(found))

    def plan(reading: Reading, side: OwnSide) -> Plan:
        return officers.publish(reading.view.agencies[side.admin.agency], told, found, world.now())

    def words(plan: Plan) -> tuple[Facts, str]:
        said = "is published now." if plan.says else "was published already."
        return {"person": found.person, "was_published": not plan.says}, f"{found.person} {said}"

    carry_out(
        world, *change.administrator(folder), change, "officer publish", told, plan, words=words, unasked=True
    )


@officer.command("end")
@click.argument("card", type=FILE)
@AGENCY
@click.option("--reason", type=click.Choice(["left", "rotated", "lost", "compromised"]), required=True)
@CHANGE
@click.pass_obj
def officer_end(
    world: World,
    card: Path,
    folder: Path,
    reason: str,
    change: Change,
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

    found = parse_card(read_public(card, CARD_LIMIT))
    told = given(card=card_number(found), reason=reason)

    def plan(reading: Reading, side: OwnSide) -> Plan:
        return officers.end(reading.view.agencies[side.admin.agency], told, found, world.now(), reason)

    def words(plan: Plan) -> tuple[Facts, str]:
        said = "ends here: nothing more is sealed to her." if plan.says else "had ended already."
        return {"had_ended": not plan.says, "person": found.person}, f"{found.person} {said}"

    carry_out(
        world, *change.administrator(folder), change, "officer end", told, plan, words=words, unasked=True
    )
