"""The full case record, as an agency's case system hands it over (PROTOCOL.md M9).

It is a superset of every message: a section for each block, and whatever else the case system holds. It never leaves
the agency. Only `schemas.minimise` reads it, and only what a form asks for goes on.

Rules of this house:
- tolerant: a section or a field that nobody here knows is no fault, it is listed as left out;
- nothing is guessed: a value is carried as it stands, mended only where it has one harmless meaning;
- null, blank, an empty list and `not_asked_yet` all mean that it was not asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.categories import NOT_ASKED
from schemas.errors import Refusal
from schemas.messages.text import tidy

MAX_DEPTH = 16
MAX_VALUES = 20_000

Section = dict[str, Any]


class CaseRecord(BaseModel):
    """What a case record may hold. Each section uses the names of the block that it feeds.

    `person` feeds B1 and B2; `child_concern.about` names, by its `ref`, the child among `children` whom a concern is
    about. `refuge` and its like are here so that they can be looked for and kept back.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="allow", hide_input_in_errors=True)

    person: Section = {}
    wishes: Section = {}
    contact: Section = {}
    access: Section = {}
    digital: Section = {}
    needs: list[str] = []
    risk: Section = {}
    harm_causers: list[Section] = []
    children: list[Section] = []
    handling: list[str] = []
    staff_safety: Section = {}
    reasons: Section = {}
    reply_to: Section = {}
    referral: Section = {}
    child_concern: Section = {}
    adult_concern: Section = {}
    info_request: Section = {}


def read_case(case: Mapping[str, Any]) -> Section:
    """A case record without what was not asked, its texts tidied, its sections of the right kind.

    Raises:
        Refusal: BAD_VALUE, naming the section; or TOO_BIG.
    """
    kept = _asked(case, MAX_DEPTH, [MAX_VALUES]) or {}
    try:
        CaseRecord.model_validate(kept)
    except ValidationError as error:
        paths = tuple(dict.fromkeys(str(found["loc"][0]) for found in error.errors(include_input=False)))
        say = f"These parts of the case record are not of the kind that they should be: {', '.join(paths)}."
        raise Refusal("BAD_VALUE", say, party="sender", detail=paths) from None
    for section in (kept.get("person", {}), *kept.get("children", ())):
        if isinstance(section.get("address"), str):
            section["address"] = {"lines": _lines(section["address"])}
    return dict(kept)


def _lines(address: str) -> list[str]:
    parts = [part.strip() for part in re.split(r"[\n,]", address) if part.strip()]
    return [*parts[:4], ", ".join(parts[4:])] if len(parts) > 4 else parts


def _asked(value: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if depth == 0 or left[0] < 0:
        raise Refusal("TOO_BIG", party="sender")
    if isinstance(value, str):
        text = tidy(value)
        return None if text in ("", NOT_ASKED) else text
    if isinstance(value, Mapping):
        items = {str(name): _asked(item, depth - 1, left) for name, item in value.items()}
        return {name: item for name, item in items.items() if item is not None} or None
    if isinstance(value, list | tuple):
        found = [_asked(item, depth - 1, left) for item in value]
        return [item for item in found if item is not None] or None
    if value is None or isinstance(value, bool | int | float):
        return value
    raise Refusal("BAD_VALUE", "The case record holds something that is not JSON.", party="sender")
