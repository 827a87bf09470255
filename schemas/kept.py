"""What a case record keeps back, cut into pieces that give it away on their own (PROTOCOL.md M8).

A worker who leaves the refuge's address out of the form may still type the street into a story. So each piece, bare
of case, spacing, punctuation and accents, is looked for in every text of the finished message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from schemas.patterns import bare, postcodes_in

Net = Literal["place", "name", "text", "secret", "none"]
"""How what a field says is looked for: as an address in pieces, as a name, by the sentence, as one word, not at all."""

# The shortest pieces worth looking for; anything shorter would be found in innocent words.
_SECRET, _DIGITS, _NAME, _SENTENCE, _STREET = 5, 6, 7, 20, 8
_RUN, _RUN_LENGTH = 8, 28
_TOWNS = frozenset({"town", "city", "county", "district", "area", "region", "country"})
_STREET_WORDS = {
    "street": "st",
    "road": "rd",
    "avenue": "ave",
    "lane": "ln",
    "close": "cl",
    "drive": "dr",
    "court": "ct",
    "crescent": "cres",
    "gardens": "gdns",
    "place": "pl",
    "square": "sq",
    "terrace": "terr",
}
_HOUSES = (
    "house",
    "lodge",
    "cottage",
    "villa",
    "hall",
    "manor",
    "hostel",
    "refuge",
    "centre",
    "way",
    "grove",
    "mews",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A bare text that may not appear in a message. `whole`: only as words of its own, for it is very short."""

    bare: str
    kind: str
    whole: bool = False

    def __repr__(self) -> str:
        return f"Kept({self.kind})"  # a log line must not become the leak


def pieces(text: str, net: Net, key: str) -> Iterator[Kept]:
    """What to look for so that `text`, found in a field with the bare name `key`, is not told."""
    kind = "REFUGE" if net == "place" else "KEPT_BACK"
    plain = bare(text)
    several = len(text.split()) > 1
    if net == "secret":
        found = {plain} if len(plain) >= _SECRET else set()
    elif net == "text":
        found = set(_sentences(text))
        if len(plain) >= _SENTENCE or (len(plain) >= _DIGITS and plain.isdigit()):
            found.add(plain)
    else:
        found = {*_phone(text), *(_address_pieces(text) if net == "place" else ())}
        if "postcode" in key and len(plain) >= _SECRET:
            found.add(plain)
        if key not in _TOWNS and several and len(plain) >= _NAME:
            found.add(plain)
    yield from (Kept(piece, kind) for piece in sorted(found))
    if net in ("place", "name") and "name" in key and not several and len(plain) > 2:
        yield Kept(plain, kind, whole=True)


def withheld(text: str) -> Iterator[Kept]:
    """An address or a number that the person did not call shareable, to be looked for in free text."""
    mail = (bare(text),) if "@" in text else ()
    yield from (Kept(piece, "WITHHELD") for piece in (*_address_pieces(text), *_phone(text), *mail))


def left_out_name(name: str) -> Iterator[Kept]:
    """A full name that a message leaves out; a first name alone is not looked for."""
    if len(name.split()) > 1:
        yield Kept(bare(name), "WITHHELD")


def _sentences(text: str) -> Iterator[str]:
    """The sentences of a text, and every run of words in it long enough to be nobody else's."""
    yield from (part for part in map(bare, re.split(r"[.!?;:\n]", text)) if len(part) >= _SENTENCE)
    words = [word for word in map(bare, text.split()) if word]
    runs = ("".join(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1))
    yield from (run for run in runs if len(run) >= _RUN_LENGTH)


def _address_pieces(text: str) -> Iterator[str]:
    """The parts of an address that give it away on their own: postcode, numbered line, street, house."""
    yield from postcodes_in(text)
    for place, part in enumerate(re.split(r"[,;\n]", text)):
        piece = bare(part)
        street = piece.strip("0123456789")
        numbered = street not in ("", piece) and len(piece) >= _DIGITS
        if numbered or (place == 0 and len(part.split()) > 1 and len(piece) >= _NAME):
            yield piece
        if len(street) >= _STREET and street.endswith((*_STREET_WORDS, *_STREET_WORDS.values(), *_HOUSES)):
            yield from _spellings(street)


def _spellings(street: str) -> Iterator[str]:
    yield street
    for long, short in _STREET_WORDS.items():
        if street.endswith(long):
            yield street.removesuffix(long) + short
        elif street.endswith(short):
            yield street.removesuffix(short) + long


def _phone(text: str) -> Iterator[str]:
    digits = "".join(char for char in bare(text) if char.isdigit())
    if len(digits) >= 10 and len(digits) >= len(bare(text)):
        yield digits[-9:]  # with or without 0, 44 or 0044 before it
