"""Another basis in place of an agreement that was withdrawn before (row 17): at the gate, on release, on taking back."""

import pytest

from tests.broker.leads import header_of, notices, one, post_override
from tests.broker.test_agreements import agree, resting, said
from tests.broker.test_log import opened
from tests.simulated_world import AGREED, World

SWITCHED = {**AGREED, "b6": "6f", "why_no": "B"}


def decisions(facts: list) -> list[tuple[str, bool]]:
    """What the relay's record says of each message that went: whether row 17 decided, and whether it knew why."""
    went = [one["decision"] for one in facts if one is not None and one["event"] == "accept"]
    return [(17 in decided["rows"], decided["known"]["switched"]) for decided in went]


@pytest.mark.usefixtures("people")
async def test_the_record_of_a_release_says_that_the_basis_was_switched(world: World, people, relay, http):
    """The lead lets it go knowingly, and whoever reads the log later sees that she did."""
    grant, status = await agree(world, http, "IDVAS")
    assert await said(world, http, "Peacock", "withdraw", world.withdrawal("Peacock", grant)) == (
        "recorded",
        None,
    )
    world.clock.advance(1)
    sealed = resting(world, grant, status, law={**SWITCHED, "why_no": "G"})
    result = await one(world, http, sealed)
    assert (result["status"], result["code"]) == ("held", "GRANT")  # not why (C11)
    world.clock.advance(3600)
    signed, record = people.override(header_of(sealed))
    assert await post_override(world, http, signed, record) == ("recorded", None)
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 1
    assert decisions(await opened(world, http, "oversight", inside=False)) == [(True, True)]


@pytest.mark.parametrize(("before", "stopped"), [(1, 1), (0, 0)])
async def test_what_was_written_on_another_basis_after_the_stop_is_taken_back(
    world: World, http, before, stopped
):
    """The sender's own stop was signed first and posted second: the message did not rest on anything honest."""
    grant, status = await agree(world, http, "IDVAS")
    gone = world.withdrawal("Peacock", grant)
    world.clock.advance(before)
    red = resting(world, grant, status, law=SWITCHED, rag="RED")
    assert (await one(world, http, red))["status"] == "accepted"
    (result,) = (await world.post_statements(http, "Peacock", ("withdraw", gone))).json()["results"]
    assert (result["status"], result["stopped"]) == ("recorded", stopped)
    assert len((await world.mailbox(http, "IDVAS")).head.items) == 1 - stopped
    for party in ("Peacock", "IDVAS"):
        assert ("withdrawn" in await notices(world, http, party)) == bool(stopped)
