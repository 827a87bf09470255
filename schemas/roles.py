"""The roles that people's keys have, and which of them one person may not hold together (PROTOCOL.md O1-O3, O18).

A person's key carries a tag of role and pseudonym, such as `author-3` or `lead-3`: the number names one person of that
agency, never by name. The keys of IG officers carry `ig-3`, or `deputy-3` for who stands in for her.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from schemas.errors import Refusal

Role = Literal["author", "lead", "admin", "oversight"]
"""author: may ask for an override. lead: the agency's safeguarding lead, who may authorise one. admin: holds the
agency's operational key. oversight: holds the partnership's, and countersigns."""
ROLES: tuple[Role, ...] = get_args(Role)
_TAG = re.compile(r"([a-z]+)-([a-z0-9]+)")
_HELD = frozenset({*ROLES, "ig", "deputy"})
APART = frozenset(
    map(
        frozenset,
        (
            ("author", "lead"),
            ("author", "oversight"),
            ("lead", "oversight"),
            ("admin", "ig"),
            ("admin", "deputy"),
            ("ig", "deputy"),
        ),
    )
)
"""Pairs of roles that are two people's; the reasons stand in O18."""


def read_tag(person: str | None) -> tuple[Role, str]:
    """The role and the person of a person key's tag. Raises Refusal PERSON_TAG."""
    found = _TAG.fullmatch(person or "")
    role = next((role for role in ROLES if found is not None and found[1] == role), None)
    if found is None or role is None:
        raise Refusal("PERSON_TAG")
    return role, found[2]


def check_apart(one: str | None, other: str | None) -> None:
    """Refuse two tags of one agency that name one person in two roles of which she may hold only one.

    A tag that names nobody by number, such as `ig`, is nobody in particular.

    Raises:
        Refusal: ONE_PERSON.
    """
    (role, person), (second, same) = _held(one), _held(other)
    if person and person == same and frozenset({role, second}) in APART:
        raise Refusal(
            "ONE_PERSON",
            f"{role}-{person} and {second}-{same} are one person, and nobody may hold both roles. "
            "Somebody else must hold the other.",
        )


def _held(tag: str | None) -> tuple[str, str]:
    found = _TAG.fullmatch(tag or "")
    return (found[1], found[2]) if found is not None and found[1] in _HELD else ("", "")
