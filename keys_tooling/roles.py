"""People's role keys: made by the person, published by the agency, countersigned by oversight (PROTOCOL.md O1-O3).

Rules of this house:
- a person makes her own key, alone, and hands over a card with its public half; nobody else ever has the file;
- an administrator publishes the card, and cannot make it count; oversight countersigns it, and cannot publish it:
  so neither of them can make up two people;
- oversight hears the card's number from the person herself before it signs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import Field

from keys_tooling import card_number
from keys_tooling.ceremony import BACKDATE
from keys_tooling.console import World
from keys_tooling.keyfiles import new_files
from keys_tooling.plan import Given, Plan, Said, add_key
from schemas.canonical import Json, b64, unb64
from schemas.directory import Agency, Directory, Key
from schemas.envelope import AgencyId
from schemas.errors import Refusal
from schemas.hashing import digits, labelled
from schemas.keyfile import Cost, lock
from schemas.keyring import PersonKeys
from schemas.keys import ED25519, Signer, SigningKey, Use, check_public, kid_of
from schemas.roles import Role, read_tag

AGENCY_ID = "ag1[a-z2-7]{32}"
LIFE = 365 * 24 * 3600
CARD_LIMIT = 4096
NOT_A_CARD = "This is not a person's card, or it was damaged. Ask the person for it again."


class Card(card_number.Numbered):
    """The public half of a person's key, as she hands it over."""

    agency: AgencyId
    person: Annotated[str, Field(max_length=32)]
    pub: Annotated[str, Field(min_length=43, max_length=43)]

    @property
    def public(self) -> bytes:
        return unb64(self.pub, 32)

    @property
    def kid(self) -> str:
        return kid_of(ED25519, self.public)

    @property
    def role(self) -> Role:
        return read_tag(self.person)[0]


def card_of(keys: PersonKeys) -> Card:
    number = number_of(keys.agency, keys.tag, keys.key.public)
    return Card(v=1, agency=keys.agency, person=keys.tag, pub=b64(keys.key.public), number=number)


def number_of(agency: str, tag: str, public: bytes) -> str:
    """Six groups of five digits over everything on the card."""
    data = public + f"{agency}\x00{tag}".encode("ascii")
    return digits(labelled("fenpost/v1/person-card", data, size=16))


def card_bytes(card: Card) -> bytes:
    return json.dumps(card.model_dump(), indent=1, sort_keys=True).encode("ascii") + b"\n"


def parse_card(data: bytes) -> Card:
    """Raises Refusal KEY, PERSON_TAG."""

    def right(card: Card) -> str:
        check_public(ED25519, card.public)
        return number_of(card.agency, card.person, card.public)

    card = card_number.read(Card, data, CARD_LIMIT, NOT_A_CARD, right)
    read_tag(card.person)
    return card


def check(agency: str, tag: str) -> None:
    """Raises Refusal PERSON_TAG, FORM (the agency's id)."""
    read_tag(tag)
    if not re.fullmatch(AGENCY_ID, agency):
        raise Refusal("FORM", "That is no agency's id. It is in enrolment.json, and begins with ag1.")


def make(
    folder: Path,
    agency: str,
    tag: str,
    passphrase: bytes,
    cost: Cost,
    world: World,
    on_token: Callable[[], Signer] | None = None,
) -> Card:
    """A person's key file and card, in a folder of hers.

    Args:
        on_token: makes her key on a token; without it, it is in the file.

    Raises:
        Refusal: PERSON_TAG, FORM (the agency's id), EXISTS, FILE, DISK_FULL, KEYFILE, TOKEN.
    """
    check(agency, tag)
    with new_files(folder) as files:
        files.absent(f"{tag}.fpk", f"{tag}.json")
    keys = PersonKeys(agency, tag, on_token() if on_token else SigningKey(world.draw(32)))
    card = card_of(keys)
    with new_files(folder) as files:
        files.absent(f"{tag}.fpk", f"{tag}.json")
        files.secret(f"{tag}.fpk", lock(keys.to_json(), keys.HOLDS, passphrase, cost, world.draw))
        files.public(f"{tag}.json", card_bytes(card))
    return card


# --- the agency's administrator


def publish(agency: Agency, given: Given, card: Card, now: int) -> Plan:
    """A person's key goes into the agency's chain; nothing where it is there.

    Raises:
        Refusal: KEY (another agency's card).
    """
    if card.agency != agency.id:
        raise Refusal("KEY", "This card is for another agency. Ask the person to make her key for this one.")
    start = now - BACKDATE
    says = (add_key(Use.PERSON, ED25519, card.pub, start, start + LIFE, card.person),)
    return Plan(
        "role publish", given, agency.id, () if card.kid in agency.keys else says,
        affects=(f"nobody yet: {card.person} counts once oversight has countersigned her, and a day is over",),
    )  # fmt: skip


# --- oversight


def countersign(view: Directory, given: Given, card: Card) -> Plan:
    """Oversight's word for a published key; nothing where it was given. The caller compared the number.

    Raises:
        Refusal: UNKNOWN_KEY (not published, or under another role), KEY.
    """
    agency = view.agencies.get(card.agency)
    found = None if agency is None else agency.keys.get(card.kid)
    if found is None or found.use != Use.PERSON:
        raise Refusal("UNKNOWN_KEY", "The agency has not published this key yet. Ring its administrator.")
    if found.person != card.person:
        raise Refusal("KEY", "The agency published this key under another role or number. Ring it.")
    says = (Said("countersign", {"kid": card.kid, "role": card.role}),)
    return Plan(
        "role countersign", given, view.oversight, () if card.kid in view.countersigned else says,
        affects=(f"{card.person} counts once the policy's delay is over",),
    )  # fmt: skip


# --- looking


def listed(view: Directory, now: int, delay: int) -> list[dict[str, Json]]:
    """Every person's key in the directory, by agency and tag, and since when it counts."""
    keys = [key for one in view.agencies.values() for key in one.keys.values() if key.use == Use.PERSON]
    return [
        _row(view, key, now, delay) for key in sorted(keys, key=lambda key: (key.agency, key.person or ""))
    ]


def _row(view: Directory, key: Key, now: int, delay: int) -> dict[str, Json]:
    signed = view.countersigned.get(key.kid)
    counts = None if signed is None else signed + delay
    if key.revoked is not None and now >= key.revoked:
        state = "revoked"
    elif now >= key.exp:
        state = "ended"
    elif counts is None:
        state = "not countersigned"
    else:
        state = "counts" if now >= counts else "counts later"
    return {
        "agency": key.agency,
        "name": view.agencies[key.agency].name,
        "person": key.person,
        "kid": key.kid,
        "state": state,
        "countersigned": signed,
        "counts_from": counts,
        "until": key.exp,
    }
