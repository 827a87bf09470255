"""Ten thousand races of withdrawal against fetch, long polls and half-read pages among them."""

from __future__ import annotations

from pathlib import Path

from tests import races

FETCHES, POLLS, PAGES = 240, 65, 12


async def test_ten_thousand_withdrawals_release_nothing_afterwards(tmp_path: Path) -> None:
    world, tally = races.found(tmp_path), races.Tally()
    with races.relay(world):
        async with races.session(world) as http:
            for _ in range(FETCHES):
                await races.fetch_races(world, http, races.BATCH, tally)
            for _ in range(POLLS):
                await races.poll_races(world, http, races.BATCH, tally)
            for _ in range(PAGES):
                await races.page_races(world, http, 64, tally)
    print(
        f"\n  {tally.races} withdrawals raced against {tally.fetches} fetches, {tally.before} times the fetch was first, "
        f"{len(tally.released_after)} released afterwards"
    )
    assert tally.released_after == []
    assert tally.races >= 10_000
    assert tally.before
