"""fenpost-keys rotate with a running agent: the running keys are its own to rotate, and it is asked to."""

import asyncio
import json
import secrets
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from schemas.keyfile import QUICK, lock
from tests.agent.agencies import Caller, eventually, folder_of, running
from tests.keys_tooling.admin_place import run
from tests.keys_tooling.policy_place import write_secret
from tests.simulated_world import PASSPHRASE, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Peacock's folder with its agent's settings and its administrator's key."""
    found = World.found(tmp_path, "Peacock", "IDVAS")
    admin = found.parties["Peacock"].admin
    data = lock(admin.to_json(), admin.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
    write_secret(folder_of(found, "Peacock") / "admin.fpk", data)
    write_secret(tmp_path / "pass", PASSPHRASE + b"\n")
    return found


async def typed(world: World, *words: str) -> tuple[Result, Any]:
    result = await asyncio.to_thread(
        run,
        world,
        "rotate",
        "--dir",
        world.folder / "Peacock",
        *words,
        "--yes",
        "--json",
        "--demonstration-cost",
    )
    assert result.exit_code == 0, (result.output, result.exception)
    return result, json.loads(result.stdout.splitlines()[-1])


async def running_keys(peacock: Caller) -> list[Any]:
    found: list[Any] = (await peacock.ok("GET", "/v1/keys/rotation"))["keys"]
    return found


async def test_everything_is_shown_first_and_then_rotated_by_whoever_holds_it(world: World):
    async with world.relay(), running(world, "Peacock") as peacock:
        before = {row["kid"] for row in await eventually(lambda: running_keys(peacock))}
        shown, plan = await typed(world, "--all", "--dry-run")
        uses = {row["use"] for row in plan["agent"]["publish"]}
        assert uses == {"msg", "auth", "consent", "prekey", "witness"}
        assert [one["op"] for one in plan["plan"]["publishes"]] == ["add-key", "revoke", "rotate-op"]
        assert "The agent will do this:" in shown.stderr
        assert {row["kid"] for row in await running_keys(peacock)} == before
        _, done = await typed(world, "--use", "msg", "--use", "auth")
        assert done["applied"] is True
        after = await running_keys(peacock)
        assert sorted(row["use"] for row in after if row["kid"] not in before) == ["auth", "msg"]
        assert all(row["held"] for row in after)
        _, done = await typed(world, "--use", "op", "--use", "renew")
        assert (done["applied"], done["posted"]) == (True, 3)
    assert list((world.folder / "Peacock").glob("renew-*.fpk"))


async def test_check_works_beside_a_running_agent_and_knows_what_it_has_renewed(world: World):
    """The agent's newer keys are in its store, not in agent.fpk: check asks it, and would miss them without it."""
    async with world.relay():
        async with running(world, "Peacock") as peacock:
            await eventually(lambda: running_keys(peacock))
            await typed(world, "--use", "msg", "--use", "auth")
            found = await checked(world)
            wrong = {one["name"] for one in found["checks"] if not one["ok"]}
            assert wrong <= {"memory"}, found  # core files are the test's own process's
            says = {one["name"]: one["say"] for one in found["checks"]}
            assert says["waiting"] == "0 messages wait to be sent."
            assert "0 messages wait for somebody" in says["to take on"]
            assert "msg" not in says.get("not looked at", "")
        without = {one["name"]: one["say"] for one in (await checked(world))["checks"]}
        assert "msg" in without["not looked at"]
        assert "No agent answers here" in without["waiting"]


async def checked(world: World) -> dict[str, Any]:
    result = await asyncio.to_thread(run, world, "check", "--dir", world.folder / "Peacock", "--json")
    return json.loads(result.stdout.splitlines()[-1])
