"""`fenpost-agent init`: an agency's folder becomes an agent's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from agent.folders import make_folders
from agent.secretfile import read_passphrase, write_new
from agent.settings import TEMPLATE, read_settings
from agent.store import Store
from agent.unlocking import read_keys
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.partnership import FILE_LIMIT, Partnership


def init(home: Path, passphrase_file: Path, draw: Callable[[int], bytes]) -> str:
    """Write agent.toml, the token, the drop folders and the store; returns the agency's id.

    Raises:
        Refusal: EXISTS, FILE, KEYFILE, SETTINGS and the partnership file's own.
    """
    if not home.is_dir():
        raise Refusal(
            "FILE", "There is no such folder. Make the agency's keys there first: fenpost-keys agency init"
        )
    keys = read_keys(home / "agent.fpk", read_passphrase(passphrase_file))
    read_partnership(home / "partnership.json")
    if (home / "agent.toml").exists():
        raise Refusal("EXISTS", detail=("agent.toml",))
    quoted = str(passphrase_file.resolve()).replace("\\", "\\\\").replace('"', '\\"')
    asyncio.run(_make_store(home / "agent.db", keys.store))
    make_folders(home)
    write_new(home / "api.token", b64(draw(32)).encode("ascii") + b"\n")
    write_new(home / "agent.toml", TEMPLATE.format(passphrase=f'passphrase_file = "{quoted}"\n').encode())
    read_settings(home, {})
    return keys.agency


async def _make_store(path: Path, key: bytes) -> None:
    store = await Store.open(path, key, create=True)
    await store.close()


def read_partnership(path: Path) -> Partnership:
    """The partnership file, verified. Raises Refusal FILE and Partnership.parse's."""
    try:
        with path.open("rb") as file:
            return Partnership.parse(file.read(FILE_LIMIT + 1))
    except OSError as error:
        raise Refusal("FILE", "There is no partnership.json here. Ask your partnership for it.") from error
