"""A message to as many agencies as a header names, and a lead's word for it: what the relay records of it can be read."""

from pathlib import Path

import pytest

from schemas.envelope import MAX_RECIPIENTS
from schemas.opening import open_record, record_key
from schemas.record import MAX_OFFICERS, SealedRecord
from tests.broker.leads import EMERGENCY, People, header_of, one, post_override, risky
from tests.broker.test_log import opened
from tests.simulated_world import World

OTHERS = tuple(f"Agency {number}" for number in range(MAX_RECIPIENTS))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path, "Peacock", *OTHERS)


@pytest.fixture
def people(world: World) -> People:
    return People.of(world, theirs=OTHERS[0])


async def test_what_is_recorded_of_the_most_recipients_can_be_read(world: World, people: People):
    async with world.relay(), world.session() as http:
        sealed = risky(world, *OTHERS, rag="RED", law=EMERGENCY)
        assert (await one(world, http, sealed))["status"] == "accepted"
        signed, record = people.override(header_of(sealed))
        assert await post_override(world, http, signed, record) == ("recorded", None)
        for party in ("Peacock", OTHERS[0], OTHERS[-1], "oversight"):
            read = [said["event"] for said in await opened(world, http, party, inside=False) if said]
            assert [event for event in read if event != "read"] == ["accept", "break-glass", "override"]


async def test_the_senders_own_record_is_for_every_one_of_their_officers(world: World):
    record = SealedRecord.parse(risky(world, *OTHERS, rag="RED", law=EMERGENCY).upload.record)
    assert MAX_RECIPIENTS + 2 == len(record.head.to) <= MAX_OFFICERS
    for party in ("Peacock", OTHERS[0], OTHERS[-1], "oversight"):
        officer = world.parties[party].officer
        facts = open_record(record, record_key(record, [officer.ig]), record.head.ctx)
        assert len(facts["to"]) == MAX_RECIPIENTS
