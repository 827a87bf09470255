"""What an override is worth to this agent, by its own directory and policy (PROTOCOL.md O8, V8). Pure.

It comes inside the message, or beside it when the message waited at the relay for its lead; either way nobody's word
counts but the two signatures.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from schemas.api import SignedJson
from schemas.covering import Weighed, moment, weigh
from schemas.directory import Directory
from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.override import AHEAD, Override, read_override, terms_of
from schemas.policy import Policy
from schemas.signing import Signed


def weighed(header: Header, found: Override | None, view: Directory, policy: Policy | None) -> Weighed:
    """An override held against a message, as of the time at which both were there."""
    at = header.ts if found is None else max(header.ts, found.ts)
    return weigh(header, found, view, terms_of(policy), at)


def beside(inner: Signed | None, outer: str | None) -> Override | None:
    """The override of a message: the one inside it, or the one that the relay handed out beside it (as JSON)."""
    if inner is not None or outer is None:
        return read_override(inner)
    try:
        return read_override(Signed.from_json(json.loads(outer)))
    except Refusal:
        return None


def decided_at(
    header: Header,
    outer: str | None,
    view: Directory,
    policies: Callable[[int], Sequence[Policy | None]],
    now: float,
) -> int:
    """The time whose policy decides on a message: its own, or when its lead let it go, if she really did (O8, Q9).

    Args:
        outer: the override that the relay handed out beside the message, as JSON.
        policies: those around a time.
        now: by this agent's clock.

    Raises:
        Refusal: FUTURE, while the lead's time is still to come.
    """
    found = None if header.ovr is not None else beside(None, outer)
    signed = moment(header, found)
    if found is None or all(weighed(header, found, view, policy).code for policy in policies(signed)):
        return header.ts
    if signed > now + AHEAD:
        raise Refusal("FUTURE")
    return signed


def outer_text(item: SignedJson | None) -> str | None:
    """An override beside a delivery, as it is kept with it."""
    return None if item is None else item.model_dump_json()
