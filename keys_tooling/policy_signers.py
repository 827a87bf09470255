"""Who signs policies: a new signer's key and card, naming her in the directory, and ending what she may sign.

Rules of this house:
- her secret is drawn on her own machine and never leaves it; oversight gets a card with the public half;
- she is named only after her card's number was read aloud, and her key counts a day after everybody could see it;
- ending a key ends what it may sign from then on, not what it signed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from keys_tooling import card_number
from keys_tooling.console import World
from keys_tooling.keyfiles import new_files
from keys_tooling.plan import Given, Plan, add_key, revoke
from schemas.canonical import b64, unb64
from schemas.directory import Directory, Key
from schemas.errors import Refusal
from schemas.hashing import digits, labelled
from schemas.keyfile import Cost, lock
from schemas.keyring import PolicyKey
from schemas.keys import ED25519, LIFE, SigningKey, Use, check_public
from schemas.policing import KEY_DELAY

CARD_LIMIT = 4096
NAME = "policy-[1-9][0-9]{0,3}"
THINKING = 600
"""Seconds that may pass between a plan and the yes to it: what it publishes still counts a day after that."""
NOT_A_CARD = "This is not a policy signer's card, or it was damaged. Ask her for it again."


class Card(card_number.Numbered):
    """A signer's card. `key` is base64url."""

    person: Annotated[str, Field(pattern=f"^{NAME}$")]
    key: Annotated[str, Field(max_length=100)]

    @property
    def public(self) -> bytes:
        return unb64(self.key, 32)


def check_name(person: str) -> None:
    """Raises Refusal NAME unless she is called by her place."""
    if not re.fullmatch(NAME, person):
        raise Refusal("NAME", "A policy signer is called policy-1, policy-2 and so on.")


def make_signer(out: Path, person: str, passphrase: bytes, cost: Cost, world: World) -> Card:
    """Write a new signer's key file and, beside it, her card (`.json`).

    Raises:
        Refusal: EXISTS, FILE, NAME, KEYFILE, DISK_FULL.
    """
    check_name(person)
    key = SigningKey(world.draw(32))
    card = Card(v=1, person=person, key=b64(key.public), number=number_of(person, key.public))
    with new_files(out.parent) as files:
        files.absent(out.name, card_path(out).name)
        held = PolicyKey(key, person)
        files.secret(out.name, lock(held.to_json(), PolicyKey.HOLDS, passphrase, cost, world.draw))
        files.public(card_path(out).name, json.dumps(card.model_dump(), indent=1).encode("ascii") + b"\n")
    return card


def card_path(out: Path) -> Path:
    return out.with_suffix(".json")


def read_card(data: bytes) -> Card:
    """Raises Refusal KEY."""

    def right(card: Card) -> str:
        check_public(ED25519, card.public)
        return number_of(card.person, card.public)

    return card_number.read(Card, data, CARD_LIMIT, NOT_A_CARD, right)


def number_of(person: str, public: bytes) -> str:
    """Six groups of five digits over everything on a card, to be read aloud on a known number."""
    return digits(labelled("fenpost/v1/policy-card", public + person.encode("ascii"), size=16))


def name(view: Directory, given: Given, card: Card, now: int, does: str = "policy signer name") -> Plan:
    """A signer's key, which counts a day after everybody could see it; nothing where it was published."""
    first, life = now + KEY_DELAY + THINKING, LIFE[Use.POLICY]
    says = (add_key(Use.POLICY, ED25519, card.key, first, first + life, card.person),)
    return Plan(
        does,
        given,
        view.oversight,
        () if any(key.public == card.public for key in signers(view)) else says,
        affects=("every member sees the new signer a day before she can sign",),
        after=("end the old key when the new one counts: fenpost-keys policy signer end",),
    )


def end(view: Directory, given: Given, kid: str, reason: str, now: int) -> Plan:
    """A signer's key ends now; nothing where it has ended.

    Raises:
        Refusal: UNKNOWN_KEY.
    """
    key = next((key for key in signers(view) if key.kid == kid), None)
    if key is None:
        raise Refusal("UNKNOWN_KEY", "No policy signer has this key. Look: fenpost-keys policy signer list")
    return Plan(
        "policy signer end",
        given,
        view.oversight,
        () if key.revoked is not None else (revoke(kid, reason, now),),
        affects=(f"{key.person} signs nothing more; what she signed stays in force",),
    )


def signers(view: Directory) -> list[Key]:
    """Every policy key that oversight ever published, in the directory's order."""
    own = view.agencies[view.oversight]
    return [key for key in own.keys.values() if key.use == Use.POLICY]
