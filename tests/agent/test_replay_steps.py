"""A long replay of the directory says how far it is: an agent that starts for the first time does not seem to hang."""

import pytest
from structlog.testing import capture_logs

from agent import arriving
from agent.arriving import Steps
from tests.agent.agencies import eventually, running
from tests.simulated_world import World


def counts(size: int, page: int) -> list[int]:
    with capture_logs() as lines:
        steps = Steps("directory-replayed")
        for done in range(page, size + 1, page):
            steps(done, size)
    assert {line["size"] for line in lines} <= {size}
    return [line["count"] for line in lines]


def test_a_long_way_has_about_ten_lines_that_only_grow():
    said = counts(112_500, 500)
    assert 9 <= len(said) <= 11
    assert said == sorted(set(said))
    assert said[-1] > 0.8 * 112_500


def test_a_short_way_has_none():
    assert counts(arriving.LONG, 100) == []


async def test_an_agent_says_it_at_its_first_start(tmp_path, monkeypatch: pytest.MonkeyPatch):
    world = World.again(tmp_path, "Peacock", "IDVAS")
    monkeypatch.setattr(arriving, "LONG", 5)
    with capture_logs() as lines:
        async with world.relay(), running(world, "Peacock") as peacock:

            async def fresh():
                return (await peacock.ok("GET", "/v1/status"))["directory_fresh"]

            await eventually(fresh)
    said = [(line["count"], line["size"]) for line in lines if line["event"] == "directory-replayed"]
    assert said == [(len(world.statements),) * 2]
