"""What a member seals and signs by a directory of a day ago is accepted and opened, whoever rotated since (G16, K15)."""

import pytest
from sqlalchemy import select

from agent.rotation import DRAIN
from agent.tables import inbox
from schemas.directory import MAX_AGE
from schemas.keys import Use
from tests.agent.agencies import quiet
from tests.agent.test_directory_log import send
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def test_the_recipient_rotates_and_no_message_of_the_next_day_notices(world):
    """The sender's agent does not read the directory again, and seals to the key of before."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        rotated, sealed_to = world.now, set()
        ended = {row["kid"] for row in (await idvas.rotation.rotate([Use.PREKEY], dry_run=False))["revoke"]}
        sent = []
        for age in (0, MAX_AGE // 2, MAX_AGE):
            world.clock.now = rotated + age
            sealed_to.add(peacock.book.view().prekey(world.parties["IDVAS"].id, world.now).kid)
            sent.append(await send(peacock))
        assert sealed_to <= ended
        states = [(await peacock.showing.message(mid))["desks"][0]["state"] for mid in sent]
        assert states == ["queued"] * 3
        await idvas.book.refresh()
        await idvas.inbox.collect(0)
        rows = await idvas.store.run(lambda c: c.execute(select(inbox.c.mid, inbox.c.state)).all())
        assert {(row.mid, row.state) for row in rows} == {(mid, "opened") for mid in sent}
        async with world.session() as http:  # what no lawful view allows any more is to be sealed afresh
            world.clock.now = rotated + DRAIN[Use.PREKEY]
            answer = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
            assert answer.json()["code"] == "REVOKED_KEY"


async def test_what_its_own_new_key_signs_is_known_to_whoever_looked_a_day_ago(world):
    """A new message key signs only once no view of before decides anything."""
    async with world.relay(), quiet(world, "Peacock") as peacock:
        before, rotated = peacock.rotation._ring.msg.kid, world.now
        await peacock.rotation.rotate([Use.MSG], dry_run=False)
        for age, is_old in ((0, True), (MAX_AGE - 1, True), (MAX_AGE, False)):
            world.clock.now = rotated + age
            peacock.rotation.look()
            assert (peacock.rotation._ring.msg.kid == before) is is_old, age
