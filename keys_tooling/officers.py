"""IG officers of an agency that is a member already: published by its administrator, and ended (PROTOCOL.md K12, U6).

Rules of this house:
- the administrator hears the card's number from the officer herself before anything is published;
- an officer is ended only while another one of the agency stands: nobody must be left who could read its entries.
"""

from __future__ import annotations

from keys_tooling.ceremony import BACKDATE, OfficerCard
from keys_tooling.plan import Given, Plan, add_key, revoke
from schemas.canonical import b64
from schemas.directory import Agency, Key
from schemas.errors import Refusal
from schemas.keys import ALGORITHM, ED25519, XWING, Use, kid_of

LIFE = 365 * 24 * 3600


def publish(agency: Agency, given: Given, card: OfficerCard, now: int) -> Plan:
    """An officer's two keys go into the agency's chain; nothing where they are there. The caller heard the number."""
    start, pairs = now - BACKDATE, ((Use.IG, card.ig), (Use.IG_AUTH, card.auth))
    says = tuple(
        add_key(use, ALGORITHM[use], b64(public), start, start + LIFE, card.person) for use, public in pairs
    )
    return Plan(
        "officer publish", given, agency.id, () if kid_of(XWING, card.ig) in agency.keys else says,
        affects=("every sender: from its next message on, records are sealed to her too",),
        after=("she pulls, and the old officer hands over to her",),
    )  # fmt: skip


def end(agency: Agency, given: Given, card: OfficerCard, now: int, reason: str) -> Plan:
    """An officer's two keys end now; nothing where they have ended.

    Raises:
        Refusal: UNKNOWN_KEY (not an officer of this agency), OFFICERS (she is the last one).
    """
    kids = (kid_of(XWING, card.ig), kid_of(ED25519, card.auth))
    keys = [agency.keys[kid] for kid in kids if kid in agency.keys]
    if len(keys) != len(kids):
        raise Refusal("UNKNOWN_KEY", "Your agency has not published this officer.")
    standing = [key for key in keys if key.revoked is None]
    if standing and not any(_stands(key, now) for key in agency.keys.values() if key not in keys):
        raise Refusal("OFFICERS", "She is the last officer of your agency. Publish her successor first.")
    return Plan(
        "officer end", given, agency.id, tuple(revoke(key.kid, reason, now) for key in standing),
        affects=("records are no longer sealed to her; what she can open she still opens",),
    )  # fmt: skip


def _stands(key: Key, now: int) -> bool:
    return key.use == Use.IG and key.stands(now)
