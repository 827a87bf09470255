"""Oversight takes an agency in: the enrolment is held against the directory, and what is missing is planned. Pure.

Rules of this house:
- nothing is planned before the safety number fits and the whole enrolment holds against the relay's directory;
- oversight's key file is never rewritten: where its chain stands is read from the directory, which must contain what
  the key file knows and may never be older than what oversight saw before.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from keys_tooling.applying import check_free_name
from keys_tooling.directory_reading import Reading
from keys_tooling.enrolment import Enrolment
from keys_tooling.own_side import OwnSide
from keys_tooling.plan import Given, Plan, Said
from schemas.canonical import Json
from schemas.directory import Directory
from schemas.directory_statement import statement_hash
from schemas.errors import Refusal
from schemas.keyring import AgentKeys
from schemas.keys import Use
from schemas.signing import Signed


@dataclass(frozen=True, slots=True)
class Oversight(OwnSide):
    """Oversight's side: the partnership, its operational key and the key that signs its requests."""

    def check(self, agent: AgentKeys) -> None:
        """Raises Refusal KEYFILE unless these are the partnership's oversight's keys."""
        if not self.admin.agency == agent.agency == self.partnership.charter.oversight:
            raise Refusal("KEYFILE", "The keys in this folder are not this partnership's oversight.")


def admit(reading: Reading, own: OwnSide, given: Given, enrolment: Enrolment, now: int) -> Plan:
    """The agency's statements and its admission, whatever of them is missing; nothing when it is a member already.

    Raises:
        Refusal: NAME, CONFLICT, KEY, STALE_KEY, SETTINGS, DIRECTORY.
    """
    said = enrolment.particulars
    if said.partnership != own.admin.agency:
        raise Refusal(
            "SETTINGS", "This enrolment is for another partnership. Ask the agency for the right one."
        )
    body: Json = {
        "desks": list(said.desks),
        "flags": said.flags.model_dump(),
        "member": said.agency,
        "name": said.name,
        "sector": said.sector,
    }
    check_free_name(reading.view, own, body)
    view, have = copy.deepcopy(reading.view), reading.hashes()
    missing = tuple(signed for signed in enrolment.statements if statement_hash(signed) not in have)
    _try(view, missing)
    agency = view.agencies[said.agency]
    if not any(key.use == Use.AUTH and key.stands(now) for key in agency.keys.values()):
        raise Refusal("STALE_KEY", "The agency's keys are outside their dates. Ask it to make them again.")
    if agency.member and (agency.name, agency.desks, agency.flags, agency.sector) != (
        said.name, said.desks, said.flags, said.sector,
    ):  # fmt: skip
        raise Refusal("CONFLICT", "The agency is a member already, under other particulars.")
    return Plan(
        "agency enrol",
        given,
        own.admin.agency,
        () if agency.member else (Said("admit", body),),
        affects=() if agency.member else (f"every member: it may write to {said.name} from now on",),
        brings=() if agency.member else missing,
    )


def _try(view: Directory, missing: tuple[Signed, ...]) -> None:
    try:
        for signed in missing:
            view.apply(signed)
    except Refusal as refusal:
        if refusal.code == "DIRECTORY":
            raise Refusal(
                "CONFLICT", "The directory holds other statements of this agency. Ring the agency."
            ) from refusal
        raise
