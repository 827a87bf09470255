"""Emergency revocation: two people in two roles end an agency's keys without its administrator (PROTOCOL.md K22).

Rules of this house:
- it must work at night, with the administrator away or her key stolen: so the second person signs which keys end and
  why, and not where in the chain that will stand;
- two people means two keys, two roles and, as far as their tags tell, two persons.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.canonical import b64, encode
from schemas.envelope import AgencyId, Frozen, Hash32, Seconds
from schemas.keys import Signer
from schemas.roots import Signature64
from schemas.signing import Purpose, sign

Reason = Literal["rotated", "lost", "compromised", "left"]
MOST_KIDS = 256
SECOND_LATE = 24 * 3600
"""How old the second person's signature may be when the statement is made."""


class Second(Frozen):
    """The second person's signature, and when she gave it."""

    by: Hash32
    sig: Signature64
    ts: Seconds


class EmergencyRevoke(Frozen):
    """These keys of the agency in whose chain it stands end from `since` on."""

    kids: tuple[Hash32, ...] = Field(min_length=1, max_length=MOST_KIDS)
    reason: Reason
    since: Seconds
    second: Second

    def signed(self, agency: AgencyId) -> bytes:
        """The bytes that the second person signs with purpose "fenpost/v1/emergency-revoke"."""
        return emergency_text(agency, self.kids, self.reason, self.since, self.second.ts)


def emergency_text(agency: AgencyId, kids: tuple[str, ...], reason: str, since: int, ts: int) -> bytes:
    """canonical {agency, kids, reason, since, ts}."""
    return encode({"agency": agency, "kids": list(kids), "reason": reason, "since": since, "ts": ts})


def second_signature(
    key: Signer, agency: AgencyId, kids: tuple[str, ...], reason: Reason, since: int, ts: int
) -> EmergencyRevoke:
    """What the second person hands to the first, who states it."""
    signature = sign(key, Purpose.EMERGENCY_REVOKE, emergency_text(agency, kids, reason, since, ts))
    second = Second(by=key.kid, sig=b64(signature), ts=ts)
    return EmergencyRevoke(kids=kids, reason=reason, since=since, second=second)
