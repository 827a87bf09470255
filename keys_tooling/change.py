"""What every command that changes the directory is told beside the change itself, and whose folder it opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keys_tooling.options import DRY, JSON, PASSPHRASE, YES, as_one

if TYPE_CHECKING:
    from keys_tooling.carrying_out import Given, Make, Words
    from keys_tooling.console import World
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Facts


@dataclass(frozen=True, slots=True)
class Change:
    """How a change is to be carried out. Every method raises as OwnSide.open and carrying_out.carry_out do."""

    yes: bool
    dry: bool
    passphrase_file: Path | None
    as_json: bool

    def by_administrator(
        self,
        world: World,
        folder: Path,
        does: str,
        told: Given,
        make: Make,
        words: Words | None = None,
        *,
        unasked: bool = False,
    ) -> None:
        """Carry out an agency's own change, from its folder or oversight's."""
        from keys_tooling.own_side import OwnSide

        opened = self._opened(OwnSide, folder, "the administrator's keys")
        self.carry_out(world, *opened, does, told, make, words, unasked=unasked)

    def by_oversight(
        self,
        world: World,
        folder: Path,
        does: str,
        told: Given,
        make: Make,
        words: Words | None = None,
        *,
        unasked: bool = False,
    ) -> None:
        """Carry out what only oversight may say."""
        from keys_tooling.admission import Oversight

        opened = self._opened(Oversight, folder, "oversight's keys")
        self.carry_out(world, *opened, does, told, make, words, unasked=unasked)

    def carry_out(
        self,
        world: World,
        own: OwnSide,
        passphrase: bytes,
        does: str,
        told: Given,
        make: Make,
        words: Words | None = None,
        *,
        more: Facts | None = None,
        unasked: bool = False,
    ) -> None:
        """Carry out a change of a side that is open already."""
        from keys_tooling.carrying_out import carry_out

        carry_out(
            world, own, passphrase, does, told, make,
            yes=self.yes, dry=self.dry, as_json=self.as_json, more=more, words=words, unasked=unasked,
        )  # fmt: skip

    def _opened(self, side: type[OwnSide], folder: Path, whose: str) -> tuple[OwnSide, bytes]:
        from keys_tooling.passphrases import known_passphrase

        passphrase = known_passphrase(self.passphrase_file, whose)
        return side.open(folder, passphrase), passphrase


CHANGE = as_one("change", Change, YES, DRY, PASSPHRASE, JSON)
