"""An IG officer's card: the public half of her keys, as a file that she hands to her agency's administrator. Pure.

The card carries its own safety number, so that a damaged copy is refused at once; whether it is hers is settled by
reading the number aloud.
"""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, ValidationError

from keys_tooling.ceremony import OfficerCard
from schemas.canonical import b64, strict_json, unb64
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.keys import ED25519, XWING, check_public

CARD_LIMIT = 16 * 1024
NOT_A_CARD = "This is not an officer's card, or it was damaged. Ask the officer for her officer.json again."


class Card(Frozen):
    """officer.json. Keys are base64url; `number` is the card's safety number."""

    v: Annotated[int, Field(ge=1, le=1)]
    person: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    ig: Annotated[str, Field(max_length=2000)]
    auth: Annotated[str, Field(max_length=100)]
    number: Annotated[str, Field(pattern=r"^[0-9]{5}( [0-9]{5}){5}$")]


def card_number(card: OfficerCard) -> str:
    """Six groups of five digits over everything on the card, to be read aloud on a known number."""
    data = card.auth + card.ig + card.person.encode("ascii")
    digest = int.from_bytes(labelled("fenpost/v1/officer-card", data, size=16), "big")
    digits = f"{digest % 10**30:030d}"
    return " ".join(digits[at : at + 5] for at in range(0, 30, 5))


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
    try:
        strict_json(data, CARD_LIMIT)
        given = Card.model_validate_json(data)
        card = OfficerCard(unb64(given.ig), unb64(given.auth), given.person)
        check_public(XWING, card.ig)
        check_public(ED25519, card.auth)
    except (Refusal, ValidationError) as error:
        raise Refusal("KEY", NOT_A_CARD) from error
    if card_number(card) != given.number:
        raise Refusal("KEY", NOT_A_CARD)
    return card
