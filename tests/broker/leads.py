"""What tests of overrides, holds and break-glass share: people with roles, messages that need a lead, posting."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from schemas.canonical import b64
from schemas.envelope import Header
from schemas.keys import SigningKey
from schemas.signing import Signed
from tests.simulated_world import NO_PERSON, World
from tests.tools.override_world import add_person, override

HOUR, DAY = 3600, 24 * 3600
REFUSED = {
    **NO_PERSON, "pd": "personal", "agree": "REFUSED", "agree_by": "SELF", "b6": "6f", "why_no": "G", "told": "YES",
}  # fmt: skip
EMERGENCY = {**REFUSED, "why_no": "F"}
UNASKED = {**REFUSED, "agree": "NOT_SOUGHT", "why_no": "A"}
NOT_HERS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"lead": "author"}, "AUTHORISER_SAME"),
    ({"lead": "second author"}, "AUTHORISER_ROLE"),
    ({"author": "lead", "lead": "new lead"}, "AUTHOR_ROLE"),
    ({"lead": "new lead"}, "ROLE_KEY_YOUNG"),
    ({"lead": "unsigned lead"}, "ROLE_KEY_UNSIGNED"),
    ({"lead": "their lead"}, "OVERRIDE_AGENCY"),
    ({"author": "their author"}, "OVERRIDE_AGENCY"),
    ({"basis": "6d"}, "OVERRIDE_DIFFERS"),
    ({"basis": "6ea:safeguarding"}, "OVERRIDE_DIFFERS"),
    ({"reason": "E"}, "OVERRIDE_DIFFERS"),
    ({"reason": "F"}, "OVERRIDE_DIFFERS"),
    ({"exp": 9_999_999_999}, "OVERRIDE_LIFE"),
)
"""Overrides that neither relay nor recipient takes for a lead's word on this message, and what they refuse them with."""


@dataclass(slots=True)
class People:
    """Those whose keys are published and countersigned, by a name that says who they are."""

    world: World
    keys: dict[str, SigningKey] = field(default_factory=dict)

    @classmethod
    def of(cls, world: World, theirs: str = "IDVAS") -> People:
        people = cls(world)
        for who, party, tag in (
            ("author", "Peacock", "author-1"),
            ("lead", "Peacock", "lead-2"),
            ("their author", theirs, "author-1"),
            ("their lead", theirs, "lead-2"),
        ):
            people.keys[who] = add_person(world, party, tag)
        people.keys["unsigned lead"] = add_person(world, "Peacock", "lead-4", countersign=False)
        people.keys["second author"] = add_person(world, "Peacock", "author-5")
        people.keys["new lead"] = add_person(world, "Peacock", "lead-3", ago=DAY - HOUR)
        world.write_relay_folder()
        return people

    def override(
        self, header: Header, author: str = "author", lead: str = "lead", **changes: Any
    ) -> tuple[Signed, bytes]:
        return override(self.world, header, self.keys[author], self.keys[lead], **changes)


def risky(world: World, *to: str, sender: str = "Peacock", **changes: Any) -> Any:
    """A message that its rule holds: she said no, and the author says that something outweighs it."""
    values = {"purpose": "RISK_MGMT", "law": REFUSED, "rag": "AMBER", **changes}
    return world.seal(sender, *(to or ("IDVAS",)), **values)


def header_of(sealed: Any) -> Header:
    found: Header = sealed.upload.envelope.header
    return found


async def post_override(
    world: World, http: Any, signed: Signed, record: bytes | None, party: str = "Peacock"
) -> tuple[str, str | None]:
    """Hand an override in; says what became of it."""
    import json

    from schemas import api

    item: dict[str, Any] = {"kind": "override", "signed": signed.to_json()}
    if record is not None:
        item["record"] = b64(record)
    answer = await world.call(
        http, party, "POST", api.STATEMENTS, body=json.dumps({"statements": [item]}).encode()
    )
    (result,) = answer.json()["results"]
    return result["status"], result["code"]


async def one(world: World, http: Any, sealed: Any, party: str = "Peacock") -> dict[str, Any]:
    """Post one message; its result."""
    answer = await world.post_envelopes(http, party, sealed)
    if answer.status != 200:
        return {**answer.json(), "status": "refused"}
    (result,) = answer.json()["results"]
    found: dict[str, Any] = result
    return found


async def notices(world: World, http: Any, party: str) -> list[str]:
    """What an agency was told, and that it has heard it."""
    page = await world.mailbox(http, party)
    if page.head.notices:
        await world.post_receipts(http, party, notices=tuple(n.id for n in page.head.notices))
    return [n.kind for n in page.head.notices]


def fresh_mid() -> str:
    return b64(secrets.token_bytes(16))
