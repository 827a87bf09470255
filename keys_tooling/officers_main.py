"""fenpost-keys officer: what an agency's administrator types when an IG officer comes or goes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from keys_tooling.console import World, report
from keys_tooling.options import FILE, JSON, PASSPHRASE

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
@PASSPHRASE
@JSON
@click.pass_obj
def officer_publish(
    world: World, card: Path, folder: Path, number: str | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Publish an IG officer's card. Ring her on a number that you know; she reads the card's number to you.

    From then on entries are sealed to her too. What came before, the old officer hands over to her.

    \b
    Example:
      fenpost-keys officer publish officer.json --dir peacock
    """
    from keys_tooling import officers
    from keys_tooling.keyfiles import read_public
    from keys_tooling.officer import CARD_LIMIT, parse_card
    from keys_tooling.own_side import OwnSide, reached
    from keys_tooling.passphrases import known_passphrase

    found = parse_card(read_public(card, CARD_LIMIT))
    if number is None and not sys.stdin.isatty():
        raise click.UsageError("There is no terminal to ask for the number: give --number.")
    said = number or click.prompt("Number, as she reads it aloud", err=True)
    own = OwnSide.open(folder, known_passphrase(passphrase_file, "the administrator's keys"))

    async def publish() -> bool:
        async with reached(own, world) as line:
            return await officers.publish(line, own, found, said, world)

    new = asyncio.run(publish())
    words = (
        "is published now. She pulls, and the old officer hands over to her."
        if new
        else "was published already."
    )
    report({"person": found.person, "was_published": not new}, f"{found.person} {words}", as_json=as_json)


@officer.command("end")
@click.argument("card", type=FILE)
@_dir
@click.option("--reason", type=click.Choice(["left", "rotated", "lost", "compromised"]), required=True)
@PASSPHRASE
@JSON
@click.pass_obj
def officer_end(
    world: World, card: Path, folder: Path, reason: str, passphrase_file: Path | None, as_json: bool
) -> None:
    """Revoke an IG officer's keys, once her successor has taken what she handed over.

    \b
    Example:
      fenpost-keys officer end old-officer.json --dir peacock --reason left
    """
    from keys_tooling import officers
    from keys_tooling.keyfiles import read_public
    from keys_tooling.officer import CARD_LIMIT, parse_card
    from keys_tooling.own_side import OwnSide, reached
    from keys_tooling.passphrases import known_passphrase

    found = parse_card(read_public(card, CARD_LIMIT))
    own = OwnSide.open(folder, known_passphrase(passphrase_file, "the administrator's keys"))

    async def end() -> bool:
        async with reached(own, world) as line:
            return await officers.end(line, own, found, world, reason)

    new = asyncio.run(end())
    words = "ends here: nothing more is sealed to her." if new else "had ended already."
    report({"had_ended": not new, "person": found.person}, f"{found.person} {words}", as_json=as_json)
