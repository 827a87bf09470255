"""Cards that people hand over: read whole or refused, each with a number that its holder reads aloud."""

from __future__ import annotations

import hmac
import sys
from collections.abc import Callable
from typing import Annotated, TypeVar

import click
from pydantic import Field, ValidationError

from schemas.canonical import strict_json
from schemas.envelope import Frozen
from schemas.errors import Refusal

Number = Annotated[str, Field(pattern=r"^[0-9]{5}( [0-9]{5}){5}$")]
C = TypeVar("C", bound="Numbered")
NOT_HERS = "That is not this card's number, so nothing was sent. Ring her again."


class Numbered(Frozen):
    """What every card has. `number` is over everything else on it, so that a damaged copy is refused at once."""

    v: Annotated[int, Field(ge=1, le=1)]
    number: Number


def read(kind: type[C], data: bytes, limit: int, otherwise: str, right: Callable[[C], str]) -> C:
    """A card of this kind.

    Args:
        otherwise: what is said of anything else.
        right: the number that belongs on a card; raises Refusal for a public key that is none.

    Raises:
        Refusal: KEY.
    """
    try:
        strict_json(data, limit)
        card = kind.model_validate_json(data)
        number = right(card)
    except (Refusal, ValidationError) as error:
        raise Refusal("KEY", otherwise) from error
    if card.number != number:
        raise Refusal("KEY", otherwise)
    return card


def hear(right: str, said: str | None, option: str = "--number") -> None:
    """The holder reads her number from her own screen, and somebody who rang her types it.

    Raises:
        Refusal: FINGERPRINT unless it is the card's.
        click.UsageError: there is no terminal to ask for it.
    """
    if said is None and not sys.stdin.isatty():
        raise click.UsageError(f"There is no terminal to ask for the number: give {option}.")
    check(right, said or click.prompt("Number, as she reads it aloud", err=True))


def check(right: str, said: str, otherwise: str | None = NOT_HERS) -> None:
    """Raises Refusal FINGERPRINT unless this is the number; blanks and hyphens do not count."""
    digits = "".join(char for char in said if char not in " -\t")
    if not digits.isascii() or not hmac.compare_digest(digits, right.replace(" ", "")):
        raise Refusal("FINGERPRINT", otherwise)
