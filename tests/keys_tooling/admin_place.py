"""Administrators' folders of a simulated partnership, and typing `fenpost-keys` in them while a real relay runs."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from keys_tooling.console import World as Outside
from keys_tooling.keys_main import keys
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from tests.keys_tooling.policy_place import write_secret
from tests.simulated_world import PASSPHRASE, World


def made(tmp_path: Path, *names: str, people: Callable[[World], None] | None = None) -> World:
    """Members and oversight, each with a folder of its name, as `init` writes it.

    `people` publishes what else there is before the folders and the relay know of it.
    """
    found = World.found(tmp_path, *(names or ("Peacock", "IDVAS")))
    if people is not None:
        people(found)
    for name in found.parties:
        write_folder(found, name)
    write_secret(tmp_path / "pass", PASSPHRASE + b"\n")
    return found


def write_folder(world: World, name: str) -> Path:
    party, folder = world.parties[name], world.folder / name
    folder.mkdir(mode=0o700)
    (folder / "partnership.json").write_bytes(world.founded.partnership.to_bytes())
    for file, held in (("admin.fpk", party.admin), ("agent.fpk", party.member.agent)):
        write_secret(folder / file, lock(held.to_json(), held.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))
    return folder


def run(world: World, *words: str | Path, text: str | None = None) -> Result:
    outside = Outside(world.clock, secrets.token_bytes)
    typed = [*map(str, words), "--passphrase-file", str(world.folder / "pass")]
    return CliRunner().invoke(keys, typed, obj=outside, input=text)


def done(world: World, *words: str | Path) -> dict:
    result = run(world, *words, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout.splitlines()[-1])  # the relay of this process prints there too


def refused(world: World, *words: str | Path) -> Refusal:
    result = run(world, *words)
    assert isinstance(result.exception, Refusal), (result.output, result.exception)
    return result.exception
