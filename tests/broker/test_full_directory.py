"""The relay's disk is full while keys are rotated: nothing of it counts, and the same statement is taken afterwards."""

import json
import secrets

from sqlalchemy import text

from schemas import api
from schemas.chain import Chain
from schemas.keys import LIFE, SigningKey, Use
from tests.broker.test_directory import codes, page, replayed
from tests.simulated_world import World


async def pages(relay, most: int | None) -> None:
    """Let the store have no more than this many pages; None for as many as it has."""
    async with relay.store.turn() as connection:
        now = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {most or now}"))


def rotation(world: World) -> tuple[SigningKey, list]:
    """A new operational key, and what it says first."""
    party, new = world.parties["Peacock"], SigningKey(secrets.token_bytes(32))
    chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
    said = [chain.rotate_op(new, world.now)]
    chain.op, auth = new, SigningKey(secrets.token_bytes(32))
    said.append(chain.add_key(Use.AUTH, auth.public, world.now, world.now + LIFE[Use.AUTH], world.now))
    return auth, said


async def test_a_rotation_that_finds_no_room_is_not_half_recorded(world: World):
    auth, said = rotation(world)
    body = json.dumps(
        {"statements": [{"kind": "directory", "signed": one.to_json()} for one in said]}
    ).encode()
    async with world.relay() as relay, world.session() as http:
        before = await page(world, http, "IDVAS")
        await pages(relay, None)
        for _ in range(4):
            answer = await world.call(http, "Peacock", "POST", api.STATEMENTS, body=body)
            assert (answer.status, answer.json()["code"]) == (507, "DISK_FULL")
        assert (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0", key=auth)).status == 401
        await pages(relay, 1_000_000)
        after = await page(world, http, "IDVAS")
        assert (after.size, after.checkpoint) == (before.size, before.checkpoint)
        assert await codes(world, http, "Peacock", *said) == ["recorded", "recorded"]
        assert (await world.call(http, "Peacock", "GET", api.DIRECTORY, "after=0", key=auth)).status == 200
    async with world.relay(), world.session() as http:
        found = await page(world, http, "IDVAS")
        assert found.size == before.size + 2
        assert replayed(world, found).agencies[world.parties["Peacock"].id].seq == said[-1].peek()["seq"]
