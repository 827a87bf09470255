"""Oversight takes an agency in: the enrolment is checked, then its statements and the admission go to the relay.

Rules of this house:
- nothing is posted before the safety number fits and the whole enrolment holds against the relay's directory;
- oversight's key file is never rewritten: where its chain stands is read from the directory, which must contain what
  the key file knows and may never be older than what oversight saw before;
- stopping at any point is safe: run again, the same end is reached, and nothing is said twice.
"""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from keys_tooling.console import World
from keys_tooling.directory_reading import Reading, Source, read_directory
from keys_tooling.enrolment import Enrolment
from keys_tooling.keyfiles import read_public, read_secret, sync_folder
from keys_tooling.names import check_unlike
from keys_tooling.partnership import ADMIN, AGENT, PARTNERSHIP
from schemas import api
from schemas.chain import Chain
from schemas.checkpoint import NOTE_LIMIT, Checkpoint, open_checkpoint
from schemas.directory import Directory
from schemas.directory_statement import statement_hash
from schemas.errors import KINDS, Refusal
from schemas.keyring import AdminKeys, AgentKeys
from schemas.keys import SigningKey, Use
from schemas.partnership import FILE_LIMIT, Partnership
from schemas.signing import Signed

SEEN = "directory.note"
"""The newest directory checkpoint that oversight believed: public, and the only file here that is replaced."""
ATTEMPTS = 3


class Relay(Source, Protocol):
    """What admission asks of a relay: agent.client.Relay does it."""

    async def post_statements(self, request: api.StatementsRequest) -> api.StatementResults: ...


@dataclass(frozen=True, slots=True)
class Oversight:
    """Oversight's side: the partnership, its operational key and the key that signs its requests."""

    folder: Path
    partnership: Partnership
    admin: AdminKeys
    auth: SigningKey

    @classmethod
    def open(cls, folder: Path, passphrase: bytes) -> Oversight:
        """Raises Refusal FILE, KEYFILE, SETTINGS, SIGNATURE, DIRECTORY."""
        partnership = Partnership.parse(read_public(folder / PARTNERSHIP, FILE_LIMIT))
        admin = AdminKeys.from_json(read_secret(folder / ADMIN, AdminKeys.HOLDS, passphrase))
        agent = AgentKeys.from_json(read_secret(folder / AGENT, AgentKeys.HOLDS, passphrase))
        if not admin.agency == agent.agency == partnership.charter.oversight:
            raise Refusal("KEYFILE", "The keys in this folder are not this partnership's oversight.")
        return cls(folder, partnership, admin, agent.auth)

    def believed(self) -> Checkpoint | None:
        """The newest directory checkpoint believed. Raises Refusal CHECKPOINT when the file was changed."""
        path = self.folder / SEEN
        if not path.exists():
            return None
        try:
            note = read_public(path, NOTE_LIMIT).decode()
        except UnicodeDecodeError as error:
            raise Refusal("CHECKPOINT") from error
        return open_checkpoint(note, self.partnership.keys_log_key)

    def believe(self, note: str) -> None:
        fresh = self.folder / f"{SEEN}.new"
        with fresh.open("wb") as file:
            file.write(note.encode())
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.folder / SEEN)
        sync_folder(self.folder)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What enrolling did: statements posted now, and whether the agency was a member before."""

    posted: int
    before: bool
    members: int


async def enrol(relay: Relay, oversight: Oversight, enrolment: Enrolment, world: World) -> Admitted:
    """Post an agency's statements and its admission, whatever of them is missing. The caller compared the number.

    Raises:
        Refusal: NAME, CONFLICT, KEY, STALE_KEY, DIRECTORY, FORK, ROLLBACK, CLOCK, RELAY_AWAY and the relay's own.
    """
    posted, before = 0, True
    for _ in range(ATTEMPTS):
        reading = await read_oversight(relay, oversight, world)
        missing = missing_statements(reading, enrolment, oversight, world.now())
        if not missing:
            members = [agency for agency in reading.view.agencies.values() if agency.member]
            return Admitted(posted, before, len(members))
        before = False
        posted += await post(relay, missing)
    raise Refusal(
        "CONFLICT", "Somebody else was changing the directory at the same time. Run it again.", retry=True
    )


def missing_statements(
    reading: Reading, enrolment: Enrolment, oversight: Oversight, now: int
) -> tuple[Signed, ...]:
    """What the directory still lacks for this agency to be a member; empty when it is one already. Pure.

    Raises:
        Refusal: NAME, CONFLICT, KEY, STALE_KEY, SETTINGS, DIRECTORY.
    """
    said = enrolment.particulars
    if said.partnership != oversight.admin.agency:
        raise Refusal(
            "SETTINGS", "This enrolment is for another partnership. Ask the agency for the right one."
        )
    check_own_chain(reading, oversight.admin)
    members = [a for a in reading.view.agencies.values() if a.member and a.id != said.agency]
    check_unlike(said.name, [a.name for a in members] + [oversight.partnership.charter.name])
    view, have = copy.deepcopy(reading.view), reading.hashes()
    missing = [signed for signed in enrolment.statements if statement_hash(signed) not in have]
    _try(view, missing)
    agency = view.agencies[said.agency]
    if not any(key.use == Use.AUTH and key.stands(now) for key in agency.keys.values()):
        raise Refusal("STALE_KEY", "The agency's keys are outside their dates. Ask it to make them again.")
    if agency.member:
        held = (agency.name, agency.desks, agency.flags, agency.sector)
        if held != (said.name, said.desks, said.flags, said.sector):
            raise Refusal("CONFLICT", "The agency is a member already, under other particulars.")
        return tuple(missing)
    own = view.agencies[oversight.admin.agency]
    chain = Chain(own.id, oversight.admin.op, own.seq, own.head)
    flags = said.flags.model_dump()
    return (*missing, chain.admit(said.agency, said.name, said.desks, flags, now, said.sector))


def _try(view: Directory, missing: list[Signed]) -> None:
    try:
        for signed in missing:
            view.apply(signed)
    except Refusal as refusal:
        if refusal.code == "DIRECTORY":
            raise Refusal(
                "CONFLICT", "The directory holds other statements of this agency. Ring the agency."
            ) from refusal
        raise


def check_own_chain(reading: Reading, admin: AdminKeys) -> None:
    """Raises Refusal ROLLBACK, FORK unless the directory holds all that the key file knows."""
    # A relay that hid statements of oversight would have it sign two different ones with the same number.
    own = reading.view.agencies.get(admin.agency)
    if own is None or own.seq < admin.seq:
        raise Refusal("ROLLBACK")
    if admin.head not in reading.hashes():
        raise Refusal("FORK")


async def read_oversight(source: Source, oversight: Oversight, world: World) -> Reading:
    """The directory as the relay shows it now, never older than what oversight saw before; the note is believed."""
    reading = await read_directory(
        source,
        oversight.partnership.keys_log_key,
        oversight.admin.agency,
        world.now(),
        believed=oversight.believed(),
    )
    oversight.believe(reading.note)
    return reading


async def post(relay: Relay, statements: tuple[Signed, ...]) -> int:
    """How many were recorded; a conflict ends it early, and the caller reads the directory again."""
    recorded = 0
    for start in range(0, len(statements), api.BATCH_STATEMENTS):
        batch = statements[start : start + api.BATCH_STATEMENTS]
        items = tuple(
            api.StatementIn(kind="directory", signed=api.SignedJson(**signed.to_json())) for signed in batch
        )
        answer = await relay.post_statements(api.StatementsRequest(statements=items))
        if len(answer.results) != len(batch):
            raise Refusal("FORM", party="relay")
        for result in answer.results:
            if result.status == "refused":
                code = result.code if result.code in KINDS else "FORM"
                if code in ("CONFLICT", "DIRECTORY"):
                    return recorded
                raise Refusal(code or "FORM", party="relay")
            recorded += result.status == "recorded"
    return recorded
