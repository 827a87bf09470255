"""Every running key is renewed on its day and not before, the witness key after two years too (PROTOCOL.md K1, G16)."""

import json
import secrets

import pytest

from agent.rotation import DAY, WEEK
from agent.unlocking import read_keys
from schemas import api, keyfile
from schemas.canonical import b64
from schemas.keyring import PREKEY_KEPT
from schemas.keys import LIFE, SigningKey, Use
from tests.agent.agencies import folder_of, open_agent, put, quiet
from tests.agent.test_directory_log import chain_of
from tests.simulated_world import PASSPHRASE, World


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def published(agent, use):
    mine = agent.book.latest.agencies[agent.rotation._ring.agency]
    return [key for key in mine.keys.values() if key.use is use]


def test_keys_live_as_long_as_the_protocol_says():
    days = {use: life // DAY for use, life in LIFE.items()}
    assert days == {
        Use.MSG: 90, Use.AUTH: 30, Use.CONSENT: 90, Use.PREKEY: 14, Use.WITNESS: 730, Use.IG: 365, Use.IG_AUTH: 365,
        Use.PERSON: 365, Use.POLICY: 730, Use.RENEW: 365,
    }  # fmt: skip
    assert (WEEK, PREKEY_KEPT) == (7 * DAY, 30 * DAY)


async def test_request_and_signing_keys_are_renewed_in_good_time_and_not_before(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        begin = min(key.nbf for key in published(agent, Use.MSG))
        for day, uses in ((20, (Use.AUTH,)), (60, (Use.MSG, Use.CONSENT))):
            before = {use: len(published(agent, use)) for use in uses}
            for at, more in ((begin + day * DAY - 1, 0), (begin + day * DAY, 1)):
                world.clock.now = at
                await agent.book.refresh()
                await agent.rotation.round()
                assert {use: len(published(agent, use)) - before[use] for use in uses} == dict.fromkeys(
                    uses, more
                )


async def test_the_witness_key_is_renewed_ninety_days_before_its_two_years_are_over(world):
    """A renew key lives for a year: the administrator hands over the next one meanwhile."""
    async with world.relay() as relay:
        async with quiet(world, "Peacock") as agent:
            old, renew = agent.rotation._ring.witness.kid, agent.rotation._ring.renew
            end = agent.book.latest.key(old, Use.WITNESS, world.now).exp
        for _ in range(2):
            world.clock.now += 300 * DAY
            renew = await handed_over(world, relay, renew)
        async with quiet(world, "Peacock") as agent:
            for at, is_new in ((end - 90 * DAY - 1, False), (end - 90 * DAY, True)):
                world.clock.now = at
                await agent.book.refresh()
                await agent.rotation.round()
                assert (agent.rotation._ring.witness.kid != old) is is_new, at
            await agent.watch.round()
            assert (
                agent.trust.watched.members[world.parties["Peacock"].id] == world.now
            )  # it cosigns with the new one


async def handed_over(world, relay, before):
    """The administrator publishes the next renew key and lays it beside the agent's, which starts anew; gives that key."""
    home, now, key = folder_of(world, "Peacock"), world.now, SigningKey(secrets.token_bytes(32))
    mine, chain = relay.relay.view.directory.agencies[world.parties["Peacock"].id], chain_of(world, "Peacock")
    chain.seq, chain.head = mine.seq, mine.head
    said = chain.add_key(Use.RENEW, key.public, now, now + LIFE[Use.RENEW], now)
    body = json.dumps({"statements": [{"kind": "directory", "signed": said.to_json()}]}).encode()
    async with world.session() as http:
        answer = await world.call(http, "Peacock", "POST", api.STATEMENTS, body=body, key=before)
    assert answer.json()["results"][0]["status"] == "recorded", answer.body
    held = {"agency": mine.id, "renew": b64(key.seed())}
    put(home / "renew-next.fpk", keyfile.lock(held, "renew", PASSPHRASE, keyfile.QUICK, secrets.token_bytes))
    agent = await open_agent(world, "Peacock")
    try:
        await agent.take_up(home / "agent.fpk", PASSPHRASE, read_keys(home / "agent.fpk", PASSPHRASE))
        await agent.book.refresh()
        await agent.rotation.round()
        assert agent.rotation._ring.renew.kid == key.kid
    finally:
        await agent.close()
    return key
