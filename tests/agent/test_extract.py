"""The file for the IG officer: which messages belong to a case, and nothing that says who it is about (U9)."""

import json

import pytest

from agent.extract import Extracted
from agent.forms import TakeOn
from agent.statement import Review
from keys_tooling.audit.extract import read_extract
from tests.agent.agencies import quiet
from tests.agent.test_commands import process_of, type_in
from tests.agent.test_commands import world as world_of_the_wall  # noqa: F401 - a fixture
from tests.agent.test_statement import SECRET, give, send, told
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "DASS", sectors={"IDVAS": "idva"})


@pytest.fixture
async def both(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        yield peacock, idvas


async def extracted(agent, **form):
    answer = await agent.statements.extract(Extracted(**form))
    return read_extract(json.dumps(answer).encode(), answer["agency"])


async def test_it_names_the_messages_of_one_case_and_no_others(both):
    peacock, idvas = both
    mine = await send(peacock, gid=await give(peacock))
    other = await send(peacock, gid=await give(peacock), case_ref="case-78")
    await idvas.inbox.collect(0)
    [place] = [item["id"] for item in await idvas.showing.inbox() if item["mid"] == mine["mid"]]
    await idvas.office.take_on(place, TakeOn(role="idva", case_ref="their-9"))
    found = await extracted(peacock, case_ref="case-77")
    assert (found.sent, found.received) == ((mine["mid"],), ())
    assert (await extracted(peacock, case_ref="case-78")).sent == (other["mid"],)
    theirs = await extracted(idvas, case_ref="their-9")
    assert (theirs.sent, theirs.received) == ((), (mine["mid"],))
    assert found.subject != theirs.subject
    text = found.model_dump_json() + theirs.model_dump_json()
    assert not any(word in text for word in ("case-77", "their-9", "Robin", "Peterborough"))


async def test_it_says_what_the_person_was_told_and_who_looked_again(both, world):
    peacock, _ = both
    queued = await send(peacock, gid=await give(peacock), law={**SECRET, "told_by": world.now + 86400})
    await peacock.statements.review(Review(id=queued["id"], safe=False, role="lead"))
    await told(peacock)
    found = await extracted(peacock, case_ref="case-77")
    assert [(one.mid, one.safe, one.ts) for one in found.looked] == [(queued["mid"], False, world.now)]
    assert [(one.role, one.ts) for one in found.tellings] == [("worker", world.now)]
    assert (await extracted(peacock, case_ref="case-78")).tellings == ()


async def test_without_a_case_it_names_no_message(both):
    peacock, _ = both
    await send(peacock, gid=await give(peacock))
    await told(peacock)
    found = await extracted(peacock)
    assert (found.subject, found.sent, found.received, found.tellings) == (None, (), (), ())
    assert found.conflict_denials is None  # the agent does not note them


async def test_the_command_writes_a_private_file_and_overwrites_nothing(world_of_the_wall):  # noqa: F811
    world = world_of_the_wall
    async with world.relay():
        async with quiet(world, "Peacock") as peacock:
            home = peacock.settings.home
            queued = await send(peacock, gid=await give(peacock))
        async with process_of(home):
            asked = ("extract", "--dir", home, "--case-ref", "case-77", "--out", home / "extract.json")
            code, out, err = await type_in(*asked)
            assert (code, err) == (0, "")
            assert "1 messages sent" in out
            path = home / "extract.json"
            assert path.stat().st_mode & 0o777 == 0o600
            assert read_extract(path.read_bytes(), world.parties["Peacock"].id).sent == (queued["mid"],)
            code, _, err = await type_in(*asked)
            assert (code, err.split(":")[0]) == (1, "EXISTS")
