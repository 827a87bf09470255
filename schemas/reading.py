"""A message as the consent rule reads it: the facts in the policy's meanings, for all rows (PROTOCOL.md C8, C15).

Rules of this house:
- a withdrawal on record outweighs what the header says;
- a "none" that the same header contradicts does not open the gate;
- a code that the policy does not know has no meaning, and refuses the message.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from schemas.facts import Facts, OverrideFacts
from schemas.gateways import TESTS
from schemas.policy import Policy, founding

IMPERSONAL = frozenset({"ask", "reasons", "response"})
"""The only categories that a message about nobody may name."""
ABOUT_SOMEBODY = frozenset({"REFER", "SAFEGUARD"})
EMPTY: frozenset[str] = frozenset()


class Reading:
    """What the rows ask. Built for one decision and dropped."""

    __slots__ = (
        "agreed",
        "answered",
        "authoriser_wrong",
        "duty",
        "facts",
        "gates_shut",
        "green",
        "header",
        "inside",
        "known",
        "law",
        "no",
        "outdated",
        "outside",
        "paragraphs",
        "personal",
        "policy",
        "private",
        "red",
        "rests_on_consent",
        "s1",
        "sender",
        "signed",
        "state",
        "unproven",
        "why",
    )

    def __init__(self, facts: Facts) -> None:
        # Without a policy a RED is still read, by the one that the program brings: a clear no stays a no.
        self.policy = policy = facts.policy or brought()
        self.facts = facts
        self.answered = False  # whether a row has said what the agreement comes to
        self.header = header = facts.header
        self.law = law = header.law
        self.red, self.green = header.rag == "RED", header.rag == "GREEN"
        self.sender = policy.party(header.sender.a, facts.sender) if policy.flags else facts.sender
        self.personal = (
            law.pd == "personal"
            or law.spec
            or law.crim
            or law.child
            or law.adult_at_risk
            or header.cls in ABOUT_SOMEBODY
            or not IMPERSONAL.issuperset(header.cat)
        )
        state = policy.states.get(law.agree, "")
        if facts.coverage == "withdrawn" and state not in ("refused", "cannot"):
            state = "withdrawn"
        self.state = state
        self.agreed = agreed = state in ("given", "limited")
        self.inside = agreed and facts.coverage == "covers"
        self.outside = agreed and facts.coverage == "outside"
        self.unproven = agreed and not self.inside and not self.outside and self.personal
        self.no = self.outside or state in ("refused", "withdrawn")
        why = "" if law.why_no is None else policy.reasons.get(law.why_no, "unknown")
        # Switched off, break-glass is no reason at all.
        self.why = "" if why == "emergency" and not policy.break_glass else why
        self._read_codes(facts, policy)
        override = facts.override
        self.authoriser_wrong = override is not None and _wrong_people(override, policy)
        self.signed = override is not None and facts.leads and self._is_signed(override)

    def _read_codes(self, facts: Facts, policy: Policy) -> None:
        """The bases, conditions and paragraphs: whether they are known, stand today, and what they mean."""
        law, now = self.law, facts.now
        basis = None if law.b6 is None else policy.bases.get(law.b6)
        condition = None if law.b9 is None else policy.conditions.get(law.b9)
        s1: list[Any] = [policy.paragraphs.get(code) for code in law.s1] if law.s1 else []
        other: list[Any] = []
        basis_marks = EMPTY if basis is None else basis.marks
        self.private = "private" in basis_marks
        if law.hc is not None:
            own = policy.bases.get(law.hc.b6)
            self.private = self.private or (own is not None and "private" in own.marks)
            other = [own, *[policy.paragraphs.get(code) for code in law.hc.s1]]
        self.known = self._known(policy) and (
            (basis is not None or law.b6 is None)
            and (condition is not None or law.b9 is None)
            and None not in s1
            and None not in other
        )
        named = [one for one in (basis, condition, *s1, *other) if one is not None]
        self.outdated = not all(one.since <= now < one.until for one in named)
        self.s1 = EMPTY.union(*[one.marks for one in s1 if one is not None]) if s1 else EMPTY
        paragraphs = other[1:]
        self.paragraphs = (
            self.s1.union(*[one.marks for one in paragraphs if one is not None]) if paragraphs else self.s1
        )
        self.rests_on_consent = (
            "consent" in basis_marks
            or (condition is not None and "consent" in condition.marks)
            or "consent" in self.s1
        )
        self.gates_shut, self.duty = False, False
        if law.gw:
            self._read_gateways(facts, policy)

    def _read_gateways(self, facts: Facts, policy: Policy) -> None:
        law, now = self.law, facts.now
        parties = facts.parties
        if policy.flags:
            parties = tuple(
                policy.party(to.a, party) for to, party in zip(self.header.to, parties, strict=True)
            )
        for code in law.gw:
            gateway = policy.gateways.get(code)
            if gateway is None:
                self.known = False
            elif not gateway.since <= now < gateway.until or (
                gateway.test is not None and not TESTS[gateway.test](law, self.sender, parties)
            ):
                self.gates_shut = True
            elif self.why == "duty" and (gateway.duty == "any" or (gateway.duty == "child" and law.child)):
                # Most of these duties are owed to a child; without one in the message, naming a duty is only a word.
                self.duty = True

    def _known(self, policy: Policy) -> bool:
        law = self.law
        return (
            law.agree in policy.states
            and law.told in policy.told
            and law.onward in policy.onward
            and (law.agree_by is None or law.agree_by in policy.decided_by)
            and (law.conf is None or law.conf in policy.confidence)
            and (law.why_no is None or law.why_no in policy.reasons)
            and (not law.vir or all(code in policy.attestations for code in law.vir))
        )

    def _is_signed(self, override: OverrideFacts) -> bool:
        if not (override.valid and override.covers and override.authoriser) or self.authoriser_wrong:
            return False
        if override.scope == "msg":
            return True
        purpose = self.policy.purposes.get(self.header.pur)
        return purpose is not None and purpose.thread


def _wrong_people(override: OverrideFacts, policy: Policy) -> bool:
    """One person twice, or somebody who may not authorise. An override that nobody can show names nobody."""
    if not override.authoriser:
        return False
    return override.author == override.authoriser or override.authoriser_role not in policy.authorisers


@cache
def brought() -> Policy:
    """The policy that the program brings, read once."""
    return founding()
