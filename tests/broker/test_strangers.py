"""Strangers who ask the public pages without end are slowed down, and nobody else is with them."""

import asyncio

import aiohttp

from schemas import api
from tests.simulated_world import World


async def exhausted(world: World, http: aiohttp.ClientSession, port: int) -> None:
    """Ask as a stranger until the relay says that strangers have asked enough."""
    headers = {"Host": world.founded.partnership.charter.authority}
    for _ in range(400):
        url = f"http://127.0.0.1:{port}{api.CONSISTENCY}?old=0&new=0"
        async with http.get(url, headers=headers) as answer:
            if answer.status == 429:
                return
    raise AssertionError("a stranger may ask without end")


async def test_an_agent_asks_how_two_heads_fit_together_while_strangers_ask_without_end(world: World):
    async with world.relay(public_rate=1.0) as relay, world.session() as http:
        await exhausted(world, http, relay.port)
        for path in (api.CONSISTENCY, api.KEYS_CONSISTENCY):
            answer = await world.call(http, "Peacock", "GET", path, "old=0&new=0")
            assert answer.status == 200, (path, answer.json())
        assert (await world.call(http, "Peacock", "GET", api.CHECKPOINT)).status == 200


async def test_a_signature_that_does_not_hold_asks_as_a_stranger(world: World):
    async with world.relay(public_rate=1.0) as relay, world.session() as http:
        await exhausted(world, http, relay.port)
        headers = {
            "Host": world.founded.partnership.charter.authority,
            "Signature-Input": "sig1=()",
            "Signature": "sig1=::",
        }
        url = f"http://127.0.0.1:{relay.port}{api.CONSISTENCY}?old=0&new=0"
        async with http.get(url, headers=headers) as answer:
            assert answer.status == 429
        await asyncio.sleep(1.1)  # a second's worth of the strangers' own allowance
        async with http.get(url, headers=headers) as answer:
            assert answer.status == 200


async def test_an_agency_that_asks_without_end_is_slowed_down_alone(world: World):
    async with world.relay(agency_rate=1.0, agency_burst=3.0) as relay, world.session() as http:
        codes = [
            (await world.call(http, "Peacock", "GET", api.CONSISTENCY, "old=0&new=0")).status
            for _ in range(6)
        ]
        assert codes[0] == 200
        assert codes[-1] == 429
        other = await world.call(http, "IDVAS", "GET", api.CONSISTENCY, "old=0&new=0")
        assert other.status == 200
        assert relay.port
