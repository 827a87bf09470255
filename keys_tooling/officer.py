"""An IG officer's card: the public half of her keys, as a file that she hands to her agency's administrator. Pure.

The card carries its own safety number, so that a damaged copy is refused at once; whether it is hers is settled by
reading the number aloud.
"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field

from keys_tooling.card_number import Numbered, read
from keys_tooling.ceremony import OfficerCard
from schemas.canonical import b64, unb64
from schemas.hashing import digits, labelled
from schemas.keys import ED25519, XWING, check_public

CARD_LIMIT = 16 * 1024
NOT_A_CARD = "This is not an officer's card, or it was damaged. Ask the officer for her officer.json again."


class Card(Numbered):
    """officer.json. Keys are base64url."""

    person: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    ig: Annotated[str, Field(max_length=2000)]
    auth: Annotated[str, Field(max_length=100)]


def card_number(card: OfficerCard) -> str:
    """Six groups of five digits over everything on the card, to be read aloud on a known number."""
    data = card.auth + card.ig + card.person.encode("ascii")
    return digits(labelled("fenpost/v1/officer-card", data, size=16))


def card_bytes(card: OfficerCard) -> bytes:
    """The bytes of officer.json."""
    value = {
        "auth": b64(card.auth),
        "ig": b64(card.ig),
        "number": card_number(card),
        "person": card.person,
        "v": 1,
    }
    return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"


def parse_card(data: bytes) -> OfficerCard:
    """Read a card.

    Raises:
        Refusal: KEY.
    """
    return _keys(read(Card, data, CARD_LIMIT, NOT_A_CARD, lambda card: card_number(_keys(card))))


def _keys(card: Card) -> OfficerCard:
    found = OfficerCard(unb64(card.ig), unb64(card.auth), card.person)
    check_public(XWING, found.ig)
    check_public(ED25519, found.auth)
    return found
