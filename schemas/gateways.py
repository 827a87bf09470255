"""Party tests: whether a gateway is open to this sender and these recipients (PROTOCOL.md C9).

Rules of this house:
- a policy chooses among these tests by name; a new test is new software;
- every recipient must be inside the gateway: a duty towards one desk is no reason to tell the desk beside it;
- a test reads what oversight says of the agencies and what the header attests, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.directory import Party
    from schemas.envelope import Law

Test = Callable[["Law", "Party", "tuple[Party, ...]"], bool]

CHILD_PARTNERS = frozenset({"childrens_services", "police", "health", "education"})
"""Who makes, or must help with, enquiries about a child (Children Act 1989 ss.17, 47; 2004 ss.10, 11)."""
OFFENDER_PARTNERS = frozenset(
    {"police", "probation", "health", "childrens_services", "adult_care", "housing", "education"}
)
"""Who must co-operate in managing an offender's risk (Criminal Justice Act 2003 s.325)."""
POLICE = frozenset({"police"})
SCHOOLS = frozenset({"education"})
ADULT_CARE = frozenset({"adult_care"})


def _all_in(parties: tuple[Party, ...], sectors: frozenset[str]) -> bool:
    return all(party.sector in sectors for party in parties)


def _members(_law: Law, sender: Party, parties: tuple[Party, ...]) -> bool:
    return sender.flags.s16la_member and all(party.flags.s16la_member for party in parties)


def _crime_partners(_law: Law, _sender: Party, parties: tuple[Party, ...]) -> bool:
    return all(party.flags.cda_relevant for party in parties)


def _child_partners(_law: Law, _sender: Party, parties: tuple[Party, ...]) -> bool:
    return _all_in(parties, CHILD_PARTNERS)


def _adult_care(_law: Law, _sender: Party, parties: tuple[Party, ...]) -> bool:
    return _all_in(parties, ADULT_CARE)


def _adults_board(law: Law, _sender: Party, parties: tuple[Party, ...]) -> bool:
    # The Board asks; the council that hosts it receives.
    return law.rfi is not None and _all_in(parties, ADULT_CARE)


def _police_to_school(_law: Law, sender: Party, parties: tuple[Party, ...]) -> bool:
    return sender.sector == "police" and _all_in(parties, SCHOOLS)


def _to_police(_law: Law, _sender: Party, parties: tuple[Party, ...]) -> bool:
    return _all_in(parties, POLICE)


def _offender_partners(_law: Law, sender: Party, parties: tuple[Party, ...]) -> bool:
    return _all_in((sender, *parties), OFFENDER_PARTNERS)


def _consent_only(law: Law, _sender: Party, _parties: tuple[Party, ...]) -> bool:
    return law.consent_only


def _consent_of_adults(law: Law, _sender: Party, _parties: tuple[Party, ...]) -> bool:
    return law.consent_only or law.child


def _attested(law: Law, _sender: Party, _parties: tuple[Party, ...]) -> bool:
    return bool(law.vir)


def _ordered(law: Law, _sender: Party, _parties: tuple[Party, ...]) -> bool:
    return law.b6 == "6c"


ON_AGREEMENT, OF_ADULTS = "consent-only", "consent-of-adults"
"""The tests of gateways that only agreement opens, for everybody or for adults."""
TESTS: Mapping[str, Test] = {
    "s16la-members": _members,
    "cda-recipients": _crime_partners,
    "child-partners": _child_partners,
    "adult-care": _adult_care,
    "adults-board-asks": _adults_board,
    "police-to-school": _police_to_school,
    "to-police": _to_police,
    "offender-partners": _offender_partners,
    ON_AGREEMENT: _consent_only,
    OF_ADULTS: _consent_of_adults,
    "attested": _attested,
    "legal-obligation": _ordered,
}
"""By the name that a policy writes. The header's law block, the sender, and the recipients in header order."""
