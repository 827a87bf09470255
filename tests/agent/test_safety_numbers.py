"""Safety numbers of two agencies (K10): the same from either side, marked by a role, and never changed unseen."""

import secrets

import pytest
from sqlalchemy import event

from agent.own import Compared
from schemas.chain import Chain
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.safety import inception_hash, pair_number
from tests.agent.agencies import quiet, running
from tests.agent.test_directory_log import chain_of, send, state
from tests.simulated_world import World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


def test_it_has_sixty_digits_and_no_sides():
    one, other, third = (secrets.token_bytes(32) for _ in range(3))
    number = pair_number(one, other)
    assert number == pair_number(other, one)
    assert [len(group) for group in number.split(" ")] == [5] * 12
    assert number.replace(" ", "").isdigit()
    assert len({number, pair_number(one, third), pair_number(other, third)}) == 3
    for wrong in ((one, one), (one[:20], other)):
        with pytest.raises(ValueError, match="32 bytes"):
            pair_number(*wrong)


def test_every_bit_of_both_counts():
    one, other = bytes(32), bytes(31) + b"\1"
    numbers = {pair_number(one, other)}
    for bit in range(1, 256):
        numbers.add(pair_number((1 << bit).to_bytes(32, "big"), other))
    assert len(numbers) == 256


async def test_both_agencies_see_the_same_one_and_each_pair_its_own(world):
    async with world.relay(), quiet(world, "Peacock") as one, quiet(world, "IDVAS") as other:
        mine = await one.office.own.number("IDVAS")
        assert mine["number"] == (await other.office.own.number("peacock"))["number"]
        assert mine["number"] != (await one.office.own.number("Harbour"))["number"]
        assert (mine["compared"], mine["agency"]) == (None, world.parties["IDVAS"].id)
        for unknown in ("Peacock", "nobody"):
            with pytest.raises(Refusal, match="UNKNOWN_AGENCY"):
                await one.office.own.number(unknown)


async def test_it_is_of_the_founding_statements_as_they_were_published_whatever_key_speaks_now(world):
    """Worked out here from the statements themselves; the agent is not to read one of them again for it."""
    founded = {
        said["agency"]: inception_hash(said["body"])
        for signed in world.statements
        if (said := signed.peek())["op"] == "inception"
    }
    number = pair_number(*(founded[world.parties[name].id] for name in ("Peacock", "IDVAS")))
    asked = list[str]()

    def listen(c) -> None:
        event.listen(c.engine, "before_cursor_execute", lambda *words: asked.append(words[2]))

    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.book.refresh()
        await agent.store.run(listen)
        assert (await agent.office.own.number("IDVAS"))["number"] == number
        await state(world, "IDVAS", chain_of(world, "IDVAS").rotate_op(SigningKey(bytes(32)), world.now))
        await agent.book.refresh()
        asked.clear()
        assert (await agent.office.own.number("IDVAS"))["number"] == number
    assert [one for one in asked if "verified" in one]
    assert not [one for one in asked if "statements" in one]


async def test_it_is_marked_by_a_role_once_it_was_heard_right(world):
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            number = (await agent.office.own.number("IDVAS"))["number"]
            wrong = number[:-1] + ("1" if number[-1] != "1" else "2")
            with pytest.raises(Refusal, match="FINGERPRINT"):
                await agent.office.own.compared(
                    Compared(agency="IDVAS", number=wrong, who="lead", how="voice")
                )
            assert (await agent.office.own.number("IDVAS"))["compared"] is None
            said = Compared(agency="IDVAS", number=number.replace(" ", "-"), who="lead", how="voice")
            marked = await agent.office.own.compared(said)
            assert marked["compared"] == {"who": "lead", "how": "voice", "ts": world.now}
        async with quiet(world, "Peacock") as agent:
            assert (await agent.office.own.number("IDVAS"))["compared"]["who"] == "lead"


async def test_the_face_gives_it_and_takes_the_mark(world):
    async with world.relay(), running(world, "Peacock") as caller:
        await caller.agent.book.refresh()
        found = await caller.ok("GET", "/v1/safety-numbers/IDVAS")
        mark = {"agency": "IDVAS", "number": found["number"], "who": "lead", "how": "meeting"}
        assert (await caller.ok("POST", "/v1/safety-numbers", mark))["compared"]["how"] == "meeting"
        status, _ = await caller.ask("POST", "/v1/safety-numbers", {**mark, "who": "Jane Doe"})
        assert status == 422


async def test_another_agency_under_a_compared_name_is_not_sent_to_until_it_was_compared_too(world):
    async with world.relay(), world.session() as http, quiet(world, "Peacock") as agent:
        own = agent.office.own
        number = (await own.number("IDVAS"))["number"]
        await own.compared(Compared(agency="IDVAS", number=number, who="lead", how="voice"))
        await send(agent)  # to the one that was compared
        await renamed(world, http, "IDVAS", "Old IDVAS")
        await renamed(world, http, "Harbour", "IDVAS")
        await agent.book.refresh()
        (found,) = await own.strangers()
        assert (found["agency"], found["name"]) == (world.parties["Harbour"].id, "IDVAS")
        with pytest.raises(Refusal, match="SAFETY_NUMBER"):
            await send(agent)
        number = (await own.number("IDVAS"))["number"]
        await own.compared(Compared(agency="IDVAS", number=number, who="lead", how="voice"))
        assert await own.strangers() == []
        await send(agent)


async def renamed(world, http, party, name):
    """Oversight gives an agency another name."""
    admin = world.parties["oversight"].admin
    mine, it = world.directory.agencies[admin.agency], world.directory.agencies[world.parties[party].id]
    chain = Chain(admin.agency, admin.op, mine.seq, mine.head)
    body = {
        "member": it.id, "name": name, "desks": list(it.desks), "flags": it.flags.model_dump(), "sector": it.sector,
    }  # fmt: skip
    said = chain.state("admit", body, world.now)
    answer = await world.post_statements(http, "oversight", ("directory", said))
    assert answer.json()["results"][0]["status"] == "recorded", answer.body
    world.take(said)
