"""An officer's folder as her commands find it, for tests that type them while a relay runs in this process."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from keys_tooling.audit.officer_folder import KEYS
from keys_tooling.audit_main import audit
from keys_tooling.console import World as Console
from keys_tooling.partnership import PARTNERSHIP
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.keyring import OfficerKeys
from tests.simulated_world import PASSPHRASE, World


@dataclass(frozen=True, slots=True)
class Typed:
    """What a command answered; `refusal` is what it refused with."""

    exit: int
    out: str
    err: str
    refusal: Refusal | None

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of one officer."""

    world: World
    folder: Path

    @classmethod
    def make(cls, world: World, folder: Path, party: str, keys: OfficerKeys | None = None) -> Place:
        folder.mkdir(parents=True)
        officer = keys or world.parties[party].officer
        for name, data in (
            (KEYS, lock(officer.to_json(), OfficerKeys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)),
            (PARTNERSHIP, world.founded.partnership.to_bytes()),
            ("passphrase", PASSPHRASE + b"\n"),
        ):
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o600)
        return cls(world, folder)

    async def type(self, *words: str | Path, passphrase: bool = True) -> Typed:
        """Type a command of fenpost-audit in this folder."""
        more = ["--passphrase-file", self.folder / "passphrase"] if passphrase else []
        line = [str(word) for word in (*words, "--dir", self.folder, *more)]
        console = Console(self.world.clock, secrets.token_bytes)
        done = await asyncio.to_thread(CliRunner().invoke, audit, line, obj=console)
        refusal = done.exception if isinstance(done.exception, Refusal) else None
        if done.exception is not None and refusal is None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Typed(1 if refusal else done.exit_code, done.stdout, done.stderr, refusal)
