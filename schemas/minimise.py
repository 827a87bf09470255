"""Minimisation: from a full case record to exactly what one message may carry (PROTOCOL.md M9).

Necessary, proportionate, relevant, and no more (UK GDPR article 5(1)(c); Caldicott principles 2 to 4). The form is the
allow-list; rules take away for the recipient and the purpose; the person's limits take away further; and what the
case record keeps back is looked for in every text that is left. All that stays behind is listed with its reason, so
that the worker can tell the person what was shared and what was not.

Nothing is guessed: what is missing is asked for, all of it at once.
"""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.case import CaseRecord, Section, read_case
from schemas.categories import NOT_ASKED, Flags, categories_of, flags_of
from schemas.leftout import LeftOut, left_out
from schemas.limiting import within
from schemas.messages.catalogue import Message, print_payload
from schemas.messages.concern import ChildConcern
from schemas.messages.handling import FAMILY_STRANDS
from schemas.messages.referral import Referral
from schemas.messages.risk import Child
from schemas.never import refuse_never
from schemas.routes import Limits, Plan, RecipientProfile, plan_for
from schemas.selection import Draft, look, masked, take, take_value
from schemas.withholding import ENOUGH, Reason, kept_back, stays

__all__ = ["LeftOut", "Limits", "Minimised", "RecipientProfile", "minimise"]


@dataclass(frozen=True, slots=True)
class Minimised:
    """A finished message, with what stayed behind and what its header must declare."""

    message: Message
    left_out: tuple[LeftOut, ...]
    categories: tuple[str, ...]
    flags: Flags


def minimise(
    case: Mapping[str, Any],
    kind: str,
    *,
    recipient: RecipientProfile,
    purpose: str,
    limits: Limits | None = None,
    person_ref: str | None = None,
    on: datetime.date | None = None,
) -> Minimised:
    """Make a message from a case record.

    Args:
        case: the full case record, as JSON values; see `schemas.case.CaseRecord`.
        kind: `referral.universal`, `child.concern` or `adult.concern`.
        recipient: what the directory says about the desk.
        purpose: the header's purpose.
        limits: what the person agreed to or ruled out; None where agreement is not the basis.
        person_ref: this recipient's handle for the person; the case record's own when left out.
        on: today, from which an age band is worked out where the case record has only a date of birth.

    Raises:
        Refusal: UNKNOWN_TYPE, NOT_FROM_CASE, PURPOSE, WRONG_DESK, SCOPE (the person ruled out something that the
            message cannot go without), MISSING (with every path of the case record that is still needed),
            NEVER_SHARED, TOO_BIG, and the refusals of `parse_payload` for an answer that its field cannot take.
    """
    plan = plan_for(kind, recipient, purpose, limits)
    full = read_case(case)
    ruled = stays(full, recipient, purpose)
    record = _prepared(full, plan, person_ref, on, ruled)
    draft = _drafted(record, plan, kind, frozenset(ruled))
    message = draft.filled(plan.form)
    if limits:
        message = within(limits, message, draft, ruled)
    carried = frozenset(draft.origin.values())
    refuse_never(message, kept_back(full, carried))
    print_payload(message)  # for its refusal: a message that is too big to send is no message
    return Minimised(message, left_out(full, carried, ruled), categories_of(message), flags_of(message))


def _prepared(
    full: Section, plan: Plan, person_ref: str | None, on: datetime.date | None, ruled: dict[str, Reason]
) -> Section:
    """The case record with what follows from it, and from nothing else, filled in."""
    record = copy.deepcopy(full)
    person, section = record.setdefault("person", {}), record.setdefault(plan.section, {})
    if person_ref:
        (section if plan.section == "child_concern" else person)["person_ref"] = person_ref
    if plan.form is Referral:
        _less_exact(record, on, ruled)
        if FAMILY_STRANDS.intersection(map(str, _listed(section.get("strand")))):
            place = section if "handling" in section else record
            place["handling"] = sorted({*_listed(place.get("handling")), "no_family_contact"})
    for statement in _listed(section.get("concern")):
        if isinstance(statement, dict):
            statement.setdefault("kind", "reported")  # what nobody tagged is shown as reported
    return record


def _less_exact(record: Section, on: datetime.date | None, ruled: dict[str, Reason]) -> None:
    person = record["person"]
    band = _age_band(person.get("dob"), on)
    if band and "age_band" not in person:
        person["age_band"] = band
    if "age_band" in person and "dob" in person:
        ruled["person.dob"] = ENOUGH
    for place, child in enumerate(record.get("children", ())):
        if "age" in child and "dob" in child:
            ruled[f"children[{place}].dob"] = ENOUGH


def _age_band(dob: object, on: datetime.date | None) -> str | None:
    if on is None or not isinstance(dob, str):
        return None
    try:
        born = datetime.date.fromisoformat(dob)
    except ValueError:
        return None
    years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    return next((band for least, band in _BANDS if years >= least), None)


_BANDS = (
    (60, "60_plus"),
    (40, "40_59"),
    (26, "26_39"),
    (18, "18_25"),
    (16, "16_17"),
    (13, "13_15"),
    (0, "under_13"),
)


def _drafted(record: Section, plan: Plan, kind: str, unwanted: frozenset[str]) -> Draft:
    given = masked(record, "", unwanted)
    draft = Draft({"type": kind, "v": 1}, sources=_sources(record, plan))
    for name, path in draft.sources.items():
        found = look(given, path)
        if found not in (None, NOT_ASKED):
            draft.value[name] = take_value(plan.form.model_fields[name].annotation, found, path, name, draft)
    if plan.form is ChildConcern:
        _add_other_children(given, draft)
    return draft


def _add_other_children(given: Section, draft: Draft) -> None:
    others: list[Section] = []
    for place, child in enumerate(_listed(given.get("children"))):
        at, into = f"children[{place}]", f"other_children[{len(others)}]"
        if at != draft.sources["child"] and child != NOT_ASKED:
            others.append(take(Child, child, at, into, draft))
    if others:
        draft.value["other_children"] = others


def _sources(record: Section, plan: Plan) -> dict[str, str]:
    """Where in the case record each field of the form comes from, or would."""
    section = record[plan.section]
    sources = {}
    for name in plan.form.model_fields.keys() - {"type", "v", "other_children"}:
        shared = name in CaseRecord.model_fields and name not in section
        sources[name] = plan.elsewhere.get(name) or (name if shared else f"{plan.section}.{name}")
    if plan.form is ChildConcern:
        sources["child"] = _child(record)
    return sources


def _child(record: Section) -> str:
    children, about = record.get("children", []), record["child_concern"].get("about")
    if about is None and len(children) == 1:
        return "children[0]"
    places = [
        place for place, child in enumerate(children) if about is not None and child.get("ref") == about
    ]
    # Which child a concern is about is never guessed: with none or several named so, it is missing.
    return f"children[{places[0]}]" if len(places) == 1 else "child_concern.about"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
