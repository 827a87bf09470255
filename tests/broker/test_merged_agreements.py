"""An agency is merged into another: what a person agreed to with the old one covers nothing with the new one (K23, C4)."""

import pytest

from tests.broker.test_directory import DAY, codes
from tests.broker.test_key_statements import chain
from tests.simulated_world import World


async def agreed(world: World, http, *others: str) -> dict:
    """An agreement of Peacock's with these, at the relay; what a message that rests on it is sealed with."""
    grant = world.grant("Peacock", *others)
    status = world.status("Peacock", grant)
    answer = await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
    assert {one["status"] for one in answer.json()["results"]} == {"recorded"}
    return {"grant": grant, "status": status}


@pytest.mark.parametrize("moved", [True, False])
async def test_the_successor_gets_nothing_on_the_old_ones_agreement(world: World, http, moved: bool):
    rests = await agreed(world, http, "IDVAS")
    if moved:
        was, now = (world.parties[name].id for name in ("IDVAS", "Harbour"))
        said = chain(world, "oversight").alias(was, now, world.now + 300 * DAY, world.now)
        assert await codes(world, http, "oversight", said) == ["recorded"]
    old = (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS", **rests))).json()
    new = (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "Harbour", **rests))).json()
    told = [one.get("code") or one["results"][0]["status"] for one in (old, new)]
    assert told == (["MOVED", "GRANT"] if moved else ["accepted", "GRANT"])


async def test_a_new_agreement_with_the_successor_covers_it(world: World, http):
    was, now = (world.parties[name].id for name in ("IDVAS", "Harbour"))
    said = chain(world, "oversight").alias(was, now, world.now + 300 * DAY, world.now)
    assert await codes(world, http, "oversight", said) == ["recorded"]
    rests = await agreed(world, http, "Harbour")
    answer = (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "Harbour", **rests))).json()
    assert answer["results"][0]["status"] == "accepted"
