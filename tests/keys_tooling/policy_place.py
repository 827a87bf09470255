"""A simulated partnership as files and a relay that runs: what tests of `fenpost-keys policy` type against."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

from click.testing import CliRunner, Result

from keys_tooling.console import World as Outside
from keys_tooling.keys_main import keys
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.policing import SignedPolicy
from tests.simulated_world import PASSPHRASE, World


@contextlib.contextmanager
def served(world: World) -> Iterator[None]:
    """The world's relay, in a thread with a loop of its own: the commands have theirs."""
    up, down, faults = threading.Event(), threading.Event(), []

    async def serve() -> None:
        async with world.relay():
            up.set()
            while not down.is_set():
                await asyncio.sleep(0.01)

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as fault:
            faults.append(fault)
            up.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert up.wait(60)
        assert not faults
        yield
    finally:
        down.set()
        thread.join()


def write_secret(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    path.chmod(0o600)


def made(tmp_path: Path) -> World:
    """A partnership whose oversight's folder is `P`, as partnership init writes it."""
    found = World.again(tmp_path, "Peacock", "IDVAS")
    folder, own = tmp_path / "P", found.parties["oversight"]
    folder.mkdir(mode=0o700)
    (folder / "partnership.json").write_bytes(found.founded.partnership.to_bytes())
    for name, held in (
        ("admin.fpk", own.admin),
        ("agent.fpk", own.member.agent),
        *((f"{signer.person}.fpk", signer) for signer in found.founded.signers),
    ):
        write_secret(folder / name, lock(held.to_json(), held.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))
    write_secret(tmp_path / "pass", PASSPHRASE + b"\n")
    return found


def run(world: World, *words: str | Path, text: str | None = None) -> Result:
    """A command, in the world's folder of files: names that end in .json, .fpk or .jsonl stand there."""
    at = world.folder
    said = [str(at / "P" / word) if str(word).endswith(".fpk") else str(word) for word in words]
    said = [str(at / word) if word.endswith((".json", ".jsonl")) else word for word in said]
    said = [str(at / "P") if word == "P" else word for word in said]
    outside = Outside(world.clock, secrets.token_bytes)
    return CliRunner().invoke(
        keys, ["policy", *said, "--passphrase-file", str(at / "pass")], obj=outside, input=text
    )


def done(world: World, *words: str | Path) -> Result:
    result = run(world, *words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def told(world: World, *words: str | Path) -> dict:
    return json.loads(done(world, *words, "--json").stdout)


def refused(world: World, *words: str | Path) -> str:
    result = run(world, *words)
    assert isinstance(result.exception, Refusal), (result.output, result.exception)
    return result.exception.code


def edit(world: World, name: str, **changes: object) -> None:
    path = world.folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def put(world: World, name: str, policy: SignedPolicy) -> None:
    (world.folder / name).write_bytes(policy.to_bytes())
