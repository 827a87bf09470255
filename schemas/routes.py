"""Which form may go to which desk for which purpose, and what the person ruled out (PROTOCOL.md M9).

Rules of this house:
- a recipient is described by what it does, from the directory; nothing here knows an agency by name;
- a form goes only where somebody can act on it: a child concern to children's services, an adult one to adult care;
- what the person ruled out stops the whole message here, or is taken out of it in `schemas.minimise`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from schemas.errors import Refusal
from schemas.messages.catalogue import CLASSES
from schemas.messages.concern import AdultConcern, ChildConcern
from schemas.messages.information import InfoRequest
from schemas.messages.referral import Referral
from schemas.sectors import Sector


class RecipientProfile(BaseModel):
    """What the directory says about a desk. Left unsaid, a desk gets the least.

    sees_children: works with children, or with a parent about them.
    searches_files: must find the person in its own files to act, so a legal name and date of birth may go.
    supports_harm_causer: also works with people who cause harm, who could learn what was said about them.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    agency: str
    desk: str
    sector: Sector
    sees_children: bool = False
    searches_files: bool = False
    supports_harm_causer: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the person agreed to, or ruled out. Codes only.

    categories: the categories agreed to (schemas.categories); None when all are.
    not_categories: categories ruled out.
    not_about: needs, strands or risk indicators ruled out: "housing".
    not_sectors, not_purposes, not_recipients: where it may not go; recipients as `agency` or `agency/desk`.
    """

    categories: frozenset[str] | None = None
    not_categories: frozenset[str] = frozenset()
    not_about: frozenset[str] = frozenset()
    not_sectors: frozenset[str] = frozenset()
    not_purposes: frozenset[str] = frozenset()
    not_recipients: frozenset[str] = frozenset()

    def beyond(self, cats: frozenset[str]) -> frozenset[str]:
        """The categories that were not agreed to."""
        return (cats - self.categories if self.categories is not None else frozenset()) | (
            cats & self.not_categories
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """How a form is made from a case record: its own section, and fields that come from elsewhere."""

    form: type[Referral | ChildConcern | AdultConcern | InfoRequest]
    section: str
    purposes: frozenset[str]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    sector: Sector | None = None


PLANS: Mapping[str, Plan] = {
    "referral.universal": Plan(
        Referral, "referral", frozenset({"SUPPORT", "RISK_MGMT", "HOUSING", "HEALTH"})
    ),
    "child.concern": Plan(
        ChildConcern, "child_concern", frozenset({"CHILD_PROT"}), sector="childrens_services"
    ),
    "adult.concern": Plan(
        AdultConcern,
        "adult_concern",
        frozenset({"ADULT_PROT"}),
        {"ident": "person", "person_ref": "person.person_ref"},
        "adult_care",
    ),
    "info.request": Plan(
        InfoRequest,
        "info_request",
        frozenset({"SUPPORT", "RISK_MGMT", "CHILD_PROT", "ADULT_PROT", "CRIME", "HOUSING", "HEALTH"}),
        {"about": "person", "person_ref": "person.person_ref"},
    ),
}


def plan_for(kind: str, recipient: RecipientProfile, purpose: str, limits: Limits | None) -> Plan:
    """The plan for a form, once the desk and the purpose fit it and the person did not rule them out.

    Raises:
        Refusal: UNKNOWN_TYPE, NOT_FROM_CASE, PURPOSE, WRONG_DESK or SCOPE.
    """
    if kind not in CLASSES:
        raise Refusal("UNKNOWN_TYPE", party="sender", detail=("type",))
    if kind not in PLANS:
        raise Refusal("NOT_FROM_CASE", party="sender", detail=(kind,))
    plan = PLANS[kind]
    if purpose not in plan.purposes:
        say = f"This form is not for that purpose. It is for: {', '.join(sorted(plan.purposes))}."
        raise Refusal("PURPOSE", say, party="sender", detail=("purpose",))
    if plan.sector and (recipient.sector != plan.sector or not recipient.searches_files):
        raise Refusal("WRONG_DESK", party="sender", detail=("recipient.sector", "recipient.searches_files"))
    if kind == "info.request" and not recipient.searches_files:
        raise Refusal("WRONG_DESK", party="sender", detail=("recipient.searches_files",))
    if kind == "child.concern" and not recipient.sees_children:
        raise Refusal("WRONG_DESK", party="sender", detail=("recipient.sees_children",))
    if limits:
        refuse_ruled_out(limits, recipient, purpose)
    return plan


def refuse_ruled_out(limits: Limits, recipient: RecipientProfile, purpose: str) -> None:
    """Raises Refusal SCOPE when the person ruled out this desk, its sector or the purpose."""
    desks = {recipient.agency, f"{recipient.agency}/{recipient.desk}"}
    out = {
        "recipient": bool(desks & limits.not_recipients),
        "recipient.sector": recipient.sector in limits.not_sectors,
        "purpose": purpose in limits.not_purposes,
    }
    names = tuple(name for name, ruled_out in out.items() if ruled_out)
    if names:
        say = "The person asked that this does not go there, or not for this purpose. Ask again, or choose another."
        raise Refusal("SCOPE", say, party="sender", detail=names)
