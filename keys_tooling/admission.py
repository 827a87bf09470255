"""Oversight takes an agency in: the enrolment is checked, then its statements and the admission go to the relay.

Rules of this house:
- nothing is posted before the safety number fits and the whole enrolment holds against the relay's directory;
- oversight's key file is never rewritten: where its chain stands is read from the directory, which must contain what
  the key file knows and may never be older than what oversight saw before;
- stopping at any point is safe: run again, the same end is reached, and nothing is said twice.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

from keys_tooling.applying import Line, post
from keys_tooling.console import World
from keys_tooling.directory_reading import Reading
from keys_tooling.enrolment import Enrolment
from keys_tooling.own_side import OwnSide, check_own_chain, own_chain, read_own
from schemas.directory import Directory
from schemas.directory_statement import statement_hash
from schemas.errors import Refusal
from schemas.keyring import AgentKeys
from schemas.keys import Use
from schemas.names import check_unlike
from schemas.signing import Signed

ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Oversight(OwnSide):
    """Oversight's side: the partnership, its operational key and the key that signs its requests."""

    def check(self, agent: AgentKeys) -> None:
        """Raises Refusal KEYFILE unless these are the partnership's oversight's keys."""
        if not self.admin.agency == agent.agency == self.partnership.charter.oversight:
            raise Refusal("KEYFILE", "The keys in this folder are not this partnership's oversight.")


@dataclass(frozen=True, slots=True)
class Admitted:
    """What enrolling did: statements posted now, and whether the agency was a member before."""

    posted: int
    before: bool
    members: int


async def enrol(relay: Line, oversight: Oversight, enrolment: Enrolment, world: World) -> Admitted:
    """Post an agency's statements and its admission, whatever of them is missing. The caller compared the number.

    Raises:
        Refusal: NAME, CONFLICT, KEY, STALE_KEY, DIRECTORY, FORK, ROLLBACK, CLOCK, RELAY_AWAY and the relay's own.
    """
    posted, before = 0, True
    for _ in range(ATTEMPTS):
        reading = await read_own(relay, oversight, world)
        missing = missing_statements(reading, enrolment, oversight, world.now())
        if not missing:
            members = [agency for agency in reading.view.agencies.values() if agency.member]
            return Admitted(posted, before, len(members))
        before = False
        posted += await post(relay, missing)
    raise Refusal(
        "CONFLICT", "Somebody else was changing the directory at the same time. Run it again.", retry=True
    )


async def outlook(
    relay: Line, oversight: Oversight, enrolment: Enrolment, world: World
) -> tuple[Signed, ...]:
    """What `enrol` would post now. Raises as it does."""
    reading = await read_own(relay, oversight, world)
    return missing_statements(reading, enrolment, oversight, world.now())


def missing_statements(
    reading: Reading, enrolment: Enrolment, oversight: Oversight, now: int
) -> tuple[Signed, ...]:
    """What the directory still lacks for this agency to be a member; empty when it is one already. Pure.

    Raises:
        Refusal: NAME, CONFLICT, KEY, STALE_KEY, SETTINGS, DIRECTORY.
    """
    said = enrolment.particulars
    if said.partnership != oversight.admin.agency:
        raise Refusal(
            "SETTINGS", "This enrolment is for another partnership. Ask the agency for the right one."
        )
    check_own_chain(reading, oversight.admin)
    members = [a for a in reading.view.agencies.values() if a.member and a.id != said.agency]
    check_unlike(said.name, [a.name for a in members] + [oversight.partnership.charter.name])
    view, have = copy.deepcopy(reading.view), reading.hashes()
    missing = [signed for signed in enrolment.statements if statement_hash(signed) not in have]
    _try(view, missing)
    agency = view.agencies[said.agency]
    if not any(key.use == Use.AUTH and key.stands(now) for key in agency.keys.values()):
        raise Refusal("STALE_KEY", "The agency's keys are outside their dates. Ask it to make them again.")
    if agency.member:
        held = (agency.name, agency.desks, agency.flags, agency.sector)
        if held != (said.name, said.desks, said.flags, said.sector):
            raise Refusal("CONFLICT", "The agency is a member already, under other particulars.")
        return tuple(missing)
    chain = own_chain(reading, oversight.admin)
    flags = said.flags.model_dump()
    return (*missing, chain.admit(said.agency, said.name, said.desks, flags, now, said.sector))


def _try(view: Directory, missing: list[Signed]) -> None:
    try:
        for signed in missing:
            view.apply(signed)
    except Refusal as refusal:
        if refusal.code == "DIRECTORY":
            raise Refusal(
                "CONFLICT", "The directory holds other statements of this agency. Ring the agency."
            ) from refusal
        raise
