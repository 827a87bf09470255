"""An agency's own side where its key files are lost, or may not be believed: an officer may ask in their place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from keys_tooling.console import World
from keys_tooling.directory_reading import Reading
from keys_tooling.keyfiles import read_public, read_secret
from keys_tooling.own_side import OwnSide, reached, read_own
from keys_tooling.partnership import ADMIN, AGENT, PARTNERSHIP
from keys_tooling.token_pins import on_token
from schemas.errors import Refusal
from schemas.keyring import AdminKeys, AgentKeys
from schemas.keys import Signer, SigningKey
from schemas.partnership import FILE_LIMIT, Partnership


def without_agent(
    folder: Path, passphrase: bytes, asking: Signer | None, made: Mapping[str, Path] | None = None
) -> OwnSide:
    """The side of whoever has admin.fpk. With `asking`, an officer's request key, agent.fpk is not looked at.

    Args:
        made: as OwnSide.open's.

    Raises:
        Refusal: FILE, KEYFILE, SETTINGS, SIGNATURE, DIRECTORY.
    """
    made = made or {}
    if asking is None:
        if not (folder / AGENT).exists() and AGENT not in made:
            raise Refusal(
                "FILE", f"{AGENT} is not in this folder. Add --officer with the key file of an IG officer."
            )
        return OwnSide.open(folder, passphrase, made)
    file = folder / ADMIN if (folder / ADMIN).exists() else made.get(ADMIN)
    if file is None:
        raise Refusal(
            "FILE", f"{ADMIN} is not in this folder. Make a new one from the next roots first: recover op."
        )
    admin = AdminKeys.from_json(read_secret(file, AdminKeys.HOLDS, passphrase), on_token)
    return OwnSide(folder, _partnership(folder), admin, asking)


def without_admin(
    world: World, folder: Path, passphrase: bytes, asking: Signer | None, named: str | None
) -> OwnSide:
    """The side of whoever has the roots. Where its chain stands is the directory's word, not admin.fpk's.

    Args:
        asking: an officer's request key. Without it, agent.fpk's own keys ask.
        named: the agency's name or id. With both, agent.fpk is not looked at.

    Raises:
        Refusal: UNKNOWN_AGENCY, FILE, KEYFILE, UNAUTHENTICATED, and as own_side.read_own.
    """
    agency, signs, spare = _asks(folder, passphrase, asking, named)
    nobody = AdminKeys(agency, SigningKey(world.draw(32)), 0, "")
    side = OwnSide(folder, _partnership(folder), nobody, signs, spare)

    async def read() -> Reading:
        async with reached(side, world) as line:
            return await read_own(line, side, world)

    view = asyncio.run(read()).view
    found = view.agencies.get(named or agency) or (view.find(named) if named else None)
    if found is None:
        raise Refusal("UNKNOWN_AGENCY")
    if agency not in ("", found.id):
        raise Refusal("KEYFILE", f"The {AGENT} in this folder is another agency's.")
    return replace(side, admin=AdminKeys(found.id, nobody.op, found.seq, found.head))


def _asks(
    folder: Path, passphrase: bytes, asking: Signer | None, named: str | None
) -> tuple[str, Signer, tuple[SigningKey, ...]]:
    """The agency's id, or "" where only its name is known; the key that asks for it, and those that may besides."""
    if asking is not None and named is not None:
        return "", asking, ()
    if not (folder / AGENT).exists():
        raise Refusal(
            "FILE",
            f"{AGENT} is not in this folder. Is it lost too? Then add --agency with the agency's name, and "
            "--officer with the key file of an IG officer.",
        )
    agent = AgentKeys.from_json(read_secret(folder / AGENT, AgentKeys.HOLDS, passphrase))
    return (agent.agency, agent.auth, (agent.renew,)) if asking is None else (agent.agency, asking, ())


def _partnership(folder: Path) -> Partnership:
    return Partnership.parse(read_public(folder / PARTNERSHIP, FILE_LIMIT))
