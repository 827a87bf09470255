"""The policies that a program has at hand, and which of them decides (PROTOCOL.md Q4, Q5, Q8, Q9). Pure.

Which policy counts is the directory's word alone (schemas.policing.Timeline). A policy that is not at hand is None
here, never an older one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.errors import Refusal
from schemas.policing import LATE, Entry, PolicyBody, Timeline, check_text
from schemas.policy import Policy

Named = Entry | PolicyBody
"""What names a policy: oversight's statement, or its place on the timeline."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Parsed policies by digest."""

    policies: Mapping[str, Policy] = field(default_factory=dict)

    def __contains__(self, named: Named) -> bool:
        return named.digest in self.policies

    def add(self, named: Named, text: bytes) -> Shelf:
        """A shelf with one more policy, once its text is the one that was signed.

        Raises:
            Refusal: POLICY_TEXT.
        """
        return Shelf({**self.policies, named.digest: read_policy(named, text)})

    def in_force(self, timeline: Timeline, at: int) -> Policy | None:
        """The policy that decides at this time, or None when there is none or it is not at hand."""
        entry = timeline.in_force(at)
        return None if entry is None else self.policies.get(entry.digest)

    def around(self, timeline: Timeline, at: int) -> tuple[Policy | None, ...]:
        """The policies that may have decided at a relay whose clock was up to five minutes off, at least one."""
        found = tuple(self.policies.get(entry.digest) for entry in timeline.between(at - LATE, at + LATE))
        return found or (None,)


def read_policy(named: Named, text: bytes) -> Policy:
    """The policy that oversight stated. Raises Refusal POLICY_TEXT."""
    check_text(text, named.digest, named.version, named.effective)
    try:
        return Policy.parse(text)
    except Refusal as refusal:
        raise Refusal("POLICY_TEXT") from refusal
