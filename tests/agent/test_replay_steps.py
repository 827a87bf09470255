"""A long replay of the directory says how far it is: an agent that starts for the first time does not seem to hang."""

from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from agent import arriving
from agent.arriving import Steps
from tests.agent.agencies import eventually, running
from tests.simulated_world import World


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is logged there, whatever level another test has set for its worker."""
    heard = LogCapture()
    everything = structlog.make_filtering_bound_logger(0)
    monkeypatch.setattr(
        arriving, "log", structlog.wrap_logger(None, processors=[heard], wrapper_class=everything)
    )
    return heard.entries


def counts(lines: list[Any], size: int, page: int) -> list[int]:
    steps = Steps("directory-replayed")
    for done in range(page, size + 1, page):
        steps(done, size)
    assert {line["size"] for line in lines} <= {size}
    return [line["count"] for line in lines]


def test_a_long_way_has_about_ten_lines_that_only_grow(lines: list[Any]):
    said = counts(lines, 112_500, 500)
    assert 9 <= len(said) <= 11
    assert said == sorted(set(said))
    assert said[-1] > 0.8 * 112_500


def test_a_short_way_has_none(lines: list[Any]):
    assert counts(lines, arriving.LONG, 100) == []


async def test_an_agent_says_it_at_its_first_start(
    tmp_path, lines: list[Any], monkeypatch: pytest.MonkeyPatch
):
    world = World.again(tmp_path, "Peacock", "IDVAS")
    monkeypatch.setattr(arriving, "LONG", 5)
    async with world.relay(), running(world, "Peacock") as peacock:

        async def fresh():
            return (await peacock.ok("GET", "/v1/status"))["directory_fresh"]

        await eventually(fresh)
    said = [(line["count"], line["size"]) for line in lines if line["event"] == "directory-replayed"]
    assert said == [(len(world.statements),) * 2]
