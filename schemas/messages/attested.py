"""What a form itself says about agreement and risk, so that nobody's word is needed for it (PROTOCOL.md M2, H4, V7).

Pure: no I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from schemas.envelope import Law
from schemas.errors import Refusal
from schemas.gateways import OF_ADULTS, ON_AGREEMENT
from schemas.messages.catalogue import Message
from schemas.messages.concern import AdultConcern
from schemas.policy import Policy, founding

CONSENT_ONLY = frozenset({"consent.grant"})
"""Forms that travel on agreement and on nothing else. Whoever is in danger is written about in another form."""


@dataclass(frozen=True, slots=True)
class Attested:
    """The two marks of the header that follow from the form, as the categories do."""

    consent_only: bool
    adult_at_risk: bool


def attested(message: Message, gateways: Iterable[str], policy: Policy | None, *, child: bool) -> Attested:
    """What the header of this message must say.

    Args:
        gateways: those that the header names: one that is open on agreement only makes any message consent-only.
        policy: whose gateways count; None for the founding one.
        child: whether the message holds a child's data.
    """
    known = (policy or _founding()).gateways
    tests = {known[code].test for code in gateways if code in known}
    wanted = ON_AGREEMENT in tests or (OF_ADULTS in tests and not child)
    return Attested(
        consent_only=message.type in CONSENT_ONLY or wanted,
        adult_at_risk=isinstance(message, AdultConcern) and message.care_support_needs,
    )


def check_attested(message: Message, law: Law, policies: Sequence[Policy | None]) -> None:
    """Hold the header's two marks against the form; one of the policies of that time must agree (Q9).

    Raises:
        Refusal: FLAGS_DIFFER, with the names of the marks that differ.
    """
    named = Attested(law.consent_only, law.adult_at_risk)
    said = [attested(message, law.gw, policy, child=law.child) for policy in policies]
    if named in said:
        return
    names = ("consent_only", "adult_at_risk")
    differ = tuple(name for name in names if all(getattr(one, name) != getattr(named, name) for one in said))
    raise Refusal(
        "FLAGS_DIFFER",
        "The header says otherwise than the form whether it needs agreement, or whether it is about an adult at risk. "
        "Send it again through the agent, which works that out by itself.",
        party="sender",
        detail=differ or names,
    )


@cache
def _founding() -> Policy:
    return founding()
