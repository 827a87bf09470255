"""`fenpost-keys rotate --all` with a running agent: afterwards no key of before stands alone, and everything fits."""

import json
from pathlib import Path
from typing import Any

import pytest

from keys_tooling import own_side
from schemas.keys import RUNNING
from tests.agent.agencies import eventually, running
from tests.keys_tooling.admin_place import done, made, run
from tests.keys_tooling.policy_place import served
from tests.keys_tooling.test_killed_changes import held
from tests.keys_tooling.test_rotating_agent import checked, running_keys, typed, world  # noqa: F401 - a fixture
from tests.simulated_world import World


async def test_every_key_is_exchanged_and_everything_fits(world: World):  # noqa: F811
    folder = world.folder / "Peacock"
    op = held(folder).op.kid
    async with world.relay(), running(world, "Peacock") as peacock:
        before = {row["kid"] for row in await eventually(lambda: running_keys(peacock))}
        _, said = await typed(world, "--all")
        assert said["applied"] is True
        assert held(folder).op.kid != op
        await peacock.agent.book.refresh()  # the command wrote after the agent had
        assert (peacock.agent.book.doubt(), await peacock.agent.book.own_statements()) == (
            None,
            [],
        )  # it was told
        rows: list[Any] = await running_keys(peacock)
        fresh = {row["use"] for row in rows if row["kid"] not in before and row["held"]}
        assert fresh == set(map(str, RUNNING))
        ending = [row for row in rows if row["kid"] in before]
        assert ending
        assert [row["use"] for row in ending if row["revoked"] is None] == []
        assert list(folder.glob("renew-*.fpk"))
        found = await checked(world)
        wrong = {one["name"] for one in found["checks"] if not one["ok"]}
        assert wrong <= {"memory"}, found  # core files are the test's own process's


# --- when a key ends, and how far a long directory is read


@pytest.mark.parametrize(("since", "at"), [("2026-11-01T00:00Z", 1793491200), ("now", None)])
def test_a_key_is_ended_from_the_day_that_is_said(tmp_path: Path, since: str, at: int | None):
    found = made(tmp_path, "Peacock")
    words = (
        "revoke",
        "--dir",
        found.folder / "Peacock",
        "--use",
        "msg",
        "--reason",
        "compromised",
        "--since",
        since,
    )
    with served(found):
        said = done(found, *words, "--yes")["plan"]["publishes"]
        assert {(one["body"]["since"], one["body"]["reason"]) for one in said} == {
            (at or found.now, "compromised")
        }
        refused = run(found, *words[:-1], "yesterday", "--yes")
        assert refused.exit_code != 0


def test_a_long_directory_says_how_far_it_is_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = made(tmp_path, "Peacock")
    words = ("revoke", "--dir", found.folder / "Peacock", "--use", "msg", "--reason", "rotated", "--dry-run")
    with served(found):
        assert "are checked" not in run(found, *words).stderr
        monkeypatch.setattr(own_side, "LONG", 5)
        shown = run(found, *words, "--json")
    size = len(found.statements)
    assert f"{size} of {size} statements of the directory are checked" in shown.stderr
    assert (
        json.loads(shown.stdout.splitlines()[-1])["applied"] is False
    )  # and nothing of it is in what programs read
