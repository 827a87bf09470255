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
from schemas.facts import Coverage, Facts, OverrideFacts, RequestFacts
from schemas.policy import Policy
from schemas.references import onward_facts
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


class RequestSaid(Frozen):
    """schemas.facts.RequestFacts."""

    asked: Annotated[tuple[str, ...], Field(max_length=64)]
    open: bool

    def facts(self) -> RequestFacts:
        return RequestFacts(open=self.open, asked=frozenset(self.asked))


class Known(Frozen):
    """What the relay knew besides the header. `request` stands only beside an answer to one that it knows of."""

    coverage: Coverage
    leads: bool
    override: OverrideSaid | None
    request: RequestSaid | None = None
    sender: PartySaid
    switched: bool
    to: tuple[PartySaid, ...] = Field(min_length=1, max_length=64)


def print_facts(facts: Facts) -> Json:
    """The facts as canonical JSON."""
    override, request = facts.override, facts.request
    asked: dict[str, Json] = (
        {} if request is None else {"request": {"asked": sorted(request.asked), "open": request.open}}
    )
    return {
        **asked,
        "coverage": facts.coverage,
        "leads": facts.leads,
        "override": None
        if override is None
        else {name: getattr(override, name) for name in OverrideSaid.model_fields},
        "sender": _party(facts.sender),
        "switched": facts.switched,
        "to": [_party(party) for party in facts.parties],
    }


def read_request(said: Json) -> RequestFacts | None:
    """What a record's `known` says of the request that a message answers. Raises Refusal FORM."""
    found = said.get("request") if isinstance(said, dict) else None
    try:
        return None if found is None else RequestSaid.model_validate_json(encode(found)).facts()
    except ValidationError:
        raise Refusal("FORM") from None


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
        None if known.request is None else known.request.facts(),
        onward_facts(header),
        switched=known.switched,
        leads=known.leads,
    )


def _party(party: Party) -> Json:
    flags = "".join([letter for letter, name in LETTERS.items() if getattr(party.flags, name)])
    return {"f": flags, "s": party.sector}
