"""The facts of a decision as the relay's record tells them, so that an auditor decides again (PROTOCOL.md C18).

The header is in the record verbatim, the policy by its version, and the time is the record's own; here is the rest.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, ValidationError

from schemas.canonical import Json, encode
from schemas.directory import Party
from schemas.directory_statement import Flags
from schemas.envelope import Frozen, Header
from schemas.errors import Refusal
from schemas.facts import Coverage, Facts, OverrideFacts
from schemas.policy import Policy
from schemas.sectors import Sector

LETTERS = {"p": "public_authority", "s": "s16la_member", "c": "cda_relevant"}


class PartySaid(Frozen):
    """An agency's flags, a letter for each that is set, and its sector."""

    f: Annotated[str, Field(pattern=r"^p?s?c?$")]
    s: Sector

    def party(self) -> Party:
        return Party(Flags(**{name: letter in self.f for letter, name in LETTERS.items()}), self.s)


class OverrideSaid(Frozen):
    """schemas.facts.OverrideFacts."""

    authoriser_role: Annotated[str, Field(max_length=32)]
    author: Annotated[str, Field(max_length=64)]
    authoriser: Annotated[str, Field(max_length=64)]
    scope: Literal["msg", "thread"]
    valid: bool
    covers: bool
    reason: Annotated[str, Field(max_length=32)]


class Known(Frozen):
    """What the relay knew besides the header."""

    coverage: Coverage
    leads: bool
    override: OverrideSaid | None
    sender: PartySaid
    switched: bool
    to: tuple[PartySaid, ...] = Field(min_length=1, max_length=64)


def print_facts(facts: Facts) -> Json:
    """The facts as canonical JSON."""
    override = facts.override
    return {
        "coverage": facts.coverage,
        "leads": facts.leads,
        "override": None
        if override is None
        else {name: getattr(override, name) for name in OverrideSaid.model_fields},
        "sender": _party(facts.sender),
        "switched": facts.switched,
        "to": [_party(party) for party in facts.parties],
    }


def read_facts(header: Header, said: Json, policy: Policy | None, now: int) -> Facts:
    """The facts under which the relay decided.

    Args:
        said: what `print_facts` printed.
        policy: the one that the record names, None when it names none.
        now: the record's time.

    Raises:
        Refusal: FORM.
    """
    try:
        known = Known.model_validate_json(encode(said))
    except ValidationError:
        raise Refusal("FORM") from None
    if len(known.to) != len(header.to):
        raise Refusal("FORM")
    override = known.override
    return Facts(
        header,
        known.coverage,
        known.sender.party(),
        tuple(one.party() for one in known.to),
        policy,
        now,
        None if override is None else OverrideFacts(**override.model_dump()),
        switched=known.switched,
        leads=known.leads,
    )


def _party(party: Party) -> Json:
    flags = "".join(letter for letter, name in LETTERS.items() if getattr(party.flags, name))
    return {"f": flags, "s": party.sector}
