"""An IG officer's request key, lent to an administrator: it asks the relay where her agency's own keys may not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keys_tooling.options import FILE, as_one
from schemas.errors import Refusal

if TYPE_CHECKING:
    from schemas.keys import Signer

OFFICER = click.option(
    "--officer",
    type=FILE,
    help="An IG officer's key file: asks the relay where agent.fpk is gone, or its keys have ended or end now.",
)
WORDS = click.option(
    "--officer-passphrase-file",
    "officer_words",
    type=FILE,
    help="Its passphrase. [default: the folder's]",
)


@dataclass(frozen=True, slots=True)
class Lent:
    """What an officer lends: her key file, or None, and the file of its passphrase."""

    officer: Path | None
    officer_words: Path | None

    def key(self, passphrase: bytes) -> Signer | None:
        """Her request key; `passphrase` is the folder's. Raises Refusal FILE, KEYFILE."""
        from keys_tooling.keyfiles import read_secret
        from keys_tooling.passphrases import known_passphrase
        from keys_tooling.token_pins import on_token
        from schemas.keyring import OfficerKeys

        if self.officer is None:
            return None
        words = self.officer_words
        own = known_passphrase(words, "the officer's keys") if words else passphrase
        return OfficerKeys.from_json(read_secret(self.officer, OfficerKeys.HOLDS, own), on_token).auth

    @contextmanager
    def asked_for(self) -> Iterator[None]:
        """Raises Refusal UNAUTHENTICATED that asks for an officer's key, where none was lent and it would help."""
        try:
            yield
        except Refusal as refusal:
            if type(refusal) is Refusal or refusal.code != "UNAUTHENTICATED" or self.officer is not None:
                raise  # what was refused here has words of its own
            raise Refusal(
                "UNAUTHENTICATED",
                "The relay does not take this agency's own request keys, or not any more. Type it again, and add "
                "--officer with the key file of an IG officer, who asks in their place.",
            ) from refusal


LENT = as_one("lent", Lent, OFFICER, WORDS)
