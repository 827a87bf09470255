"""A card of any kind of person, as `rotate` takes it: read, its number heard, and what it publishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from keys_tooling import officer, policy_signers, roles, rotation
from keys_tooling.card_number import hear
from keys_tooling.directory_reading import Reading
from keys_tooling.keyfiles import read_public
from keys_tooling.own_side import OwnSide
from keys_tooling.plan import Given, Plan
from schemas.keys import ED25519, kid_of


@dataclass(frozen=True, slots=True)
class Card:
    """A card whose number was heard; `kid` is its signing key's."""

    kid: str
    plan: Callable[[Reading, OwnSide, Given, int], Plan]


def read(person: Path | None, ig: Path | None, signer: Path | None, number: str | None) -> Card | None:
    """The one card that was named, or None.

    A person's number is heard by oversight, who countersigns her; an officer's and a signer's is heard here.

    Raises:
        Refusal: FILE, KEY, FINGERPRINT.
        click.UsageError: there is no terminal to ask for the number.
    """
    if sum(path is not None for path in (person, ig, signer)) > 1:
        raise click.UsageError("One card at a time: --person, --officer or --policy.")
    if person is not None:
        card = roles.parse_card(read_public(person, roles.CARD_LIMIT))
        return Card(
            card.kid, lambda reading, own, told, now: rotation.rotate_person(reading, own, told, card, now)
        )
    if ig is not None:
        found = officer.parse_card(read_public(ig, officer.CARD_LIMIT))
        hear(officer.card_number(found), number)
        return Card(
            kid_of(ED25519, found.auth),
            lambda reading, own, told, now: rotation.rotate_officer(reading, own, told, found, now),
        )
    if signer is not None:
        held = policy_signers.read_card(read_public(signer, policy_signers.CARD_LIMIT))
        hear(held.number, number)
        return Card(
            kid_of(ED25519, held.public),
            lambda reading, own, told, now: rotation.rotate_policy(reading, own, told, held, now),
        )
    return None
