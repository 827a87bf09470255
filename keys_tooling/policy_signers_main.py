"""fenpost-keys policy signer: who signs policies. The work is in keys_tooling.policy_signers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from keys_tooling.console import World, report
from keys_tooling.options import FILE, JSON, PASSPHRASE
from keys_tooling.policy_asking import asking, view_of

if TYPE_CHECKING:
    from agent.client import Relay
    from keys_tooling.admission import Oversight
    from schemas.canonical import Json
    from schemas.directory import Key

T = TypeVar("T")
_oversight = click.option("--partnership-dir", "folder", type=FILE, required=True, help="Oversight's folder.")


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
@PASSPHRASE
@click.option("--demonstration-cost", is_flag=True, hidden=True)
@JSON
@click.pass_obj
def signer_init(
    world: World,
    person: str,
    out: Path,
    passphrase_file: Path | None,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Make your key, on your own machine, and the card that oversight asks for.

    \b
    Example:
      fenpost-keys policy signer init --person policy-3 --out policy-3.fpk
    """
    from keys_tooling import policy_signers as work
    from keys_tooling.demonstration import cost
    from keys_tooling.passphrases import new_passphrase

    passphrase = new_passphrase(passphrase_file, "your policy key")
    card = work.make_signer(out, person, passphrase, cost(demonstration_cost), world)
    file = work.card_path(out)
    text = (
        f"Card           {file}\nSafety number  {card.number}\n\n"
        "Hand the card to oversight. Oversight rings you and asks for the number above."
    )
    report({"card": str(file), "person": person, "safety_number": card.number}, text, as_json=as_json)


@signer.command("name")
@click.argument("card", type=FILE)
@_oversight
@click.option("--fingerprint", help="The number that she read aloud. Asked for otherwise.")
@PASSPHRASE
@JSON
@click.pass_obj
def signer_name(
    world: World,
    card: Path,
    folder: Path,
    fingerprint: str | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
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
    from keys_tooling.keyfiles import read_public
    from keys_tooling.moments import moment

    found = work.read_card(read_public(card, work.CARD_LIMIT))
    hear(found.number, fingerprint, "--fingerprint")
    named = _asked(
        world, folder, passphrase_file, lambda line, own: work.name_signer(line, own, found, world)
    )
    state = "is named already" if named.before else "is named"
    text = f"{found.person} {state}. Her key signs from {moment(named.key.nbf)} to {moment(named.key.exp)}."
    report({**_facts(named.key), "was_named": named.before}, text, as_json=as_json)


@signer.command("list")
@click.option("--dir", "folder", type=FILE, required=True, help="Your agency's folder, or oversight's.")
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
@_oversight
@click.option(
    "--reason",
    type=click.Choice(("left", "lost", "compromised", "rotated")),
    default="left",
    show_default=True,
)
@PASSPHRASE
@JSON
@click.pass_obj
def signer_end(
    world: World, kid: str, folder: Path, reason: str, passphrase_file: Path | None, as_json: bool
) -> None:
    """End a signer's key, by its id: it signs nothing from now on. What it signed stays in force.

    Name her successor first: with fewer than two signers nothing can be changed until a day after the next is named.

    \b
    Example:
      fenpost-keys policy signer end --key-id KEY_ID --partnership-dir partnership --reason left
    """
    from keys_tooling import policy_signers as work

    ended = _asked(
        world, folder, passphrase_file, lambda line, own: work.end_signer(line, own, kid, reason, world)
    )
    state = "had ended already" if ended.before else "has ended"
    report(
        {**_facts(ended.key), "was_ended": ended.before},
        f"{ended.key.person}'s key {state}.",
        as_json=as_json,
    )


def _asked(
    world: World,
    folder: Path,
    passphrase_file: Path | None,
    ask: Callable[[Relay, Oversight], Awaitable[T]],
) -> T:
    """What `ask` does at the relay, as oversight."""
    from agent.client import Relay
    from keys_tooling.admission import Oversight
    from keys_tooling.passphrases import known_passphrase

    own = Oversight.open(folder, known_passphrase(passphrase_file, "oversight's keys"))
    charter = own.partnership.charter

    async def asked() -> T:
        async with Relay(charter.relay, charter.authority, own.auth, world.clock, world.draw) as line:
            return await ask(line, own)

    return asyncio.run(asked())


def _facts(key: Key) -> dict[str, Json]:
    return {"exp": key.exp, "kid": key.kid, "nbf": key.nbf, "person": key.person, "revoked": key.revoked}
