"""Names that people choose by: agencies' names in the directory (PROTOCOL.md K14). Pure.

A name is one that nobody can mistake for another: one script, no invisible or direction-changing characters, and no
look-alike of a name that the directory has already.

Every reader of the directory must come to the same answer for ever. So characters are judged by one fixed edition of
the Unicode database, 3.2, which Python carries for domain names, and what that does not know is refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from schemas.errors import Refusal

LONGEST = 120
UCD = unicodedata.ucd_3_2_0
SOFT_HYPHEN = "\u00ad"
"""The one character that became invisible since that edition."""
# Letters and digits that are drawn like a Latin letter, lower case, after accents are taken off (after UTS #39).
_DRAWN_ALIKE = str.maketrans(
    {
        **dict(zip("авеѕіјкмнорстухԁһъ", "abesljkmhopctyxdhb", strict=True)),
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
    if any((char != " " and UCD.category(char)[0] in "CZ") or char == SOFT_HYPHEN for char in name):
        raise Refusal("NAME", "The name holds characters that nobody can see or read. Type it again by hand.")
    if UCD.normalize("NFKC", name) != name:
        raise Refusal("NAME", "The name holds characters that are drawn like others. Type it plainly.")
    if not any(UCD.category(char)[0] == "L" for char in name):
        raise Refusal("NAME", "The name holds no letter. Write the agency's name in full.")
    if len(scripts(name)) > 1:
        raise Refusal("NAME", "The name mixes letters of several scripts. Type it in one script.")
    return name


def scripts(name: str) -> set[str]:
    """The scripts of a name's letters, as the first word of their Unicode names tells them."""
    return {UCD.name(char, "UNNAMED").split(" ")[0] for char in name if UCD.category(char)[0] == "L"}


def drawn(name: str) -> str:
    """What a name looks like at a glance: equal for names that a hurried reader takes for the same."""
    bare = "".join(c for c in UCD.normalize("NFKD", name.casefold()) if not UCD.combining(c))
    plain = "".join(char for char in bare.translate(_DRAWN_ALIKE) if UCD.category(char)[0] in "LN")
    return plain.replace("rn", "m").replace("vv", "w")


def check_unlike(name: str, taken: Iterable[str]) -> None:
    """Raises Refusal NAME when somebody would take `name` for one that is `taken`."""
    if drawn(name) in {drawn(other) for other in taken}:
        raise Refusal("NAME", "The directory has this name already, or one that looks like it.")
