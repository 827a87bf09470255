"""Drop folders: what is taken, what is refused, and that the only copy is never lost (G7)."""

import json
import os
import resource
import shutil

import pytest
import pytest_asyncio
from sqlalchemy import delete, select

from agent.folders import make_folders, write_whole
from agent.forms import Give
from agent.tables import inbox, outbox, sealings
from schemas.errors import Refusal
from tests.agent.agencies import MESSAGE, agreement, form, quiet
from tests.simulated_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory):
    world = World.found(tmp_path_factory.mktemp("folders"), "Peacock", "IDVAS")
    async with world.relay(), quiet(world, "Peacock", folders=True) as opened:
        yield opened


@pytest.fixture
async def agent(shared):
    """One agent with a relay; its folders and its outbox are emptied for each test."""
    for name in ("OUT", "SENT", "FAILED", "IN"):
        shutil.rmtree(folder(shared, name))
    make_folders(shared.settings.home)
    await shared.store.run(lambda c: [c.execute(delete(table)).close() for table in (sealings, outbox)])
    shared.folders._settle = 0.0
    return shared


async def give(agent):
    return (await agent.agreements.give(Give.model_validate_json(json.dumps(agreement("IDVAS")))))["gid"]


def folder(agent, name):
    return agent.settings.home / name


def drop(agent, data, name="referral-1.json", age=5.0, world=None):
    path = folder(agent, "OUT") / name
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    now = agent._clock()
    os.utime(path, (now - age, now - age))
    return path


def names(agent, name):
    return sorted(path.name for path in folder(agent, name).iterdir())


async def count(agent, table):
    return len(await agent.store.run(lambda c: c.execute(select(table)).all()))


async def test_a_dropped_message_is_queued_and_its_words_leave_out(agent):
    drop(agent, form("IDVAS", gid=await give(agent)))
    assert await agent.folders.scan() == 1
    assert names(agent, "OUT") == []
    assert names(agent, "SENT") == ["referral-1.receipt.json"]
    receipt = json.loads((folder(agent, "SENT") / "referral-1.receipt.json").read_text())
    assert receipt["state"] == "queued here"
    assert await count(agent, outbox) == 1


async def test_the_receipt_holds_nothing_of_the_message(agent):
    drop(agent, form("IDVAS", gid=await give(agent)))
    await agent.folders.scan()
    text = (folder(agent, "SENT") / "referral-1.receipt.json").read_text()
    for value in (
        MESSAGE["ask"],
        MESSAGE["person"]["known_as"],
        MESSAGE["rag_why"],
        "case-77",
        "07700900123",
    ):
        assert value not in text


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "FORM"),
        (b"{", "FORM"),
        (b'{"kind":"referral.universal"', "FORM"),
        (b"\xff\xfe\x00", "FORM"),
        (b"[1,2]", "FORM"),
        (b'{"kind":"referral.universal","payload":{},"extra":1}', "FORM"),
        (b'{"kind":"referral.universal","payload":{},"payload":{}}', "FORM"),
        (b'{"do":"take-on","id":"x"}', "FORM"),
        (b'{"do":"take-on","id":"x","role":"idva"}', "NOT_FOUND"),
        (b'{"do":"burn","id":"x","role":"idva"}', "FORM"),
        (b" " * (1024 * 1024 + 1), "TOO_BIG"),
        (json.dumps(form("Nobody")).encode(), "UNKNOWN_AGENCY"),
        (json.dumps(form("IDVAS")).encode(), "REASON"),
    ],
)
async def test_what_cannot_be_sent_is_kept_with_its_reason(agent, data, code):
    drop(agent, data)
    await agent.folders.scan()
    assert names(agent, "OUT") == []
    assert names(agent, "FAILED") == ["referral-1.json", "referral-1.reason.json"]
    assert (folder(agent, "FAILED") / "referral-1.json").read_bytes() == data
    reason = json.loads((folder(agent, "FAILED") / "referral-1.reason.json").read_text())
    assert reason["say"]
    if code != "REASON":
        assert reason["code"] == code
    assert await count(agent, outbox) == 0


async def test_a_reason_never_repeats_what_was_written(agent):
    drop(agent, {**form("IDVAS"), "Robin Canary": "Canary Street"})
    await agent.folders.scan()
    assert "anary" not in (folder(agent, "FAILED") / "referral-1.reason.json").read_text()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b'{"kind": "referral.universal",\n "payload": ', "line 2, character 13"),
        (b'{"do":"take-on","id":"x"}', "a role takes on, a reason rejects"),
    ],
)
async def test_a_reason_says_where_to_look(agent, data, says):
    drop(agent, data)
    await agent.folders.scan()
    reason = json.loads((folder(agent, "FAILED") / "referral-1.reason.json").read_text())
    assert reason["code"] == "FORM"
    assert says in reason["say"]


async def test_a_link_is_refused_and_what_it_points_at_is_untouched(agent, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(form("IDVAS", gid=await give(agent))))
    link = folder(agent, "OUT") / "link.json"
    link.symlink_to(secret)
    os.utime(link, (0, 0), follow_symlinks=False)
    await agent.folders.scan()
    assert names(agent, "OUT") == []
    assert (folder(agent, "FAILED") / "link.json").is_symlink()
    assert secret.exists()
    assert await count(agent, outbox) == 0


async def test_a_second_name_of_a_file_is_refused(agent, tmp_path):
    path = drop(agent, form("IDVAS", gid=await give(agent)))
    os.link(path, tmp_path / "kept.json")
    await agent.folders.scan()
    assert names(agent, "FAILED") == ["referral-1.json", "referral-1.reason.json"]
    assert (tmp_path / "kept.json").exists()


async def test_a_pipe_is_refused_without_waiting_on_it(agent):
    path = folder(agent, "OUT") / "pipe.json"
    os.mkfifo(path)
    os.utime(path, (0, 0))
    await agent.folders.scan()
    assert names(agent, "FAILED") == ["pipe.json", "pipe.reason.json"]


async def test_a_folder_in_out_is_left_alone(agent):
    (folder(agent, "OUT") / "more.json").mkdir()
    os.utime(folder(agent, "OUT") / "more.json", (0, 0))
    assert await agent.folders.scan() == 0
    assert names(agent, "OUT") == ["more.json"]


@pytest.mark.parametrize("name", ["a.json.part", ".hidden.json", "notes.txt", "a.part"])
async def test_what_is_being_written_is_left_alone(agent, name):
    drop(agent, b"{", name=name)
    assert await agent.folders.scan() == 0
    assert names(agent, "OUT") == [name]


async def test_a_file_that_was_just_touched_is_left_to_settle(agent):
    agent.folders._settle = 2.0
    path = drop(agent, form("IDVAS", gid=await give(agent)), age=0.5)
    assert await agent.folders.scan() == 0
    os.utime(path, (agent._clock() - 3, agent._clock() - 3))
    assert await agent.folders.scan() == 1


@pytest.mark.parametrize(
    "name", ["a b.json", "caf\u00e9.json", "-x.json", "a\u202ej.json", "x" * 90 + ".json"]
)
async def test_a_name_that_does_not_show_is_refused(agent, name):
    drop(agent, form("IDVAS", gid=await give(agent)), name=name)
    await agent.folders.scan()
    reasons = [n for n in names(agent, "FAILED") if n.endswith(".reason.json")]
    assert len(reasons) == 1
    assert await count(agent, outbox) == 0


async def test_what_is_written_is_there_whole_or_not_at_all(tmp_path):
    """A disk that is full half-way leaves the file as it was, and nothing that a case system would take."""
    path, limit = tmp_path / "item.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    write_whole(path, {"words": "the first"})
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        for name in ("item.json", "another.json"):
            with pytest.raises(Refusal, match="DISK_FULL"):
                write_whole(tmp_path / name, {"words": "x" * 10_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert json.loads(path.read_text()) == {"words": "the first"}
    assert [one.name for one in tmp_path.iterdir() if not one.name.startswith(".")] == ["item.json"]


async def test_two_failures_of_one_name_are_both_kept(agent):
    for data in (b"{", b"["):
        drop(agent, data)
        await agent.folders.scan()
    assert [n for n in names(agent, "FAILED") if "reason" not in n] == [
        "referral-1.json",
        "referral-1~2.json",
    ]


async def test_a_crash_between_queueing_and_removing_sends_nothing_twice(agent):
    """The file is still in OUT after a restart: it is known, finished, and not sent again."""
    data = form("IDVAS", gid=await give(agent))
    path = drop(agent, data)
    done = agent.folders._done
    agent.folders._done = lambda *_: None
    await agent.folders.scan()
    assert path.exists()
    agent.folders._done = done
    await agent.folders.scan()
    assert names(agent, "OUT") == []
    assert names(agent, "SENT") == ["referral-1.receipt.json"]
    assert await count(agent, outbox) == 1


async def test_the_same_words_dropped_again_are_a_new_message(agent):
    data = form("IDVAS", gid=await give(agent))
    for age in (5.0, 4.0):
        drop(agent, data, age=age)
        await agent.folders.scan()
    assert await count(agent, outbox) == 2


async def test_with_the_relay_away_a_file_waits_where_it_is(world):
    async with quiet(world, "Peacock", folders=True) as agent:
        drop(agent, form("IDVAS"))
        assert await agent.folders.scan() == 0
        assert names(agent, "OUT") == ["referral-1.json"]
        assert names(agent, "FAILED") == []


async def test_a_received_message_is_handed_over_whole_and_private(world):
    async with (
        world.relay(),
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS", folders=True) as idvas,
    ):
        await deliver(peacock, idvas)
        (name,) = names(idvas, "IN")
        path = folder(idvas, "IN") / name
        assert path.stat().st_mode & 0o777 == 0o600
        assert json.loads(path.read_text())["message"]["person"]["known_as"] == "Robin"
        row = (await idvas.store.run(lambda c: c.execute(select(inbox)).all()))[0]
        assert name == f"{row.id}.json"


async def test_what_a_case_system_took_away_does_not_come_again(world):
    """Not at the next round, and not after a restart."""
    async with world.relay(), quiet(world, "Peacock") as peacock:
        async with quiet(world, "IDVAS", folders=True) as idvas:
            await deliver(peacock, idvas)
            (name,) = names(idvas, "IN")
            (folder(idvas, "IN") / name).unlink()
            await idvas.inbox.resume()
            await idvas.inbox.collect(0)
            assert names(idvas, "IN") == []
        async with quiet(world, "IDVAS", folders=True) as idvas:
            await idvas.inbox.resume()
            await idvas.inbox.collect(0)
            assert names(idvas, "IN") == []


async def test_handing_over_again_writes_the_same_file(world):
    async with (
        world.relay(),
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS", folders=True) as idvas,
    ):
        await deliver(peacock, idvas)
        (name,) = names(idvas, "IN")
        before = (folder(idvas, "IN") / name).read_bytes()
        await idvas.store.run(lambda c: c.execute(inbox.update().values(handed=None)).close())
        await idvas.inbox.resume()
        assert names(idvas, "IN") == [name]
        assert (folder(idvas, "IN") / name).read_bytes() == before


async def test_a_case_system_takes_on_by_file(world):
    async with (
        world.relay(),
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS", folders=True) as idvas,
    ):
        await deliver(peacock, idvas)
        place = names(idvas, "IN")[0].removesuffix(".json")
        drop(idvas, {"do": "take-on", "id": place, "role": "idva"}, name="ends.json")
        await idvas.folders.scan()
        await idvas.receipts.flush()
        await peacock.inbox.collect(0)
        eid = (await peacock.store.run(lambda c: c.execute(select(sealings)).all()))[0].eid
        assert (await peacock.showing.message(eid))["desks"][0]["says"] == "taken on by idva"


async def test_a_withdrawal_after_handing_over_is_told_in_the_folder(world):
    async with (
        world.relay(),
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS", folders=True) as idvas,
    ):
        gid = await deliver(peacock, idvas)
        await peacock.agreements.withdraw(gid)
        await idvas.inbox.collect(0)
        await idvas.folders.tell_recalls()
        assert [n for n in names(idvas, "IN") if n.endswith(".withdrawn.json")]


async def deliver(peacock, idvas):
    from agent.forms import Send

    gid = await give(peacock)
    await peacock.office.send(Send.model_validate_json(json.dumps(form("IDVAS", gid=gid))))
    await peacock.outbox.flush()
    await idvas.inbox.collect(0)
    return gid
