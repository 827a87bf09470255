"""How many IG officers and safeguarding leads an agency has, and how many the policy asks for (PROTOCOL.md Q10). Pure.

A shortage stops nothing that is on its way: an agency whose officer has left must still be able to warn of danger. It
keeps an agency with too few officers from being admitted, and it is said to those who can mend it.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.override import leads
from schemas.policy import Officers, Policy
from schemas.roles import read_tag


@dataclass(frozen=True, slots=True)
class Staff:
    """Whose keys stand at an agency, counted, and what is asked for."""

    agency: str
    ig: int
    lead: int
    asked: Officers

    @property
    def short(self) -> bool:
        return self.ig < self.asked.ig or self.lead < self.asked.lead


def staff(view: Directory, agency: str, policy: Policy, at: int) -> Staff:
    """One agency's: IG officers by their keys in the directory, which need not say who is who; leads by their tags,
    once oversight has countersigned them."""
    known = view.agencies.get(agency)
    ig = 0 if known is None else sum(key.stands(at) for key in known.ig.values())
    people = {read_tag(key.person)[1] for key in leads(view, agency, at)}
    return Staff(agency, ig, len(people), policy.officers)


def shortages(view: Directory, policy: Policy | None, at: int) -> tuple[Staff, ...]:
    """The members that have fewer than the policy asks for; none where no policy is in force."""
    if policy is None:
        return ()
    members = sorted(agency.id for agency in view.agencies.values() if agency.member)
    return tuple(found for one in members if (found := staff(view, one, policy, at)).short)


def check_admitted(view: Directory, agency: str, policy: Policy | None, at: int) -> None:
    """Whether an agency has the IG officers with whom it may become a member; of one that is, nothing is asked again.

    Its leads come later: they need a member's roles, and oversight's countersignature.

    Raises:
        Refusal: OFFICERS.
    """
    known = view.agencies.get(agency)
    if policy is None or (known is not None and known.member):
        return
    found = staff(view, agency, policy, at)
    if found.ig < found.asked.ig:
        raise Refusal(
            "OFFICERS",
            f"The policy asks for {found.asked.ig} IG officers at every agency, and this one has {found.ig}. "
            "Publish the others' keys, then admit it.",
        )
