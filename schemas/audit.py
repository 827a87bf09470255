"""Leaves of the audit log and the events they stand for (PROTOCOL.md L9-L12).

Every leaf is 97 bytes and looks like every other: 0x01 || tag || hash of the relay's record || hash of the sender's
record or random bytes. What happened is inside the sealed record.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from schemas.canonical import Json, b64, encode
from schemas.errors import Refusal
from schemas.hashing import labelled
from schemas.record_sealing import record_hash

LEAF_SIZE = 97
LEAF_VERSION = b"\x01"
RULE_VERSION = "2026-11.1"
"""The version of the consent rule that a relay's record names."""


class Event(StrEnum):
    """What a relay's record says happened."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    COLLECTED = "collected"
    OPENED = "opened"
    TAKEN_ON = "taken-on"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    GRANT = "grant"
    WITHDRAW = "withdraw"
    RECALLED = "recalled"
    DIRECTORY = "directory"
    READ = "read"
    HELD = "held"
    LAPSED = "lapsed"
    ESCALATED = "escalated"
    OVERRIDE = "override"
    BREAK_GLASS = "break-glass"
    LEAD_MISSING = "lead-missing"
    NONDISCLOSURE = "nondisclosure"
    UNSEALED = "unsealed"
    HANDOVER = "handover"
    RESTORED = "restored"
    HOLD = "hold"
    LIFT = "lift"
    DELETED = "deleted"
    TWO_AGENTS = "two-agents"


class Leaf(NamedTuple):
    """A parsed leaf."""

    tag: bytes
    relay_record: bytes
    sender_record: bytes

    def to_bytes(self) -> bytes:
        return LEAF_VERSION + self.tag + self.relay_record + self.sender_record

    @classmethod
    def parse(cls, data: bytes) -> Leaf:
        """Raises Refusal PROOF."""
        if len(data) != LEAF_SIZE or data[:1] != LEAF_VERSION:
            raise Refusal("PROOF")
        return cls(data[1:33], data[33:65], data[65:])


def accept_leaf(eid: bytes, relay_record: bytes, ar: bytes) -> Leaf:
    """The leaf of an accepted envelope: tagged with its eid, committed to both records."""
    return Leaf(eid, record_hash(relay_record), ar)


def event_tag(eid: bytes, event: Event, agency: str, desk: str) -> bytes:
    """The tag of any later event of an envelope; the same event twice has the same tag."""
    return labelled("fenpost/v1/event", eid + f"{event}\x00{agency}\x00{desk}".encode("ascii"))


def event_facts(event: Event, ts: int, **facts: Json) -> bytes:
    """The plain text of a relay's record: canonical JSON with the event, its time and what belongs to it.

    An accept or refuse carries `header` (the sender's bytes, verbatim), `sig`, `wm`, `body` (hashes) and `decision`;
    a receipt or statement travels verbatim as {"s", "t"}. So the relay cannot misquote what somebody signed.
    """
    return encode({"event": str(event), "rule": RULE_VERSION, "ts": ts, "v": 1, **facts})


def tag_text(tag: bytes) -> str:
    """The `ctx` of the relay's record for a leaf."""
    return b64(tag)
