"""Names that people read and choose by: agencies' names and desks. Pure.

A name is one that nobody can mistake for another: one script, no invisible or direction-changing characters, and no
look-alike of a name that the directory has already.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from schemas.errors import Refusal

LONGEST = 120
MAX_DESKS = 32
_DESK = re.compile(r"[a-z][a-z0-9-]{0,31}")
# Letters and digits that are drawn like a Latin letter, lower case, after accents are taken off.
_DRAWN_ALIKE = str.maketrans(
    {
        **dict(zip("авеѕіјкмнорстухԁԛԝһъ", "abesljkmhopctyxdqwhb", strict=True)),
        **dict(zip("αβγεικμνορτυχω", "abyelkuvoptuxw", strict=True)),
        **dict(zip("օսցհոզ", "oughnq", strict=True)),
        **dict(zip("ıłøđħŧ", "llodht", strict=True)),
        **dict(zip("0135i", "olesl", strict=True)),
    }
)


def check_name(name: str) -> str:
    """The name, if it may stand in the directory.

    Raises:
        Refusal: NAME.
    """
    if not 1 <= len(name) <= LONGEST or name != " ".join(name.split(" ")).strip() or "  " in name:
        raise Refusal("NAME", "A name has 1 to 120 characters, and single spaces between its words.")
    if unicodedata.normalize("NFKC", name) != name:
        raise Refusal("NAME", "The name holds characters that are drawn like others. Type it plainly.")
    if any(char != " " and unicodedata.category(char)[0] in "CZ" for char in name):
        raise Refusal("NAME", "The name holds invisible characters. Type it again by hand.")
    if not any(char.isalpha() for char in name):
        raise Refusal("NAME", "The name holds no letter. Write the agency's name in full.")
    if len(scripts(name)) > 1:
        raise Refusal("NAME", "The name mixes letters of several scripts. Type it in one script.")
    return name


def scripts(name: str) -> set[str]:
    """The scripts of a name's letters, as the first word of their Unicode names tells them."""
    return {unicodedata.name(char, "UNNAMED").split(" ")[0] for char in name if char.isalpha()}


def drawn(name: str) -> str:
    """What a name looks like at a glance: equal for names that a hurried reader takes for the same."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if not unicodedata.combining(c))
    plain = "".join(char for char in bare.translate(_DRAWN_ALIKE) if char.isalnum())
    return plain.replace("rn", "m").replace("vv", "w")


def check_unlike(name: str, taken: Iterable[str]) -> None:
    """Raises Refusal NAME when somebody would take `name` for one that is `taken`."""
    if drawn(name) in {drawn(other) for other in taken}:
        raise Refusal("NAME", "The directory has this name already, or one that looks like it.")


def check_desks(desks: tuple[str, ...]) -> tuple[str, ...]:
    """The desks, if each is a desk id and none stands twice.

    Raises:
        Refusal: SETTINGS.
    """
    if not 1 <= len(desks) <= MAX_DESKS or len(set(desks)) != len(desks):
        raise Refusal(
            "SETTINGS", "An agency has 1 to 32 desks, each named once. Correct --desk.", detail=("desk",)
        )
    if not all(_DESK.fullmatch(desk) for desk in desks):
        raise Refusal(
            "SETTINGS",
            "A desk is a role in small letters, digits and hyphens, such as 'referrals'. Correct --desk.",
            detail=("desk",),
        )
    return desks
