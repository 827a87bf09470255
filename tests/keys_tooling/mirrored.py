"""An officer's mirror as a pull leaves it, for tests that read it, verify it or change it."""

import secrets
from pathlib import Path

from agent.client import Relay
from keys_tooling.audit.findings import Report
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.pull import Pull, Pulled
from keys_tooling.audit.pull_line import Relay as Source
from keys_tooling.audit.verify import verify
from keys_tooling.console import World as Console
from keys_tooling.line import connected
from schemas.keys import SigningKey
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import World


async def pull(relay: PaperRelay, folder: Path, officer: str = "Peacock") -> Pulled:
    """From a relay on paper."""
    relay.reader = officer
    return await _pulled(relay, relay.world, folder, officer)


async def pull_served(world: World, folder: Path, officer: str, key: SigningKey | None = None) -> Pulled:
    """From a relay that serves this world; asked with the officer's own key, or another."""
    folder.mkdir(exist_ok=True)
    asks, here = key or world.parties[officer].officer.auth, Console(world.clock, secrets.token_bytes)
    async with connected(Relay, world.founded.partnership.charter, asks, here) as relay:
        return await _pulled(relay, world, folder, officer)


async def _pulled(relay: Source, world: World, folder: Path, officer: str) -> Pulled:
    keys, partnership = world.parties[officer].officer, world.founded.partnership
    with open_mirror(folder, write=True) as mirror:
        return await Pull(relay, mirror, partnership, keys, world.now, lambda _at, _of: None).run()


def verified(relay: PaperRelay, folder: Path) -> Report:
    with open_mirror(folder, write=False) as mirror:
        return verify(mirror, relay.world.founded.partnership, lambda _at: None)
