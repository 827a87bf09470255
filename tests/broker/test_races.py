"""A few hundred races of withdrawal against fetch; `make storm` runs ten thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import races


async def test_nothing_is_released_to_a_fetch_that_began_after_the_withdrawal(tmp_path: Path) -> None:
    world, tally = races.found(tmp_path), races.Tally()
    with races.relay(world):
        async with races.session(world) as http:
            for _ in range(8):
                await races.fetch_races(world, http, races.BATCH, tally)
    assert tally.released_after == []
    assert tally.races == 8 * races.BATCH
    assert tally.before, "no fetch came before its withdrawal: these were no races"


async def test_long_polls_that_were_open_release_nothing_either(tmp_path: Path) -> None:
    world, tally = races.found(tmp_path), races.Tally()
    with races.relay(world):
        async with races.session(world) as http:
            for _ in range(4):
                await races.poll_races(world, http, races.BATCH, tally)
    assert tally.released_after == []
    assert tally.before, "no poll saw a message before its withdrawal: these were no races"


@pytest.mark.parametrize("end", [races.withdraw, races.narrow])
async def test_a_page_that_is_half_read_breaks_off(tmp_path: Path, end: races.Ending) -> None:
    world, tally = races.found(tmp_path), races.Tally()
    with races.relay(world):
        async with races.session(world) as http:
            await races.page_races(world, http, 64, tally, end)
    assert tally.released_after == []
