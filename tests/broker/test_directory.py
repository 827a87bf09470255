"""The directory at the relay: who may say what, and how an agency learns of it."""

import pytest

from schemas import api
from schemas.canonical import decode
from schemas.chain import Chain
from schemas.checkpoint import note_hash, open_checkpoint
from schemas.directory import Directory
from schemas.keys import SigningKey, Use
from schemas.signing import Purpose, Signed
from tests.simulated_world import FLAGS, World

DAY = 24 * 3600


async def page(world: World, http, party: str, after: int = 0, key=None) -> api.DirectoryPage:
    answer = await world.call(http, party, "GET", api.DIRECTORY, f"after={after}", key=key)
    assert answer.status == 200, answer.body
    return api.DirectoryPage.model_validate_json(answer.body)


def replayed(world: World, found: api.DirectoryPage) -> Directory:
    view = Directory(world.founded.oversight.id)
    for signed in found.statements:
        view.apply(Signed.from_json(signed.model_dump()))
    return view


def checked(world: World, found: api.DirectoryPage, view: Directory) -> None:
    key = world.founded.partnership.keys_log_key
    head = open_checkpoint(found.checkpoint, key)
    assert (head.size, head.root) == (view.size, view.frontier.root())
    fresh = Signed.from_json(found.fresh.model_dump())
    said = decode(fresh.verified(key.public, Purpose.FRESH), 1000)
    assert said == {"note": note_hash(found.checkpoint), "ts": world.now, "v": 1}


async def codes(world: World, http, party: str, *statements: Signed) -> list[str | None]:
    answer = await world.post_statements(http, party, *(("directory", signed) for signed in statements))
    return [result["code"] or result["status"] for result in answer.json()["results"]]


def chain_of(world: World, name: str) -> Chain:
    admin = world.parties[name].admin
    return Chain(admin.agency, admin.op, admin.seq, admin.head)


async def test_a_page_replays_to_the_signed_root_for_agents_and_officers(world: World, http):
    for key in (None, world.parties["IDVAS"].officer.auth):
        found = await page(world, http, "IDVAS", key=key)
        checked(world, found, replayed(world, found))
    rest = await page(world, http, "IDVAS", after=found.size - 2)
    assert rest.statements == found.statements[-2:]
    assert (await page(world, http, "IDVAS", after=found.size + 9)).statements == ()


async def test_oversight_enrols_an_agency_over_http(world: World, relay, http):
    statements = world.join("Newcomer")
    size = relay.relay.log.size
    assert await codes(world, http, "oversight", *statements) == ["recorded"] * len(statements)
    assert relay.relay.log.size == size + len(statements)
    for signed in statements:
        world.take(signed)
    found = await page(world, http, "Newcomer")
    checked(world, found, replayed(world, found))
    assert (await world.post_envelopes(http, "Newcomer", world.seal("Newcomer", "IDVAS"))).status == 200
    assert await codes(world, http, "oversight", *statements[:3]) == ["repeat"] * 3


async def test_nobody_speaks_for_another_agency(world: World, http):
    statements = world.join("Newcomer")
    assert set(await codes(world, http, "Peacock", *statements)) == {"NOT_ALLOWED"}
    key = SigningKey(bytes(range(32)))
    add = chain_of(world, "IDVAS").add_key(Use.MSG, key.public, world.now, world.now + DAY, world.now)
    assert await codes(world, http, "Peacock", add) == ["NOT_ALLOWED"]


async def test_only_oversight_admits(world: World, http):
    admit = chain_of(world, "Peacock").admit(
        world.parties["IDVAS"].id, "Renamed", ("intake",), FLAGS, world.now
    )
    assert await codes(world, http, "Peacock", admit) == ["NOT_ALLOWED"]


@pytest.mark.parametrize(("late", "said"), [(-301, "CLOCK"), (301, "CLOCK"), (-299, "recorded")])
async def test_a_statement_is_dated_by_the_relays_clock(world: World, http, late: int, said: str):
    """By its date everybody tells later what an agency was in law when a message went (K14)."""
    world.clock.advance(DAY)
    admit = chain_of(world, "oversight").admit(
        world.parties["IDVAS"].id, "IDVAS", ("intake",), FLAGS, world.now + late, "police"
    )
    assert await codes(world, http, "oversight", admit) == [said]


async def test_a_statement_that_does_not_follow_changes_nothing(world: World, http):
    chain, key = chain_of(world, "Peacock"), SigningKey(bytes(range(32)))
    before = (await page(world, http, "Peacock")).size
    first = chain.add_key(Use.MSG, key.public, world.now, world.now + DAY, world.now)
    second = chain.revoke(key.kid, "rotated", world.now, world.now)
    forged = Signed(first.text, second.signature)
    assert await codes(world, http, "Peacock", second) == ["DIRECTORY"]
    assert await codes(world, http, "Peacock", forged) == ["SIGNATURE"]
    assert (await page(world, http, "Peacock")).size == before
    assert await codes(world, http, "Peacock", first, second) == ["recorded", "recorded"]
    other = chain_of(world, "Peacock").revoke(
        world.parties["Peacock"].member.agent.msg.kid, "lost", 0, world.now
    )
    assert await codes(world, http, "Peacock", other) == ["DIRECTORY"]
    found = await page(world, http, "Peacock")
    checked(world, found, replayed(world, found))


async def test_a_new_key_signs_once_it_is_published(world: World, http):
    chain, key = chain_of(world, "Peacock"), SigningKey(bytes(range(32)))
    draft = world.draft("Peacock", "IDVAS")
    early = world.seal_draft("Peacock", draft, key)
    assert (await world.post_envelopes(http, "Peacock", early)).json()["code"] == "UNKNOWN_KEY"
    add = chain.add_key(Use.MSG, key.public, world.now, world.now + DAY, world.now)
    assert await codes(world, http, "Peacock", add) == ["recorded"]
    assert (await world.post_envelopes(http, "Peacock", early)).status == 200


async def test_a_directory_survives_a_restart(world: World):
    statements = world.join("Newcomer")
    async with world.relay(), world.session() as http:
        await codes(world, http, "oversight", *statements)
        before = await page(world, http, "IDVAS")
    async with world.relay(), world.session() as http:
        after = await page(world, http, "IDVAS")
    assert (after.statements, after.checkpoint) == (before.statements, before.checkpoint)
