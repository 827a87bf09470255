"""Invitations as oversight and a new agency hold them: a small file, or a line of letters and digits.

Rules of this house:
- the secret is in the invitation's own file before the relay hears of it, and nowhere else at oversight's; whoever is
  stopped between the two types it again, and the relay hears of that very one;
- oversight keeps what it invited whom for, so that an enrolment is held against it and not against itself.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, ValidationError

from keys_tooling.admission import Oversight
from keys_tooling.console import World
from keys_tooling.enrolment import Enrolment, parse_enrolment
from keys_tooling.invite_line import InviteLine
from keys_tooling.keyfiles import check_private, new_files, read_public
from keys_tooling.making import Making
from schemas.canonical import b64, strict_json, unb64
from schemas.envelope import AgencyId, Frozen, Hash32, Seconds
from schemas.errors import Refusal
from schemas.invite import SECRET, Invite, Standing, invite_key

T = TypeVar("T", bound=Frozen)
FOLDER = "invites"
LIMIT = 4096
NOT_ONE = "This is not an invitation, or it was damaged. Ask oversight for it again."


class Invitation(Frozen):
    """An invitation's file, as the agency is given it. `secret` is base64url of 16 bytes."""

    v: Annotated[int, Field(ge=1, le=1)]
    partnership: AgencyId
    name: Annotated[str, Field(min_length=1, max_length=120)]
    secret: Annotated[str, Field(min_length=22, max_length=22)]
    until: Seconds

    @property
    def bytes(self) -> bytes:
        return unb64(self.secret, SECRET)


class Record(Frozen):
    """What oversight keeps of an invitation: whom it was for; nothing that enrols anybody."""

    v: Annotated[int, Field(ge=1, le=1)]
    mark: Hash32
    name: Annotated[str, Field(min_length=1, max_length=120)]
    until: Seconds


@dataclass(frozen=True, slots=True)
class Waiting:
    """An invitation at the relay, what oversight invited for, and the enrolment that came, once verified."""

    at: Standing
    invited: Record | None
    enrolment: Enrolment | None
    fault: str = ""


def draw(made: Making, oversight: Oversight, name: str, until: int, world: World) -> None:
    """A new invitation, in its file and in oversight's record; the relay has not heard of it yet.

    Raises:
        Refusal: EXISTS, FILE, DISK_FULL.
    """
    secret = world.draw(SECRET)
    record = Record(v=1, mark=invite_key(secret).kid, name=name, until=until)
    invitation = Invitation(
        v=1, partnership=oversight.partnership.charter.oversight, name=name, secret=b64(secret), until=until
    )
    kept, out = oversight.folder / FOLDER / f"{record.mark}.json", made.last
    made.begin([kept])
    with new_files(kept.parent) as own, new_files(out.parent) as files:
        own.public(kept.name, _printed(record))
        files.secret(out.name, _printed(invitation))


def drawn(path: Path, now: int) -> Record:
    """What oversight keeps of the invitation in a file, and tells the relay.

    Raises:
        Refusal: FILE; INVITE when its time is over: it was drawn by a command that was stopped then.
    """
    held = read_invitation(path)
    if held.until <= now:
        raise Refusal(
            "INVITE", f"The time of this invitation is over. Destroy {path.name}, and type it again."
        )
    return Record(v=1, mark=invite_key(held.bytes).kid, name=held.name, until=held.until)


def read_invitation(path: Path) -> Invitation:
    """Raises Refusal FILE, INVITE."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            check_private(os.fstat(file.fileno()), path.name)
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise Refusal("FILE", f"{path.name} cannot be read. Check the name of the file.") from error
    return _parsed(Invitation, data)


def known(oversight: Oversight) -> dict[str, Record]:
    """Oversight's own record of its invitations, by mark. Raises Refusal INVITE when one is spoiled."""
    paths = sorted((oversight.folder / FOLDER).glob("*.json"))
    records = [_parsed(Record, read_public(path, LIMIT)) for path in paths]
    return {record.mark: record for record in records}


async def register(line: InviteLine, record: Record) -> None:
    """Make an invitation good at the relay; said twice, it is the same."""
    await line.post_invite(Invite(act="invite", mark=record.mark, until=record.until))


async def waiting(line: InviteLine, oversight: Oversight) -> list[Waiting]:
    """Every invitation at the relay, with the enrolment that came with it, verified."""
    records, found = known(oversight), []
    for standing in await line.invites():
        record = records.get(standing.mark)
        if standing.taken is None:
            found.append(Waiting(standing, record, None))
            continue
        try:
            enrolment = parse_enrolment(await line.enrolment(standing.mark))
        except Refusal as refusal:
            if refusal.code == "RELAY_AWAY":
                raise
            found.append(Waiting(standing, record, None, refusal.code))
            continue
        found.append(Waiting(standing, record, enrolment, _fault(enrolment, record)))
    return found


def chosen(rows: list[Waiting], text: str) -> Waiting:
    """The one enrolment that is meant, by mark, agency's id or exact name.

    Raises:
        Refusal: INVITE (none or several).
    """
    match = []
    for row in rows:
        if row.enrolment is None:
            continue
        said = row.enrolment.particulars
        if text in (said.agency, said.name) or (len(text) >= 6 and row.at.mark.startswith(text)):
            match.append(row)
    if len(match) != 1:
        raise Refusal("INVITE", "No enrolment of that name waits. Look: fenpost-keys agency pending")
    return match[0]


def _fault(enrolment: Enrolment, record: Record | None) -> str:
    if record is None:
        return "NOT_INVITED"
    return "" if record.name == enrolment.particulars.name else "OTHER_NAME"


def _printed(value: Frozen) -> bytes:
    return json.dumps(value.model_dump(), indent=1, sort_keys=True).encode("ascii") + b"\n"


def _parsed(model: type[T], data: bytes) -> T:
    try:
        strict_json(data, LIMIT)
        return model.model_validate_json(data)
    except (Refusal, ValidationError) as error:
        raise Refusal("INVITE", NOT_ONE) from error
