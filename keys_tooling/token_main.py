"""fenpost-keys token: signing keys on a PKCS#11 token, so that they cannot be copied. Parses the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.console import World, report
from keys_tooling.options import DEMONSTRATION, FILE, JSON, PASSPHRASE

if TYPE_CHECKING:
    from schemas.canonical import Json

SLOTS = {"admin": "op", "officer": "auth", "person": "key", "policy": "key"}
"""Which entry of a key file is the signing key that may live on a token."""


@click.group()
def token() -> None:
    """Put a signing key on a token: the operational key, a person's, an officer's request key, a policy signer's.

    \b
    Example:
      fenpost-keys token take peacock/admin.fpk --module /usr/lib/softhsm/libsofthsm2.so --token peacock --out admin.fpk
    """


@token.command("take")
@click.argument("key_file", metavar="KEYFILE", type=FILE)
@click.option("--module", type=FILE, required=True, help="The token's PKCS#11 library.")
@click.option("--token", "label", required=True, help="The token's name.")
@click.option("--out", type=FILE, required=True, help="The key file to make, which names the token's key.")
@PASSPHRASE
@DEMONSTRATION
@JSON
@click.pass_obj
def take(
    world: World,
    key_file: Path,
    module: Path,
    label: str,
    out: Path,
    passphrase_file: Path | None,
    demonstration_cost: bool,
    as_json: bool,
) -> None:
    """Put a key file's signing key into a token. The new file holds everything else, and where the key is.

    The PIN is asked for, or is in the file that --token-pin-file names before the command. Destroy the old file and its
    copies then: whoever has them has the key without the token. A key that was made on the token, as fenpost-keys role
    new --token does, was never anywhere else.

    \b
    Example:
      fenpost-keys --token-pin-file pin token take peacock/admin.fpk --module /usr/lib/softhsm/libsofthsm2.so \\
        --token peacock --out peacock/admin-on-token.fpk
    """
    from agent.tokens import Tokens
    from keys_tooling.demonstration import cost
    from keys_tooling.keyfiles import new_files, read_public, read_secret
    from keys_tooling.passphrases import known_passphrase
    from keys_tooling.token_pins import pin_of
    from schemas.canonical import unb64
    from schemas.errors import Refusal
    from schemas.keyfile import LIMIT, claimed, lock
    from schemas.keys import SigningKey

    holds = claimed(read_public(key_file, LIMIT))
    if holds not in SLOTS:
        raise Refusal(
            "KEYFILE", f"A token takes no keys of the kind '{holds}'. It takes: {', '.join(sorted(SLOTS))}."
        )
    passphrase = known_passphrase(passphrase_file, "the key file")
    secrets: dict[str, Json] = read_secret(key_file, holds, passphrase)
    seed = secrets[SLOTS[holds]]
    if not isinstance(seed, str):
        raise Refusal("EXISTS", "This key is on a token already.")
    key = SigningKey(unb64(seed, 32))
    with new_files(out.parent) as files:
        files.absent(out.name)
        place = Tokens(pin_of).take(str(module.absolute()), label, key.kid[:16].encode("ascii"), key)
        held = {**secrets, SLOTS[holds]: place.to_json()}
        files.secret(out.name, lock(held, holds, passphrase, cost(demonstration_cost), world.draw))
    text = (
        f"The key {key.kid[:12]}… is on the token {label}, and {out} says so.\n"
        f"Try it once, then destroy {key_file} and every copy and backup of it."
    )
    report({"kid": key.kid, "out": str(out), "serial": place.serial, "token": label}, text, as_json=as_json)
