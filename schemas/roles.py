"""The roles that a person's key may have, and whose it is (PROTOCOL.md O1-O3).

A person's key carries a tag of role and pseudonym, such as `author-3` or `lead-3`: the number names one person of that
agency, never by name. Nobody is both.
"""

from __future__ import annotations

import re
from typing import Literal

from schemas.errors import Refusal

Role = Literal["author", "lead"]
"""author: may ask for an override. lead: the agency's safeguarding lead, who may authorise one."""
_TAG = re.compile(r"^(author|lead)-([a-z0-9]+)$")


def read_tag(person: str | None) -> tuple[Role, str]:
    """The role and the person of a key's tag. Raises Refusal PERSON_TAG."""
    found = _TAG.match(person or "")
    if found is None:
        raise Refusal("PERSON_TAG")
    return ("author" if found[1] == "author" else "lead"), found[2]
