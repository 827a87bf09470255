"""What a form could carry and this recipient still does not get, and why (PROTOCOL.md M9).

Each rule looks at the case record and names the paths that stay behind, with the reason in plain words. A rule only
ever takes away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from schemas.categories import NOT_ASKED
from schemas.kept import Kept, left_out_name, withheld
from schemas.messages.contact import AT_AN_ADDRESS
from schemas.never import kept_of, never_named
from schemas.patterns import bare
from schemas.routes import RecipientProfile
from schemas.selection import look, paths_in, steps


class Reason(NamedTuple):
    """Why something was left out: a stable code, and a sentence."""

    code: str
    why: str


NOT_CARRIED = Reason("NOT_CARRIED", "This message does not carry it.")
UNSAFE = Reason("UNSAFE_CHANNEL", "The person did not call this channel safe. Unknown means no.")
ADDRESS = Reason("ADDRESS_WITHHELD", "The address is not marked shareable.")
ADULT_ONLY = Reason("ADULT_ONLY", "This desk works with adults only, so it learns nothing about children.")
OTHER_SIDE = Reason(
    "SUPPORTS_HARM_CAUSER", "This desk also supports people who cause harm, who could learn of it."
)
PURPOSE = Reason("PURPOSE", "Not needed for this purpose.")
ENOUGH = Reason("ENOUGH", "Something less exact is enough here, and that is carried.")
IDENT = Reason("NO_SEARCH", "Only a desk that must search its own files gets this.")
LEAST = Reason(
    "HARM_CAUSER_LEAST", "Of the person causing harm, this form carries only what keeps contact safe."
)
ANSWERS = Reason("TOOL_ANSWERS", "Answers to a risk tool stay with the assessor; the count and the level go.")
OWN_NUMBER = Reason("OWN_NUMBER", "Case numbers mean nothing elsewhere and could be traced: they stay.")

# Tried in order, for what a form has no field for; anything else is simply not carried.
_WHY = (
    (re.compile(r"risk\.(answers|questions|responses|answer_sheet)\b.*"), ANSWERS),
    (re.compile(r"(case_ref|case_no|case_id|person\.case_ref)"), OWN_NUMBER),
    (re.compile(r"person\.(legal_name|aliases|dob|address|address_status|nhs_no|police_ref|upn)\b.*"), IDENT),
    (re.compile(r"children\[\d+\]\.(legal_name|aliases|dob|address|nhs_no|upn)\b.*"), IDENT),
    (re.compile(r"harm_causers\b.*"), LEAST),
)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_PEOPLE = re.compile(r"(person|harm_causers|children|child_concern\.adults_with_pr)\b.*")
_NAMES = frozenset({"legal_name", "name", "aliases"})
_NUMBERS = frozenset({"nhs_no", "police_ref", "upn"})
_HOUSING_NEEDS_NOT = (
    "digital",
    "access.trauma_triggers",
    "risk.yes_count",
    "risk.unknown_count",
    "risk.indicators",
)


def stays(case: Mapping[str, Any], recipient: RecipientProfile, purpose: str) -> dict[str, Reason]:
    """The paths of a case record that stay behind for this recipient and purpose, each with its reason."""
    found: dict[str, Reason] = {}
    for place, way in enumerate(_sections(case, "contact.channels")):
        if way.get("safe") != "yes":
            found[f"contact.channels[{place}].value"] = UNSAFE
        elif way.get("kind") in AT_AN_ADDRESS and way.get("address_status") != "shareable":
            found[f"contact.channels[{place}].value"] = ADDRESS
    if look(case, "person.address_status") != "shareable":
        found["person.address"] = ADDRESS
    for place, child in enumerate(_sections(case, "children")):
        if child.get("address_status") != "shareable":
            found[f"children[{place}].address"] = ADDRESS
    if not recipient.sees_children:
        found["children"] = ADULT_ONLY
    if recipient.supports_harm_causer:
        found["harm_causers"] = OTHER_SIDE
    if purpose == "HOUSING":
        found.update(dict.fromkeys(_HOUSING_NEEDS_NOT, PURPOSE))
    return found


def why(path: str, ruled: Mapping[str, Reason]) -> Reason:
    """Why a path of the case record was left out."""
    for step in steps(path):
        named = never_named(step) if isinstance(step, str) else None
        if named:
            return Reason("NEVER", named[0])
    for start, reason in ruled.items():
        if path == start or path.startswith((f"{start}.", f"{start}[")):
            return reason
    return next((reason for pattern, reason in _WHY if pattern.fullmatch(path)), NOT_CARRIED)


def kept_back(case: Mapping[str, Any], carried: frozenset[str]) -> tuple[Kept, ...]:
    """What may not stand anywhere in the message either, because a field that says it was left out."""
    return tuple(dict.fromkeys((*kept_of(case), *_unsafe_values(case), *_left_out(case, carried))))


def _left_out(case: Mapping[str, Any], carried: frozenset[str]) -> Iterator[Kept]:
    known_as = bare(str(look(case, "person.known_as") or NOT_ASKED))
    # A parent may be the person of the record as well: a name that goes in its own field is no secret.
    named = {bare(str(look(case, path))) for path in carried if _name_of(path) in _NAMES}
    for path in paths_in(case):
        if path in carried or not _PEOPLE.fullmatch(path):
            continue
        text = str(look(case, path) or "")
        name = _name_of(path)
        if name in _NAMES:
            yield from (kept for kept in left_out_name(text) if kept.bare not in {known_as, *named})
        elif (
            ".address." in path
            and look(case, path.partition(".address.")[0] + ".address_status") != "shareable"
        ):
            yield from withheld(text)
        elif name in _NUMBERS and len(bare(text)) > 5:
            yield Kept(bare(text), "WITHHELD")
        elif name == "dob" and _DAY.fullmatch(text):
            year, month, day = text.split("-")
            yield from (Kept(written, "WITHHELD") for written in (year + month + day, day + month + year))


def _name_of(path: str) -> str:
    return next(step for step in reversed(steps(path)) if isinstance(step, str))


def _unsafe_values(case: Mapping[str, Any]) -> Iterator[Kept]:
    ways = [(way.get("safe"), str(way.get("value", ""))) for way in _sections(case, "contact.channels")]
    # The same number may be safe to call and unsafe to text: then it is carried, and no secret.
    safe = "".join(bare(value) for answer, value in ways if answer == "yes")
    for answer, value in ways:
        if answer != "yes":
            yield from (kept for kept in withheld(value) if kept.bare not in safe)


def _sections(case: Mapping[str, Any], path: str) -> list[Mapping[str, Any]]:
    found = look(case, path)
    items = found if isinstance(found, list) else [found]
    return [item if isinstance(item, Mapping) else {} for item in items]
