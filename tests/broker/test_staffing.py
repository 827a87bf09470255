"""How many officers the policy asks for: nobody is admitted with fewer, and what goes on with fewer is said."""

import secrets

import aiohttp

from keys_tooling.ceremony import make_officer
from schemas.chain import Chain
from schemas.keyring import AdminKeys
from schemas.keys import Use
from tests.broker.leads import People, one
from tests.policy_world import next_policy, own_chain, publish
from tests.simulated_world import World

YEAR = 365 * 24 * 3600


async def asked(world: World, http, ig: int, lead: int) -> None:
    await publish(world, http, next_policy(world, officers={"ig": ig, "lead": lead}))
    chain = own_chain(world)
    world.parties["oversight"].admin = AdminKeys(chain.agency, chain.op, chain.seq, chain.head)


async def posted(world: World, http, *statements) -> list[str]:
    answer = await world.post_statements(http, "oversight", *(("directory", one) for one in statements))
    if answer.status != 200:
        return [answer.json()["code"]]
    return [result["code"] or result["status"] for result in answer.json()["results"]]


def another_officer(world: World, party: str):
    """The statement by which an agency publishes one more IG officer."""
    admin, (_, card) = world.parties[party].admin, make_officer(secrets.token_bytes, "ig-2")
    chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
    signed = chain.add_key(Use.IG, card.ig, world.now, world.now + YEAR, world.now, "ig-2")
    world.parties[party].admin = AdminKeys(chain.agency, chain.op, chain.seq, chain.head)
    return signed


async def figures(running) -> tuple[int, float]:
    """How many agencies are short, as the operator reads it in both places."""
    async with aiohttp.ClientSession(f"http://127.0.0.1:{running.admin_port}") as admin:
        async with admin.get("/readyz") as answer:
            ready = (await answer.json())["short_of_officers"]
        async with admin.get("/metrics") as answer:
            (line,) = [
                row
                for row in (await answer.text()).splitlines()
                if row.startswith("fenpost_agencies_short_of_officers ")
            ]
    return ready, float(line.split()[1])


async def test_an_agency_with_fewer_officers_than_the_policy_asks_for_is_not_admitted(
    world: World, relay, http
):
    await asked(world, http, 2, 0)
    *chain, admission = world.join("Lighthouse")
    assert await posted(world, http, *chain) == ["recorded"] * len(chain)
    assert await posted(world, http, admission) == ["OFFICERS"]
    assert await posted(world, http, another_officer(world, "Lighthouse")) == ["recorded"]
    assert await posted(world, http, admission) == ["recorded"]


async def test_with_as_many_as_it_asks_for_an_agency_is_admitted(world: World, relay, http):
    await asked(world, http, 1, 16)  # its leads come later, when it has roles
    chain = world.join("Lighthouse")
    assert await posted(world, http, *chain) == ["recorded"] * len(chain)


async def test_a_member_that_is_short_goes_on_and_the_operator_reads_how_many_are(
    world: World, people: People, relay, http
):
    await asked(world, http, 1, 0)
    assert await figures(relay) == (0, 0.0)
    await publish(world, http, next_policy(world, 3, officers={"ig": 1, "lead": 1}))
    assert await figures(relay) == (1, 1.0)  # Harbour; the others have a lead
    await publish(world, http, next_policy(world, 4, officers={"ig": 2, "lead": 1}))
    assert await figures(relay) == (3, 3.0)
    assert (await one(world, http, world.seal("Peacock", "IDVAS")))["status"] == "accepted"
    async with http.get("/readyz") as answer:  # which a stranger can ask
        assert "short_of_officers" not in await answer.json()
