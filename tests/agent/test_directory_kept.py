"""The view that is kept for the next start: it gives what all statements give, or all of them are replayed."""

import json
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, func, select, text, update

from agent import directory_kept
from agent.arriving import reading, unseen
from agent.directory_kept import HEAD, Loaded, keep, load
from agent.directory_tables import kept_view, statements
from agent.store import Store, read_kv, write_kv
from agent.tables import kv
from schemas.checkpoint import Checkpoint
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.keys import OpeningKey, Use
from tests.agent.agencies import quiet
from tests.agent.test_directory_log import DAY, ROUND, chain_of, new_prekey, state
from tests.simulated_world import World
from tests.tools.vector_world import ALDER, OVERSIGHT, STATEMENTS

EARLY = 12


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Statements, and a view kept of the first of them."""
    opened = await Store.open(tmp_path / "agent.db", bytes(32), create=True)
    view = Directory(OVERSIGHT.id)
    await believed(opened, view, 0, EARLY)
    await believed(opened, view, EARLY, len(STATEMENTS), keeping=False)
    yield opened
    await opened.close()


async def believed(store: Store, view: Directory, start: int, end: int, *, keeping: bool = True) -> None:
    async with reading(store, ALDER.id) as new:
        await new.take(view, STATEMENTS[start:end])
    await store.run(new.believe)
    if keeping:
        await store.run(lambda c: keep(c, view, new.prekeys))


def whole() -> tuple[Directory, dict[str, int]]:
    view, places = Directory(OVERSIGHT.id), dict[str, int]()
    for at, signed in enumerate(STATEMENTS):
        said = view.apply(signed)
        if said.op == "add-key" and said.body["use"] == "prekey":
            places[view.agencies[said.agency].prekeys[-1]] = at
    return view, places


async def loaded(store: Store, head: Checkpoint | None = None) -> tuple[Loaded, list[int]]:
    told = list[int]()
    found = await load(store, OVERSIGHT.id, head, lambda done, _of: told.append(done))
    view, places = whole()
    assert (found.view.agencies, found.view.frontier, found.prekeys) == (view.agencies, view.frontier, places)
    assert found.view.said == view.said
    return found, told


async def test_a_start_replays_only_what_came_after_the_kept_view(store: Store):
    # The rows before it are not even read: these could not be replayed.
    junk = update(statements).where(statements.c.n < EARLY - 1).values(text="{}")
    await store.run(lambda c: c.execute(junk).close())
    found, told = await loaded(store)
    assert found.kept == EARLY
    assert told[0] > EARLY


async def test_without_a_kept_view_everything_is_replayed(store: Store):
    await store.run(lambda c: c.execute(delete(kept_view)).close())
    await store.run(lambda c: c.execute(text("delete from kv where name = :n"), {"n": HEAD}).close())
    assert (await loaded(store))[0].kept == 0


async def test_a_release_that_is_installed_meanwhile_did_not_make_what_is_kept(
    store: Store, tmp_path, monkeypatch
):
    text = tmp_path / "rules.py"
    text.write_text("the release that runs")
    monkeypatch.setattr("agent.directory_kept.schemas.__file__", str(text))
    directory_kept.rules.cache_clear()
    await store.run(lambda c: c.execute(delete(kv).where(kv.c.name == HEAD)).close())
    found, _ = await loaded(store)
    text.write_text("the next release")
    await store.run(lambda c: keep(c, found.view, found.prekeys))
    directory_kept.rules.cache_clear()  # as when it starts
    try:
        assert (await loaded(store))[0].kept == 0
    finally:
        directory_kept.rules.cache_clear()


def flipped(c: Connection) -> None:
    row = c.execute(select(kept_view).where(kept_view.c.n == 2)).one()
    part = bytes([row.part[0] ^ 1]) + row.part[1:]
    c.execute(update(kept_view).where(kept_view.c.n == 2).values(part=part))


def shorter(c: Connection) -> None:
    last = select(func.max(kept_view.c.n)).scalar_subquery()
    c.execute(delete(kept_view).where(kept_view.c.n == last))


def empty(c: Connection) -> None:
    c.execute(delete(kept_view))


def other(name: str, value: object) -> Callable[[Connection], None]:
    def change(c: Connection) -> None:
        head = json.loads(read_kv(c, HEAD) or "")
        write_kv(c, HEAD, json.dumps({**head, name: value}))

    return change


def head_is(value: str) -> Callable[[Connection], None]:
    return lambda c: write_kv(c, HEAD, value)


def of_another_directory(c: Connection) -> None:
    keep(c, Directory("ag1" + "a" * 32), {})


def of_other_statements(c: Connection) -> None:
    """Whole in itself, but its last statement is not the one in that place here."""
    view = Directory(OVERSIGHT.id)
    for signed in STATEMENTS[: EARLY - 1]:
        view.apply(signed)
    view.frontier = replace(view.frontier, size=EARLY)
    keep(c, view, {})


def ahead(c: Connection) -> None:
    """The statements ended before it."""
    view = whole()[0]
    view.frontier = replace(view.frontier, size=view.size + 1)
    keep(c, view, {})


DAMAGE = {
    "a byte of a part": flipped,
    "a part is missing": shorter,
    "all parts are missing": empty,
    "other rules made it": other("rules", "A" * 43),
    "another size": other("size", EARLY + 1),
    "another hash": other("digest", "A" * 43),
    "something that nobody wrote": other("more", 1),
    "a torn head": head_is('{"rules": "'),
    "a head of another kind": head_is("[]"),
    "another directory's": of_another_directory,
    "other statements'": of_other_statements,
    "further than the statements": ahead,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
async def test_at_any_doubt_everything_is_replayed(store: Store, damage: Callable[[Connection], None]):
    await store.run(damage)
    found, told = await loaded(store)
    assert found.kept == 0
    assert told[-1] == len(STATEMENTS)


async def test_a_kept_view_that_does_not_come_to_the_believed_root_is_dropped(store: Store):
    head = Checkpoint("relay.example/keys", len(STATEMENTS), secrets.token_bytes(32))
    assert (await loaded(store, head))[0].kept == 0
    right = replace(head, root=whole()[0].frontier.root())
    assert (await loaded(store, right))[0].kept == EARLY


async def test_a_statement_after_it_that_does_not_follow_is_refused_as_ever(store: Store):
    """It is not the kept view that is at fault then: the statements themselves do not replay."""
    await store.run(lambda c: c.execute(delete(statements).where(statements.c.n == EARLY)).close())
    with pytest.raises(Refusal, match=r"DIRECTORY|UNKNOWN_AGENCY|KEY"):
        await load(store, OVERSIGHT.id, None, unseen)


async def test_what_a_kill_breaks_off_leaves_the_view_that_was_kept_before(store: Store):
    def broken_off(c: Connection) -> None:
        keep(c, whole()[0], {})
        raise Refusal("DISK_FULL")

    with pytest.raises(Refusal, match="DISK_FULL"):
        await store.run(broken_off)
    assert (await loaded(store))[0].kept == EARLY


async def test_a_byte_changed_on_the_disk_is_noticed_and_gives_no_view(tmp_path: Path):
    """SQLCipher's word for it ends the connection: such a store is restored, not read on."""
    path = tmp_path / "agent.db"
    first = await Store.open(path, bytes(32), create=True)
    await believed(first, Directory(OVERSIGHT.id), 0, len(STATEMENTS))
    asked = "select rootpage from sqlite_master where name = 'kept_view'"
    page = int(await first.run(lambda c: c.execute(text(asked)).scalar_one()))
    await first.empty_log()
    await first.close()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 + 100] ^= 1
    path.write_bytes(data)
    again = await Store.open(path, bytes(32))
    try:
        with pytest.raises(Refusal, match="STORE"):
            await load(again, OVERSIGHT.id, None, unseen)
    finally:
        await again.close()


# --- in an agent


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """A view is kept after every statement, not after thousands."""
    monkeypatch.setattr(directory_kept, "EVERY", 1)


async def size_of_kept(store: Store) -> int:
    kept = await store.run(lambda c: read_kv(c, HEAD))
    return int(json.loads(kept)["size"]) if kept else 0


async def test_a_small_directory_is_replayed(world: World):
    async with world.relay(), quiet(world, "Peacock") as agent:
        assert agent.book.latest.size == world.directory.size
        assert await size_of_kept(agent.store) == 0


@pytest.mark.usefixtures("eager")
async def test_an_agent_starts_where_it_was_and_never_goes_back(world: World):
    async with world.relay():
        for _ in range(3):
            async with quiet(world, "Peacock") as agent:
                await new_prekey(world)
                await agent.book.refresh()
                size = agent.book.latest.size
                assert size == await size_of_kept(agent.store) == world.directory.size
    async with quiet(world, "Peacock") as agent:  # no relay answers: what it knows is what it kept
        assert agent.book.latest.size == size
        assert agent.book.latest.frontier == world.directory.frontier
        assert agent.book.latest.agencies == world.directory.agencies


@pytest.mark.usefixtures("eager")
async def test_what_no_quorum_covered_yet_is_known_from_the_kept_view_too(world: World):
    theirs = world.parties["IDVAS"].id
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            await agent.watch.round()
            before = agent.book.view().prekey(theirs, world.now).kid
            world.clock.advance(ROUND)
            new = await new_prekey(world)
            await agent.book.refresh()
            assert await size_of_kept(agent.store) == world.directory.size
        async with quiet(world, "Peacock") as agent:
            assert agent.book.view().prekey(theirs, world.now).kid == before
            await agent.watch.round()
            assert agent.book.view().prekey(theirs, world.now).kid == new


@pytest.mark.usefixtures("eager")
async def test_a_doubtful_view_is_replaced_by_the_replay_and_kept_anew(world: World):
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            await agent.store.run(flipped)
        async with quiet(world, "Peacock") as agent:
            assert agent.book.latest.agencies == world.directory.agencies
            found = await load(agent.store, agent.book.latest.oversight, None, unseen)
            assert found.kept == world.directory.size


@pytest.mark.usefixtures("eager")
async def test_where_the_view_cannot_be_kept_the_statements_are(world: World):
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            await agent.store.run(lambda c: c.execute(text("drop table kept_view")).close())
            key = OpeningKey(secrets.token_bytes(32)).public
            chain = chain_of(world, "IDVAS")
            await state(world, "IDVAS", chain.add_key(Use.PREKEY, key, world.now, world.now + DAY, world.now))
            await agent.book.refresh()
            assert agent.book.latest.size == world.directory.size
        async with quiet(world, "Peacock") as agent:
            assert agent.book.latest.size == world.directory.size
