"""What every command that changes the directory is told beside the change itself, and whose folder it opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keys_tooling.options import DRY, JSON, PASSPHRASE, YES, as_one

if TYPE_CHECKING:
    from keys_tooling.admission import Oversight
    from keys_tooling.own_side import OwnSide
    from keys_tooling.plan import Facts


@dataclass(frozen=True, slots=True)
class Change:
    """How a change is to be carried out. Folders are opened as OwnSide.open does, and raise what it raises."""

    yes: bool
    dry: bool
    passphrase_file: Path | None
    as_json: bool

    def administrator(self, folder: Path) -> tuple[OwnSide, bytes]:
        """A member's folder or oversight's, opened, and the passphrase for its new key files."""
        from keys_tooling.own_side import OwnSide
        from keys_tooling.passphrases import known_passphrase

        passphrase = known_passphrase(self.passphrase_file, "the administrator's keys")
        return OwnSide.open(folder, passphrase), passphrase

    def oversight(self, folder: Path) -> tuple[Oversight, bytes]:
        """The same of oversight's folder alone: for what only oversight may say."""
        from keys_tooling.admission import Oversight
        from keys_tooling.passphrases import known_passphrase

        passphrase = known_passphrase(self.passphrase_file, "oversight's keys")
        return Oversight.open(folder, passphrase), passphrase

    def goes_on(self, plan: str, facts: Facts) -> bool:
        """As making.goes_on. Raises as it does."""
        from keys_tooling.making import goes_on

        return goes_on(plan, facts, yes=self.yes, dry=self.dry, as_json=self.as_json)


CHANGE = as_one("change", Change, YES, DRY, PASSPHRASE, JSON)
