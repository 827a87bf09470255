"""What a renew key may say in its agency's chain (PROTOCOL.md K21): new running keys, and the end of old ones.

Rules of this house:
- it can keep an agency running, and never change who speaks for it: no person, officer, operational, root or renew key;
- a thief who has it can do no more than the agent's own keys could, and the operational key ends all of it.
"""

from __future__ import annotations

from schemas.directory_statement import AddKey, Revoke, Statement
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.keys import LIFE, RUNNING, Use

AHEAD = 7 * 24 * 3600
"""How long before its first second a renew key may publish a key."""
LASTS = 24 * 3600
"""How long a receiving key stands after a renew key ended it: as long as the oldest view that decides anything."""
BACK = 300
"""How far back of its statement such a key may begin."""


def check_renewal(statement: Statement, body: Frozen) -> None:
    """Hold a statement that a renew key signed against its limits; that the key stands is asked elsewhere.

    Raises:
        Refusal: RENEW, KEY.
    """
    if isinstance(body, AddKey):
        _check_key(statement.ts, body)
    elif not isinstance(body, Revoke):
        raise Refusal("RENEW")
    elif body.reason != "rotated" or body.since < statement.ts:
        raise Refusal("RENEW", "A renew key ends keys only because they were rotated, and never in the past.")


def check_renewed(use: Use) -> None:
    """Whether a renew key may publish, or end, keys of this use. Raises Refusal RENEW."""
    if use not in RUNNING:
        raise Refusal("RENEW")


def check_ended(use: Use, ts: int, since: int) -> None:
    """Whether a renew key may end a key of this use so soon: a receiving key stands for a day more.

    In that day everybody seals to it still, and whoever ended it without a right is found out before his own counts.

    Raises:
        Refusal: RENEW.
    """
    check_renewed(use)
    if use is Use.PREKEY and since < ts + LASTS:
        raise Refusal("RENEW", "A renew key ends a receiving key a day later at the earliest.")


def _check_key(ts: int, body: AddKey) -> None:
    use = Use(body.use)
    check_renewed(use)
    if body.person is not None:
        raise Refusal("RENEW", "A renew key names no person. The operational key publishes people's keys.")
    if body.exp - body.nbf > LIFE[use]:
        raise Refusal("KEY", "A key of this use lives no longer than the protocol says. Shorten its dates.")
    if not ts - BACK <= body.nbf <= ts + AHEAD:
        raise Refusal(
            "KEY", "A renew key publishes keys that begin now or within seven days. Correct its first day."
        )
