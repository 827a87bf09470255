"""fenpost-keys role: what authors, safeguarding leads, administrators and oversight type about people's keys."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World, report
from keys_tooling.options import AGENCY, DEMONSTRATION, FILE, JSON, MEMBER, OVERSIGHT, PASSPHRASE
from keys_tooling.roster_main import role_desk, role_recertify, role_roster
from schemas.roles import ROLES, Role

if TYPE_CHECKING:
    from keys_tooling.directory_reading import Reading
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Facts, Plan


@click.group()
def role() -> None:
    """Keys of the people who ask for overrides, and of those who authorise them.

    \b
    Example:
      fenpost-keys role new --dir ann --agency ag1... --role lead --person 2
      fenpost-keys role publish ann/lead-2.json --dir peacock
      fenpost-keys role countersign lead-2.json --partnership-dir partnership
    """


@role.command("new")
@click.option("--dir", "folder", type=FILE, required=True, help="Your own folder.")
@click.option("--agency", required=True, help="Your agency's id, ag1...")
@click.option(
    "--role",
    "which",
    type=click.Choice(ROLES),
    required=True,
    help="author asks for overrides; lead, the safeguarding lead, authorises them; admin and oversight sign minutes.",
)
@click.option(
    "--person",
    required=True,
    help="Your number at the agency, never your name. The same for every key of yours.",
)
@click.option("--token", help="Make the key on the token of this name, from where it cannot be copied.")
@click.option("--module", type=FILE, help="With --token: its PKCS#11 library.")
@DEMONSTRATION
@CHANGE
@click.pass_obj
def role_new(
    world: World,
    folder: Path,
    agency: str,
    which: Role,
    person: str,
    token: str | None,
    module: Path | None,
    demonstration_cost: bool,
    change: Change,
) -> None:
    """Make your own key, and a card with its public half. Nobody else ever gets the key file.

    \b
    Example:
      fenpost-keys role new --dir ann --agency ag1... --role lead --person 2
    """
    from functools import partial

    from keys_tooling import roles
    from keys_tooling.carrying_out import given
    from keys_tooling.demonstration import cost
    from keys_tooling.keyfiles import read_public
    from keys_tooling.making import described, making
    from keys_tooling.passphrases import new_passphrase
    from keys_tooling.token_pins import made_on_token

    if (token is None) != (module is None):
        raise click.UsageError("--token and --module go together.")
    tag, on_token = f"{which}-{person}", None
    if token is not None and module is not None:
        on_token = partial(made_on_token, module, token, tag)
    key, file = folder / f"{tag}.fpk", folder / f"{tag}.json"
    told = given(agency=agency, tag=tag, token=token, module=module)
    with making(file, told, dry=change.dry) as made:
        if not made.before:
            roles.check(agency, tag)
            made.check_free([key])
            lines = [f"{key} is made, which only you may open", f"{file} is made, for your administrator"]
            if not change.goes_on(described(lines), {"makes": [str(key), str(file)], "person": tag}):
                return
            passphrase = new_passphrase(change.passphrase_file, "your key")
            made.begin([key])
            roles.make(folder, agency, tag, passphrase, cost(demonstration_cost), world, on_token)
        card = roles.parse_card(read_public(file, roles.CARD_LIMIT))
        text = (
            f"Key            {key}\n"
            f"Card           {file}\n"
            f"Number         {card.number}\n\n"
            "Hand the card to your administrator. Oversight rings you and asks for the number above."
        )
        facts: Facts = {"card": str(file), "kid": card.kid, "number": card.number, "person": card.person}
        report({**facts, "was_made": made.before}, text, as_json=change.as_json)


@role.command("publish")
@click.argument("card", type=FILE)
@AGENCY
@CHANGE
@click.pass_obj
def role_publish(world: World, card: Path, folder: Path, change: Change) -> None:
    """Publish a person's key for your agency. It counts for nothing until oversight has countersigned it.

    \b
    Example:
      fenpost-keys role publish lead-2.json --dir peacock
    """
    from keys_tooling import roles
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.keyfiles import read_public

    found = roles.parse_card(read_public(card, roles.CARD_LIMIT))
    told = given(kid=found.kid)

    def plan(reading: Reading, side: OwnSide) -> Plan:
        return roles.publish(reading.view.agencies[side.admin.agency], told, found, world.now())

    def words(plan: Plan) -> tuple[Facts, str]:
        said = "is published now. Hand its card to oversight." if plan.says else "was published already."
        facts = {"kid": found.kid, "person": found.person, "was_published": not plan.says}
        return facts, f"{found.person} {said}"

    carry_out(
        world, *change.administrator(folder), change, "role publish", told, plan, words=words, unasked=True
    )


@role.command("countersign")
@click.argument("card", type=FILE)
@OVERSIGHT
@click.option("--number", help="The card's number, as the person read it aloud. Asked for otherwise.")
@CHANGE
@click.pass_obj
def role_countersign(
    world: World,
    card: Path,
    folder: Path,
    number: str | None,
    change: Change,
) -> None:
    """Say, as oversight, that this person has this role. Ring her on a number that you know; she reads hers to you.

    \b
    Example:
      fenpost-keys role countersign lead-2.json --partnership-dir partnership \
        --number "01234 56789 01234 56789 01234 56789"
    """
    from keys_tooling import roles
    from keys_tooling.card_number import hear
    from keys_tooling.carrying_out import carry_out, given
    from keys_tooling.keyfiles import read_public

    found = roles.parse_card(read_public(card, roles.CARD_LIMIT))
    hear(found.number, number)
    told = given(kid=found.kid)

    def plan(reading: Reading, _side: OwnSide) -> Plan:
        return roles.countersign(reading.view, told, found)

    def words(plan: Plan) -> tuple[Facts, str]:
        new = "is countersigned. It counts once the policy's delay is over."
        facts = {"kid": found.kid, "person": found.person, "was_countersigned": not plan.says}
        return facts, f"{found.person} {new if plan.says else 'was countersigned already.'}"

    carry_out(
        world, *change.oversight(folder), change, "role countersign", told, plan, words=words, unasked=True
    )


@role.command("show")
@MEMBER
@PASSPHRASE
@JSON
@click.pass_obj
def role_show(world: World, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Every person's key in the directory, and since when it counts.

    \b
    Example:
      fenpost-keys role show --dir peacock
    """
    from keys_tooling import roles
    from keys_tooling.policy_asking import asking, in_force
    from schemas.override import terms_of

    view, policy = asking(world, folder, passphrase_file, lambda line, own: in_force(line, own, world))
    rows = roles.listed(view, world.now(), terms_of(policy).key_delay)
    text = "\n".join(f"{row['name']}  {row['person']}  {row['state']}" for row in rows)
    report({"keys": rows}, text or "No person's key is in the directory.", as_json=as_json)


for one in (role_roster, role_desk, role_recertify):
    role.add_command(one)
