"""Pages of the directory between being read and being believed, and the replay of what was believed before."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from agent.arriving import Arriving, reading, replay, unseen
from agent.directory_tables import arriving, statements
from agent.store import Store
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keys import Use
from schemas.signing import Signed
from tests.tools.rotations import chain_of
from tests.tools.vector_world import ALDER, BIRCH, OVERSIGHT, STATEMENTS, T0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "agent.db", bytes(32), create=True)
    yield opened
    await opened.close()


async def places(store: Store) -> tuple[list[int], list[int]]:
    """Where there are statements that count, and others."""
    return await store.run(
        lambda c: (
            list(c.execute(select(statements.c.n)).scalars()),
            list(c.execute(select(arriving.c.n)).scalars()),
        )
    )


async def keep(store: Store, *pages: tuple[Signed, ...]) -> tuple[Directory, Arriving]:
    view = Directory(OVERSIGHT.id)
    async with reading(store, ALDER.id) as new:
        for page in pages:
            await new.take(view, page)
    return view, new


async def test_what_was_read_counts_once_it_is_believed(store: Store):
    view, new = await keep(store, STATEMENTS[:10], STATEMENTS[10:])
    everywhere = list(range(len(STATEMENTS)))
    assert await places(store) == ([], everywhere)
    await store.run(new.believe)
    assert await places(store) == (everywhere, [])
    assert new.count == view.size
    about = {one.statement.agency for one in new.ours}
    assert about == {ALDER.id, OVERSIGHT.id}  # its own chain, and oversight's word about it
    assert new.prekeys.keys() >= {ALDER.prekey.kid, BIRCH.prekey.kid}


async def test_what_a_kill_left_is_dropped_by_the_next(store: Store):
    await keep(store, STATEMENTS[:10])
    view, new = await keep(store, STATEMENTS[:4])
    assert await places(store) == ([], [0, 1, 2, 3])
    await store.run(new.believe)
    replayed = Directory(OVERSIGHT.id)
    await replay(store, replayed, unseen)
    assert (replayed.size, replayed.frontier) == (4, view.frontier)


async def test_a_page_that_does_not_follow_is_not_kept(store: Store):
    with pytest.raises(Refusal, match="DIRECTORY"):
        await keep(store, STATEMENTS[:5], STATEMENTS[6:])
    assert (await places(store))[0] == []


FORGED = Signed(STATEMENTS[9].text, STATEMENTS[8].signature)
BAD_KEY = chain_of(ALDER).add_key(Use.AUTH, bytes([1]) + bytes(31), T0, T0 + 60, T0)


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ((*STATEMENTS[:9], FORGED), "SIGNATURE"),
        ((*STATEMENTS[:9], FORGED, *STATEMENTS[10:]), "DIRECTORY|SIGNATURE"),
        ((*STATEMENTS, BAD_KEY), "KEY"),
    ],
)
async def test_checks_that_are_put_off_are_all_made(store: Store, page: tuple[Signed, ...], code: str):
    """Signatures of a page are checked together, and before anything of it is kept."""
    with pytest.raises(Refusal, match=code):
        await keep(store, page)
    assert await places(store) == ([], [])


@pytest.mark.parametrize("together", [1, 7, 500])
async def test_a_replay_gives_the_same_view_and_tells_how_far_it_is(store: Store, together: int):
    view, new = await keep(store, STATEMENTS)
    await store.run(new.believe)
    again, told = Directory(OVERSIGHT.id), list[tuple[int, int]]()
    found = await replay(store, again, lambda done, of: told.append((done, of)), together)
    assert (again.agencies, again.frontier) == (view.agencies, view.frontier)
    assert found == new.prekeys
    assert told == sorted(told)
    assert told[-1] == (view.size, view.size)


async def test_what_comes_later_is_added_to_what_is_believed(store: Store):
    """The first of all takes another way into the store than those after it."""
    view = Directory(OVERSIGHT.id)
    for start, end in ((0, 9), (9, 10), (10, len(STATEMENTS))):
        async with reading(store, ALDER.id) as new:
            await new.take(view, STATEMENTS[start:end])
        assert await places(store) == (list(range(start)), list(range(start, end)))
        await store.run(new.believe)
        assert await places(store) == (list(range(end)), [])
    again = Directory(OVERSIGHT.id)
    await replay(store, again, unseen)
    assert (again.agencies, again.frontier) == (view.agencies, view.frontier)


async def test_the_first_of_all_are_believed_whole_or_not_at_all(store: Store):
    _, new = await keep(store, STATEMENTS)

    def broken_off(c: Connection) -> None:
        new.believe(c)
        raise Refusal("DISK_FULL")

    with pytest.raises(Refusal, match="DISK_FULL"):
        await store.run(broken_off)
    assert await places(store) == ([], list(range(len(STATEMENTS))))
    await store.run(new.believe)
    assert await places(store) == (list(range(len(STATEMENTS))), [])


async def room(store: Store, more: int) -> None:
    """Let the store grow by so many pages."""
    pages = await store.run(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    await store.run(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages + more}").close())


@pytest.mark.parametrize("more", [0, 3, 6])
async def test_what_could_not_be_kept_is_refused_although_the_next_page_was_taken_meanwhile(
    store: Store, more: int
):
    await room(store, more)
    with pytest.raises(Refusal, match="DISK_FULL"):
        await keep(store, *(STATEMENTS[at : at + 9] for at in range(0, len(STATEMENTS), 9)))
    await room(store, 1000)
    _, new = await keep(store, STATEMENTS)
    await store.run(new.believe)
    assert (await places(store))[0] == list(range(len(STATEMENTS)))


async def test_a_page_that_does_not_follow_is_told_before_a_full_disk(store: Store):
    await room(store, 0)
    with pytest.raises(Refusal, match="DIRECTORY"):
        await keep(store, STATEMENTS[:9], STATEMENTS[10:])
