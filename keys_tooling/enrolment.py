"""The enrolment: what a new agency hands to oversight, and how oversight makes sure of it. Pure.

It holds public things only: the agency's name, desks, flags and sector, signed by its operational key, and the
directory statements that publish its keys. What settles whose it is, is the safety number, read aloud on a known
number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, ValidationError

from keys_tooling.card_number import check
from keys_tooling.ceremony import Member
from keys_tooling.names import check_desks
from schemas.canonical import decode, strict_json
from schemas.directory import Agency, Directory, safety_number
from schemas.directory_statement import Flags
from schemas.envelope import AgencyId, DeskId, Frozen, Hash32, Seconds
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.names import check_name
from schemas.sectors import Sector
from schemas.signing import STATEMENT_LIMIT, Purpose, Signed

LIMIT = 512 * 1024
MAX_STATEMENTS = 512
NEEDED = (Use.MSG, Use.AUTH, Use.CONSENT, Use.WITNESS, Use.PREKEY, Use.IG, Use.IG_AUTH)
NOT_ONE = "This is not an agency's enrolment, or it was changed on the way. Ask the agency to send it again."


class Particulars(Frozen):
    """What the agency signs: who it is, for which partnership, and where its statements end (`head`)."""

    v: Annotated[int, Field(ge=1, le=1)]
    agency: AgencyId
    partnership: AgencyId
    name: Annotated[str, Field(min_length=1, max_length=120)]
    desks: tuple[DeskId, ...] = Field(min_length=1, max_length=32)
    flags: Flags
    sector: Sector
    head: Hash32
    ts: Seconds


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A verified enrolment. `agency` is what replaying its statements gives."""

    particulars: Particulars
    signed: Signed
    statements: tuple[Signed, ...]
    agency: Agency

    @property
    def number(self) -> str:
        return safety_number(self.particulars.agency)

    def to_bytes(self) -> bytes:
        value = {
            "enrolment": self.signed.to_json(),
            "statements": [signed.to_json() for signed in self.statements],
        }
        return json.dumps(value, indent=1, sort_keys=True).encode("ascii") + b"\n"


def make_enrolment(
    member: Member,
    partnership: str,
    name: str,
    desks: tuple[str, ...],
    flags: Flags,
    now: int,
    sector: Sector = "other",
) -> Enrolment:
    """A new agency's enrolment. Raises Refusal NAME, SETTINGS."""
    value = {
        "agency": member.id,
        "desks": list(desks),
        "flags": flags.model_dump(),
        "head": member.admin.head,
        "name": name,
        "partnership": partnership,
        "sector": sector,
        "ts": now,
        "v": 1,
    }
    signed = Signed.make(member.admin.op, Purpose.ENROLMENT, value)
    return _verified(signed, member.statements)


def parse_enrolment(data: bytes) -> Enrolment:
    """Read an enrolment and verify all of it by replay.

    Raises:
        Refusal: FORM, SIGNATURE, DIRECTORY, KEY, NAME, SETTINGS, OFFICERS; nothing of it is believed then.
    """
    value = strict_json(data, LIMIT)
    if not isinstance(value, dict) or set(value) != {"enrolment", "statements"}:
        raise Refusal("FORM", NOT_ONE)
    rows = value["statements"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_STATEMENTS:
        raise Refusal("FORM", NOT_ONE)
    return _verified(Signed.from_json(value["enrolment"]), tuple(map(Signed.from_json, rows)))


def check_fingerprint(enrolment: Enrolment, said: str) -> None:
    """Hold what the agency read aloud against its enrolment; blanks and hyphens in it do not count.

    Raises:
        Refusal: FINGERPRINT. It never says the right number: that must come by voice.
    """
    check(enrolment.number, said, None)


def _verified(signed: Signed, statements: tuple[Signed, ...]) -> Enrolment:
    particulars = _particulars(signed)
    agency = _replayed(particulars.agency, statements)
    signed.verified(agency.op, Purpose.ENROLMENT)
    if particulars.head != agency.head:
        raise Refusal("DIRECTORY", NOT_ONE)
    check_name(particulars.name)
    check_desks(particulars.desks)
    _check_keys(agency)
    return Enrolment(particulars, signed, statements, agency)


def _particulars(signed: Signed) -> Particulars:
    decode(signed.text, STATEMENT_LIMIT)
    try:
        return Particulars.model_validate_json(signed.text)
    except ValidationError:
        raise Refusal("FORM", NOT_ONE) from None


def _replayed(agency: str, statements: tuple[Signed, ...]) -> Agency:
    # Oversight's own id is left out, so that nothing in an enrolment can admit anybody.
    view = Directory("")
    for signed in statements:
        if view.apply(signed).agency != agency:
            raise Refusal("DIRECTORY", NOT_ONE)
    if agency not in view.agencies:
        raise Refusal("DIRECTORY", NOT_ONE)
    return view.agencies[agency]


def _check_keys(agency: Agency) -> None:
    held = {key.use for key in agency.keys.values()}
    missing = tuple(str(use) for use in NEEDED if use not in held)
    if missing:
        raise Refusal("KEY", "The enrolment lacks keys that an agency needs. Make it again.", detail=missing)
