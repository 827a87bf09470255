"""What an opened entry tells: its values, and the faults that are found in it. Pure.

Entries are read in keys_tooling.audit.telling; what does not hold is named in `faults`, never left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from keys_tooling.audit.recorded_parts import Decided
from schemas.canonical import Json
from schemas.directory import Directory
from schemas.envelope import Header
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.signing import Purpose, Signed

FAULTS = {
    "form": "The relay's record is not in the form that the protocol asks for.",
    "tag": "The relay filed this record under an entry that is not its own.",
    "quoted": "What the relay quotes is not what was signed.",
    "changed": "The stored record is not the one of this entry. Run: fenpost-audit verify",
    "sender": "The sender's own audit record is missing, or is not the one that the entry commits to.",
    "differs": "The sender's own audit record does not say what the message's header says.",
    "policy": "The relay decided by a policy that was not in force then.",
    "parties": "The relay decided by flags or a sector that the directory did not give these agencies then.",
    "covered": "The relay says that an agreement covers this, and its record does not show one that does.",
    "signed": "The relay says what an override is worth here, and its record does not show one that is worth that.",
    "switched": "What the relay says of a withdrawal before the message is not what its record shows.",
    "request": "What the relay says that it knew of the request is not what the entry of that request shows.",
    "source": "The sender says of what it passes on other than the entry of that message shows.",
    "decided": "The relay decided otherwise than the rule does on what it says that it knew.",
    "epoch": "The key of these entries does not open. Pull again; if it stays so, tell oversight.",
}


@dataclass(frozen=True, slots=True)
class Place:
    """An agency, and a desk of it where one is meant."""

    agency: str
    desk: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """An opened entry. `ref` and `author` come from the sender's own record; `what` says more of other events, `policy`
    is the version in force at the relay."""

    index: int
    event: str = ""
    ts: int = 0
    rule: str = ""
    sender: Place | None = None
    to: tuple[Place, ...] = ()
    cls: str = ""
    rag: str = ""
    pur: str = ""
    cat: tuple[str, ...] = ()
    decision: Decided | None = None
    eid: str = ""
    mid: str = ""
    gid: str = ""
    ref: str = ""
    author: str = ""
    what: str = ""
    faults: tuple[str, ...] = ()
    header: Header | None = field(default=None, repr=False)
    policy: int | None = None
    more: Mapping[str, Json] = field(default_factory=dict)
    """What belongs to this kind of event alone, by the names of keys_tooling.audit.opened.Row."""

    def blamed(self, *faults: str) -> Told:
        return replace(self, faults=(*self.faults, *faults)) if faults else self

    def saying(self, words: str) -> Told:
        """With the reason that somebody gave in words."""
        return replace(self, what=f"{self.what}: {words}", more={**self.more, "words": words})


def holds(
    signed: Signed, kid: str, use: Use, at: int, agency: str, purpose: Purpose, view: Directory
) -> bool:
    """Whether a statement verifies under a key that this agency had for that use at a time."""
    try:
        signed.verified(view.key(kid, use, at, agency).public, purpose)
    except Refusal:
        return False
    return True
