"""One agency's own side of the directory: its operational key, the key of its requests, and what it saw before."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from keys_tooling.console import World, tell
from keys_tooling.directory_reading import Reading, Source, read_directory
from keys_tooling.keyfiles import read_public, read_secret, refusing, sync_folder
from keys_tooling.partnership import ADMIN, AGENT, PARTNERSHIP
from keys_tooling.token_pins import on_token
from schemas.api import PAGE_STATEMENTS
from schemas.canonical import unb64
from schemas.chain import Chain
from schemas.checkpoint import NOTE_LIMIT, Checkpoint, open_checkpoint
from schemas.directory import Agency
from schemas.errors import Refusal
from schemas.keyring import AdminKeys, AgentKeys
from schemas.keys import Signer, SigningKey
from schemas.partnership import FILE_LIMIT, Partnership

if TYPE_CHECKING:
    from agent.client import Relay

SEEN = "directory.note"
"""The newest directory checkpoint that this side believed: public, and the only such file that is replaced."""
ASK = "ask.fpk"
"""A later renew key than the one of agent.fpk: with it the administrator still reaches the relay."""
RENEW_HOLDS = "renew"
LONG = 5_000
"""Statements, from which on reading the directory takes seconds and says how far it is."""
OVER = ("UNAUTHENTICATED", "CLOCK")
"""How the relay says that it does not take a request key, or not any more."""
FAR = 2**40
"""A place in the directory that is never reached: whoever asks after it learns only that she may ask."""


@dataclass(frozen=True, slots=True)
class OwnSide:
    """An agency's folder, opened: the partnership, its operational key and the key that signs its requests."""

    folder: Path
    partnership: Partnership
    admin: AdminKeys
    auth: Signer
    spare: tuple[SigningKey, ...] = ()
    """Renew keys: they may ask for the directory and post to it when the request key is over (A7)."""

    @classmethod
    def open(cls, folder: Path, passphrase: bytes, made: Mapping[str, Path] | None = None) -> Self:
        """An agency's folder.

        Args:
            made: key files that a change which was begun here has made, by the names that they will have. The files
                that they replace may be gone, or their keys over.

        Raises:
            Refusal: FILE, KEYFILE, SETTINGS, SIGNATURE, DIRECTORY.
        """
        made = made or {}
        partnership = Partnership.parse(read_public(folder / PARTNERSHIP, FILE_LIMIT))
        file = folder / ADMIN if (folder / ADMIN).exists() else made.get(ADMIN, folder / ADMIN)
        admin = AdminKeys.from_json(read_secret(file, AdminKeys.HOLDS, passphrase), on_token)
        files = [path for path in (folder / AGENT, made.get(AGENT)) if path and path.exists()] or [
            folder / AGENT
        ]
        agent, *coming = (
            AgentKeys.from_json(read_secret(path, AgentKeys.HOLDS, passphrase)) for path in files
        )
        spare = [agent.renew, *_asking(folder, passphrase, agent.agency)]
        spare += [key for one in coming for key in (one.auth, one.renew)]
        own = cls(folder, partnership, admin, agent.auth, tuple(spare))
        own.check(agent)
        return own

    def check(self, agent: AgentKeys) -> None:
        """Raises Refusal KEYFILE unless these files belong together."""
        if self.admin.agency != agent.agency:
            raise Refusal("KEYFILE", "The keys in this folder are of two agencies.")

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
        """Keep the newest checkpoint. Raises Refusal FILE, DISK_FULL."""
        fresh = self.folder / f"{SEEN}.new"
        with refusing():
            with fresh.open("wb") as file:
                file.write(note.encode())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.folder / SEEN)
            sync_folder(self.folder)


@asynccontextmanager
async def reached(own: OwnSide, world: World) -> AsyncIterator[Relay]:
    """The relay, asked as this side: with its request key, or where that is over with a renew key that stands.

    Raises:
        Refusal: UNAUTHENTICATED, RELAY_AWAY.
    """
    from agent.client import Relay as Line
    from keys_tooling.line import connected

    charter = own.partnership.charter
    for last, key in enumerate((own.auth, *own.spare), start=-len(own.spare)):
        async with connected(Line, charter, key, world) as line:
            try:
                await line.directory(FAR)
            except Refusal as refusal:
                if refusal.code in OVER and last:
                    continue
                raise
            yield line
            return


def _asking(folder: Path, passphrase: bytes, agency: str) -> tuple[SigningKey, ...]:
    if not (folder / ASK).exists():
        return ()
    held = read_secret(folder / ASK, RENEW_HOLDS, passphrase)
    if not isinstance(held, dict) or held.get("agency") != agency:
        raise Refusal("KEYFILE", "The keys in this folder are of two agencies.")
    return (SigningKey(unb64(held["renew"], 32)),)


async def read_own(source: Source, own: OwnSide, world: World) -> Reading:
    """The directory as the relay shows it now, never older than what this side saw before; the note is believed.

    Raises:
        Refusal: ROLLBACK, FORK, CHECKPOINT, CLOCK; what the source and Directory.apply raise.
    """
    reading = await read_directory(
        source,
        own.partnership.keys_log_key,
        own.partnership.charter.oversight,
        world.now(),
        believed=own.believed(),
        far=say_far,
    )
    own.believe(reading.note)
    return reading


def say_far(at: int, of: int) -> None:
    """Say how far a long directory is read: it is replayed whole, so that nothing in it is taken on trust."""
    if of >= LONG and (at % LONG < PAGE_STATEMENTS or at >= of):
        tell(f"{at:,} of {of:,} statements of the directory are checked")


def check_own_chain(reading: Reading, admin: AdminKeys) -> None:
    """Raises Refusal ROLLBACK, FORK unless the directory holds all that the key file knows."""
    # A relay that hid statements of ours would have us sign two different ones with the same number.
    own = reading.view.agencies.get(admin.agency)
    if own is None or own.seq < admin.seq:
        raise Refusal("ROLLBACK")
    if admin.head not in reading.hashes():
        raise Refusal("FORK")


def own_chain(reading: Reading, admin: AdminKeys, held: tuple[Signer, ...] = ()) -> Chain:
    """Where the agency's chain stands now, to be extended with the operational key that is in force.

    Args:
        held: operational keys besides the key file's: a successor that is being put in place.

    Raises:
        Refusal: OP_KEY when none of them is in force.
    """
    agency: Agency = reading.view.agencies[admin.agency]
    for key in (admin.op, *held):
        if key.public == agency.op:
            return Chain(agency.id, key, agency.seq, agency.head)
    raise Refusal("OP_KEY")
