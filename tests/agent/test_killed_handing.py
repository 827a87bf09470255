"""Killed while a file is being handed over: whether a case system has it, is not forgotten when its agreement ends."""

import asyncio
import json

import pytest
from sqlalchemy import select

from agent.forms import Give, Send
from agent.tables import inbox, recalls
from tests.agent.agencies import agreement, folder_of, form, quiet
from tests.agent.test_late_release import read
from tests.simulated_world import World


class Killed(BaseException):
    """The process is gone: nothing after it is done."""


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def sent(peacock):
    gid = (await peacock.agreements.give(read(Give, **agreement("IDVAS"))))["gid"]
    await peacock.posting.flush()
    await peacock.office.send(read(Send, **form("IDVAS", gid=gid)))
    await peacock.outbox.flush()
    return gid


async def dies_once_it_is_written(world, monkeypatch):
    """IDVAS's agent dies when its case system has the file, and its store has not heard of that."""
    async with quiet(world, "IDVAS", folders=True) as idvas:
        whole = idvas.folders.hand_over

        async def written(row):
            await whole(row)
            raise Killed

        monkeypatch.setattr(idvas.folders, "hand_over", written)
        monkeypatch.setattr("agent.handing.mark_handed", dies)
        with pytest.raises(Killed):
            await idvas.inbox.collect(0)
        monkeypatch.undo()


def dies(*_):
    raise Killed


async def test_what_lies_in_a_case_system_is_not_called_unseen_when_it_is_withdrawn(world, monkeypatch):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        gid = await sent(peacock)
        await dies_once_it_is_written(world, monkeypatch)
        await peacock.agreements.withdraw(gid)
        async with quiet(world, "IDVAS", folders=True) as idvas:
            await idvas.inbox.collect(0)
            await idvas.folders.tell_recalls()
            (row,) = await idvas.store.run(lambda c: c.execute(select(inbox)).all())
            owed = await idvas.store.run(lambda c: c.execute(select(recalls.c.text)).scalars().all())
        names = sorted(path.name for path in (folder_of(world, "IDVAS") / "IN").iterdir())
        assert names == [f"{row.id}.json", f"{row.id}.withdrawn.json"]
        assert row.handed is not None
        assert owed == [None]  # people say what became of it


async def test_it_is_handed_over_once_more_under_its_name_and_counts_as_seen(world, monkeypatch):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        await sent(peacock)
        await dies_once_it_is_written(world, monkeypatch)
        (file,) = (folder_of(world, "IDVAS") / "IN").iterdir()
        words = json.loads(file.read_text())
        file.unlink()  # the case system has read it
        async with quiet(world, "IDVAS", folders=True) as idvas:
            await idvas.inbox.resume()
            (row,) = await idvas.store.run(lambda c: c.execute(select(inbox)).all())
            assert row.handed is not None
            assert json.loads(file.read_text()) == words


async def test_an_agent_that_is_stopped_meanwhile_knows_it_too(world, monkeypatch):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        gid = await sent(peacock)
        async with quiet(world, "IDVAS", folders=True) as idvas:
            whole, begun = idvas.folders.hand_over, asyncio.Event()

            async def slow(row):
                await whole(row)
                begun.set()
                await asyncio.sleep(60)

            monkeypatch.setattr(idvas.folders, "hand_over", slow)
            task = asyncio.create_task(idvas.inbox.collect(0))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            monkeypatch.undo()
        await peacock.agreements.withdraw(gid)
        async with quiet(world, "IDVAS", folders=True) as idvas:
            await idvas.inbox.collect(0)
            (row,) = await idvas.store.run(lambda c: c.execute(select(inbox)).all())
            assert (row.handed is not None, row.withdrawn is not None) == (True, True)
