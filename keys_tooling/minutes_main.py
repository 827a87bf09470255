"""fenpost-keys ceremony: leads people through a ceremony, and keeps signed minutes of it. Parses the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.console import World, report, tell
from keys_tooling.options import FILE, JSON, PASSPHRASE

if TYPE_CHECKING:
    from keys_tooling.minutes import Attending, KeyRead, SignedMinutes, Step
    from schemas.keys import Signer

HOLDERS = {"officer": "auth", "person": "key", "policy": "key"}


@click.group()
def ceremony() -> None:
    """Lead people through a ceremony, and keep signed minutes of it.

    \b
    Example:
      fenpost-keys ceremony run --kind founding --dir peacock --need 2 --present chair --present "Ann B." --out m.json
    """


@ceremony.command("run")
@click.option(
    "--kind", type=click.Choice(["founding", "recovery", "shares"]), required=True, help="What is done."
)
@click.option("--dir", "folder", type=FILE, required=True, help="The folder with admin.fpk, which signs.")
@click.option("--present", "names", multiple=True, required=True, help="Somebody who is here. Repeatable.")
@click.option(
    "--need", type=click.IntRange(2, 16), default=3, show_default=True, help="How many must be here."
)
@click.option(
    "--card",
    "cards",
    type=(str, FILE),
    multiple=True,
    metavar="NAME CARD",
    help="Whose card is whose. Repeatable.",
)
@click.option(
    "--roots", "root_files", type=FILE, multiple=True, help="A file of roots to read aloud. Repeatable."
)
@click.option("--out", type=FILE, required=True, help="The minutes to make.")
@PASSPHRASE
@JSON
@click.pass_obj
def run(
    world: World,
    kind: str,
    folder: Path,
    names: tuple[str, ...],
    need: int,
    cards: tuple[tuple[str, Path], ...],
    root_files: tuple[Path, ...],
    out: Path,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Read each step aloud, and say who did it: nothing is written before the last one is done.

    At each step type the name of who did it, and after a colon what is to be noted. The operational key signs last.
    Everybody who has a key of her own signs on her own machine: fenpost-keys ceremony sign.

    \b
    Example:
      fenpost-keys ceremony run --kind founding --dir peacock --need 2 --present chair --present lead-1 \\
        --card lead-1 lead-1.json --roots peacock/roots.fpk --roots peacock/next-roots.fpk --out minutes.json
    """
    from pydantic import ValidationError

    from keys_tooling import agenda
    from keys_tooling.keyfiles import new_files, read_secret
    from keys_tooling.minutes import OP, Minutes, SignedMinutes, Step, grouped, printed
    from keys_tooling.partnership import ADMIN
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.token_pins import on_token
    from schemas.canonical import b64
    from schemas.keyring import AdminKeys

    passphrase = known_passphrase(passphrase_file, "the administrator's keys")
    admin = AdminKeys.from_json(read_secret(folder / ADMIN, AdminKeys.HOLDS, passphrase), on_token)
    keys, began, steps = _read_aloud(root_files, passphrase, admin.op), world.now(), list[Step]()
    with new_files(out.parent) as files:
        files.absent(out.name)
        try:
            begun = Step(say="begun", by=names[0], at=began, note="")
            minutes = Minutes.model_validate(
                {
                    "v": 1, "kind": kind, "agency": admin.agency, "op": b64(admin.op.public), "began": began,
                    "ended": began, "need": need, "present": _present(names, dict(cards)), "steps": (begun,),
                    "keys": keys,
                }
            )  # fmt: skip
            SignedMinutes.make(minutes)
            for key in keys:
                tell(f"{key.what}: {grouped(key.kid)}")
            for at, say in enumerate(agenda.steps(kind), 1):
                steps.append(_step(world, at, say, names))
        except ValidationError:
            raise click.UsageError("A name is 1 to 60 letters that show. Correct --present.") from None
        done = minutes.model_copy(update={"steps": tuple(steps), "ended": world.now()})
        signed = SignedMinutes.make(done).signed(OP, admin.op)
        files.public(out.name, signed.to_bytes())
    report(_facts(signed, out), printed(signed), as_json=as_json)


@ceremony.command("sign")
@click.argument("minutes", type=FILE)
@click.option("--key", "key_file", type=FILE, required=True, help="Your own key file.")
@click.option("--as", "name", required=True, help="Your name in the minutes.")
@click.option("--out", type=FILE, required=True, help="The minutes with your signature.")
@PASSPHRASE
@JSON
def sign(
    minutes: Path, key_file: Path, name: str, out: Path, passphrase_file: Path | None, as_json: bool
) -> None:
    """Sign minutes that you have read, with your own key.

    \b
    Example:
      fenpost-keys ceremony sign minutes.json --key lead-1.fpk --as lead-1 --out signed.json
    """
    from keys_tooling.keyfiles import new_files, read_public
    from keys_tooling.minutes import LIMIT, SignedMinutes, printed
    from keys_tooling.passphrases import known_passphrase

    found = SignedMinutes.parse(read_public(minutes, LIMIT))
    tell(printed(found))
    key = _own_key(key_file, known_passphrase(passphrase_file, "your own key"))
    signed = found.signed(name, key)
    with new_files(out.parent) as files:
        files.absent(out.name)
        files.public(out.name, signed.to_bytes())
    report(_facts(signed, out), f"{name} has signed. {_waiting(signed)}", as_json=as_json)


@ceremony.command("verify")
@click.argument("minutes", type=FILE)
@click.option(
    "--enrolment", type=FILE, help="The agency's enrolment.json: is the operational key that agency's?"
)
@JSON
def verify(minutes: Path, enrolment: Path | None, as_json: bool) -> None:
    """Show minutes, when every signature under them holds; a changed letter is refused.

    \b
    Example:
      fenpost-keys ceremony verify signed.json --enrolment peacock/enrolment.json
    """
    from keys_tooling.agency import read_enrolment
    from keys_tooling.keyfiles import read_public
    from keys_tooling.minutes import LIMIT, SignedMinutes, printed
    from schemas.canonical import b64
    from schemas.errors import Refusal

    found = SignedMinutes.parse(read_public(minutes, LIMIT))
    if enrolment is not None:
        known = read_enrolment(enrolment)
        if (known.particulars.agency, b64(known.agency.op)) != (found.minutes.agency, found.minutes.op):
            raise Refusal(
                "MINUTES", "These minutes are signed by another agency's operational key, or by a later one."
            )
    report(
        _facts(found, minutes),
        f"{printed(found)}\n\nEvery signature holds. {_waiting(found)}",
        as_json=as_json,
    )


def _present(names: tuple[str, ...], cards: dict[str, Path]) -> tuple[Attending, ...]:
    from keys_tooling.minutes import Attending
    from schemas.canonical import b64

    strange = sorted(set(cards) - set(names))
    if strange:
        raise click.UsageError(f"--card names {strange[0]}, who is not among --present.")
    return tuple(
        Attending(name=name, pub=b64(_card(cards[name])) if name in cards else None) for name in names
    )


def _card(path: Path) -> bytes:
    """The public signing key on a person's, an officer's or a policy signer's card."""
    from keys_tooling import officer, roles
    from keys_tooling.keyfiles import read_public
    from schemas.errors import Refusal

    data = read_public(path, officer.CARD_LIMIT)
    try:
        return roles.parse_card(data).public
    except Refusal:
        return officer.parse_card(data).auth


def _read_aloud(files: tuple[Path, ...], passphrase: bytes, op: Signer) -> tuple[KeyRead, ...]:
    from keys_tooling.keyfiles import read_secret
    from keys_tooling.minutes import KeyRead
    from keys_tooling.root_files import roots_of

    found = [KeyRead(what="op", kid=op.kid)]
    for file in files:
        roots = roots_of(read_secret(file, "roots", passphrase))
        found += [KeyRead(what=f"{file.stem[:50]} {at}", kid=root.kid) for at, root in enumerate(roots, 1)]
    return tuple(found)


def _step(world: World, at: int, say: str, names: tuple[str, ...]) -> Step:
    from keys_tooling.minutes import Step

    tell(f"\n{at}. {say}")
    while True:
        typed: str = click.prompt("Done by (NAME, or NAME: a note)", err=True)
        name, _, note = typed.partition(":")
        if name.strip() in names:
            return Step(say=say, by=name.strip(), at=world.now(), note=note.strip()[:200])
        tell(f"Nobody of that name is here. Here are: {', '.join(names)}")


def _own_key(path: Path, passphrase: bytes) -> Signer:
    from keys_tooling.keyfiles import read_public, read_secret
    from keys_tooling.token_pins import on_token
    from schemas.errors import Refusal
    from schemas.keyfile import LIMIT, claimed
    from schemas.token_place import signer_of

    holds = claimed(read_public(path, LIMIT))
    if holds not in HOLDERS:
        raise Refusal(
            "KEYFILE", "Minutes are signed with a person's, an officer's or a policy signer's own key."
        )
    return signer_of(read_secret(path, holds, passphrase)[HOLDERS[holds]], on_token)


def _waiting(signed: SignedMinutes) -> str:
    left = ", ".join(signed.unsigned())
    return (
        f"These have a key and have not signed yet: {left}."
        if left
        else "Everybody who has a key has signed."
    )


def _facts(signed: SignedMinutes, out: Path) -> dict[str, object]:
    return {
        "minutes": signed.minutes.model_dump(mode="json"),
        "out": str(out),
        "signed": [{"as": hand.name, "kid": hand.by} for hand in signed.hands],
        "unsigned": list(signed.unsigned()),
    }
