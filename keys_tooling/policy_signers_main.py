"""fenpost-keys policy signer: who signs policies. The work is in keys_tooling.policy_signers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.change import CHANGE, Change
from keys_tooling.console import World, report
from keys_tooling.options import DEMONSTRATION, FILE, JSON, MEMBER, OVERSIGHT, PASSPHRASE
from keys_tooling.policy_asking import asking, view_of

if TYPE_CHECKING:
    from keys_tooling.directory_reading import Reading
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Facts, Plan
    from schemas.canonical import Json
    from schemas.directory import Key


@click.group()
def signer() -> None:
    """Make a policy signer's key, name her, list who signs, end a key.

    \b
    Example:
      fenpost-keys policy signer init --person policy-3 --out policy-3.fpk
    """


@signer.command("init")
@click.option("--person", required=True, help="How she is called in the directory: policy-3, not her name.")
@click.option("--out", type=FILE, required=True, help="Her new key file; her card is written beside it.")
@DEMONSTRATION
@CHANGE
@click.pass_obj
def signer_init(
    world: World,
    person: str,
    out: Path,
    demonstration_cost: bool,
    change: Change,
) -> None:
    """Make your key, on your own machine, and the card that oversight asks for.

    \b
    Example:
      fenpost-keys policy signer init --person policy-3 --out policy-3.fpk
    """
    from keys_tooling import policy_signers as work
    from keys_tooling.carrying_out import given
    from keys_tooling.demonstration import cost
    from keys_tooling.keyfiles import read_public
    from keys_tooling.making import described, making
    from keys_tooling.passphrases import new_passphrase

    file = work.card_path(out)
    with making(file, given(person=person, out=out.absolute()), dry=change.dry) as made:
        if not made.before:
            work.check_name(person)
            made.check_free([out])
            lines = [f"{out} is made, which only you may open", f"{file} is made, for oversight"]
            if not change.goes_on(described(lines), {"makes": [str(out), str(file)], "person": person}):
                return
            passphrase = new_passphrase(change.passphrase_file, "your policy key")
            made.begin([out])
            work.make_signer(out, person, passphrase, cost(demonstration_cost), world)
        card = work.read_card(read_public(file, work.CARD_LIMIT))
        text = (
            f"Card           {file}\nSafety number  {card.number}\n\n"
            "Hand the card to oversight. Oversight rings you and asks for the number above."
        )
        facts: Facts = {"card": str(file), "person": person, "safety_number": card.number}
        report({**facts, "was_made": made.before}, text, as_json=change.as_json)


@signer.command("name")
@click.argument("card", type=FILE)
@OVERSIGHT
@click.option("--fingerprint", help="The number that she read aloud. Asked for otherwise.")
@CHANGE
@click.pass_obj
def signer_name(world: World, card: Path, folder: Path, fingerprint: str | None, change: Change) -> None:
    """Name a signer in the directory: oversight runs this. Her key counts a day later, when everybody could see it.

    Ring her on a number that you know and let her read her card's number to you. Two signers are two people: nobody
    gets a second name.

    \b
    Example:
      fenpost-keys policy signer name policy-3.json --partnership-dir partnership \\
        --fingerprint "01234 56789 01234 56789 01234 56789"
    """
    from keys_tooling import policy_signers as work
    from keys_tooling.card_number import hear
    from keys_tooling.carrying_out import carried_out, given, said
    from keys_tooling.keyfiles import read_public
    from keys_tooling.moments import moment

    found = work.read_card(read_public(card, work.CARD_LIMIT))
    hear(found.number, fingerprint, "--fingerprint")
    told = given(card=found.number)

    def plan(reading: Reading, _own: OwnSide) -> Plan:
        return work.name(reading.view, told, found, world.now())

    outcome = carried_out(
        world, *change.oversight(folder), change, "policy signer name", told, plan, unasked=True
    )
    key = next((key for key in work.signers(outcome.view) if key.public == found.public), None)
    if key is None:
        said(outcome, {"person": found.person}, "", change)
        return
    before = not outcome.plan.says
    state = "is named already" if before else "is named"
    text = f"{found.person} {state}. Her key signs from {moment(key.nbf)} to {moment(key.exp)}."
    said(outcome, {**_facts(key), "was_named": before}, text, change)


@signer.command("list")
@MEMBER
@PASSPHRASE
@JSON
@click.pass_obj
def signer_list(world: World, folder: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Everybody who signs policies, or did.

    \b
    Example:
      fenpost-keys policy signer list --dir partnership
    """
    from keys_tooling.moments import moment
    from keys_tooling.policy_signers import signers

    view = asking(world, folder, passphrase_file, lambda line, member: view_of(line, member, world))
    keys = signers(view)
    lines = [
        f"{key.person:<12} {key.kid}  from {moment(key.nbf)} to {moment(key.exp)}"
        + ("" if key.revoked is None else f", ended {moment(key.revoked)}")
        for key in keys
    ]
    report({"signers": [_facts(key) for key in keys]}, "\n".join(lines), as_json=as_json)


@signer.command("end")
@click.option(
    "--key-id", "kid", required=True, help="Her key's id, as `signer list` shows it."
)  # may begin with -
@OVERSIGHT
@click.option(
    "--reason",
    type=click.Choice(("left", "lost", "compromised", "rotated")),
    default="left",
    show_default=True,
)
@CHANGE
@click.pass_obj
def signer_end(world: World, kid: str, folder: Path, reason: str, change: Change) -> None:
    """End a signer's key, by its id: it signs nothing from now on. What it signed stays in force.

    Name her successor first: with fewer than two signers nothing can be changed until a day after the next is named.

    \b
    Example:
      fenpost-keys policy signer end --key-id KEY_ID --partnership-dir partnership --reason left
    """
    from keys_tooling import policy_signers as work
    from keys_tooling.carrying_out import carried_out, given, said

    told = given(kid=kid, reason=reason)

    def plan(reading: Reading, _own: OwnSide) -> Plan:
        return work.end(reading.view, told, kid, reason, world.now())

    outcome = carried_out(
        world, *change.oversight(folder), change, "policy signer end", told, plan, unasked=True
    )
    key = next(key for key in work.signers(outcome.view) if key.kid == kid)
    before = not outcome.plan.says
    text = f"{key.person}'s key {'had ended already' if before else 'has ended'}."
    said(outcome, {**_facts(key), "was_ended": before}, text, change)


def _facts(key: Key) -> dict[str, Json]:
    return {"exp": key.exp, "kid": key.kid, "nbf": key.nbf, "person": key.person, "revoked": key.revoked}
