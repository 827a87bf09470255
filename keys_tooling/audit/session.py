"""An officer at work in her folder: keys and partnership at hand, and her opening told before anything is shown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.client import Relay
from keys_tooling.audit import handing, officer_folder, openings
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.purpose import Purpose
from keys_tooling.console import World, tell
from keys_tooling.line import asked, connected
from keys_tooling.passphrases import known_passphrase
from schemas.directory import Directory
from schemas.keyring import OfficerKeys
from schemas.package import Keyring
from schemas.partnership import Partnership
from schemas.reasons import Act
from schemas.unsealing import Opening

T = TypeVar("T")
KEPT = (
    "The relay was not told. This opening is signed and kept in openings.jsonl, and is told at the next pull: do that "
    "as soon as the relay can be reached."
)


@dataclass(frozen=True, slots=True)
class Session:
    """An officer's folder, opened."""

    folder: Path
    partnership: Partnership
    keys: OfficerKeys
    world: World

    @classmethod
    def begin(cls, folder: Path, passphrase_file: Path | None, world: World) -> Session:
        """Raises Refusal FILE, SETTINGS, SIGNATURE, DIRECTORY, KEYFILE."""
        partnership = officer_folder.believed(folder)
        keys = officer_folder.open_keys(folder, known_passphrase(passphrase_file, "the officer's keys"))
        return cls(folder, partnership, keys, world)

    def relay(self) -> Relay:
        return connected(Relay, self.partnership.charter, self.keys.auth, self.world)

    def asked(self, ask: Callable[[Relay], Awaitable[T]]) -> T:
        """What `ask` learns or does at the relay."""
        return asked(Relay, self.partnership.charter, self.keys.auth, self.world, ask)

    def size(self) -> int:
        """How many entries her mirror holds. Raises Refusal MIRROR."""
        with open_mirror(self.folder, write=False) as mirror:
            return mirror.size()

    def taken(self) -> tuple[Keyring, ...]:
        """What other officers passed on to her. Raises Refusal FORM, SIGNATURE, RECORD for a damaged file."""
        return handing.taken(self.folder, self.keys)

    def announce(
        self,
        act: Act,
        of: str,
        entries: tuple[int, int, int],
        agency: str,
        view: Directory,
        purpose: Purpose,
    ) -> str:
        """Have an opening logged; only then may anything be shown. Its id.

        Args:
            act, of: what she does, and the name of the query or report.
            entries: how many, the first and the last position.

        Raises:
            Refusal: as keys_tooling.audit.openings.prepare and announce.
        """
        count, first, last = entries
        opening = Opening(act, purpose.why, first, last, count, of, purpose.words, purpose.offline)
        journal, oid = openings.prepare(self.folder, opening, agency, view, self.keys, self.world)
        if purpose.offline:
            tell(KEPT)
            return oid

        self.asked(lambda relay: openings.announce(relay, journal, oid, self.world.now()))
        return oid
