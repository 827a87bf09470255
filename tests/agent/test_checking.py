"""A long replay is checked by a process beside: it says what we would have said, and without it nothing is different."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from agent import arriving, checking
from agent.arriving import LONG, Arriving, reading, replay, size_of, unseen
from agent.client import Relay
from agent.store import Store
from schemas import api
from schemas.canonical import b64
from schemas.directory import Directory
from schemas.errors import Refusal
from schemas.hashing import framed
from schemas.keys import XWING, OpeningKey, Shape, Use
from schemas.signing import Check, Purpose, Signed
from schemas.verdicts import BROKEN, HELD, answered, packed, unpacked
from tests.agent.agencies import eventually, open_agent, quiet
from tests.simulated_world import World
from tests.tools.rotations import chain_of, named
from tests.tools.vector_world import ALDER, OVERSIGHT, STATEMENTS, T0

HERE = psutil.Process()
PAGE, PAGES = 6, 8
"""Far more pages than may be away at once."""


def statements() -> list[Signed]:
    """The vectors' world, and keys that Alder published after that."""
    chain = chain_of(ALDER)
    more = PAGE * PAGES - len(STATEMENTS)
    uses = ((Use.AUTH, named), (Use.PREKEY, lambda name: OpeningKey(named(name).seed())))
    return [
        *STATEMENTS,
        *(
            chain.add_key(use, make(f"key {n}").public, T0, T0 + 60, T0)  # type: ignore[operator]
            for n, (use, make) in ((n, uses[n % 2]) for n in range(more))
        ),
    ]


ALL = statements()


def forged(at: int) -> list[Signed]:
    """One signature is another statement's."""
    return [*ALL[:at], Signed(ALL[at].text, ALL[at - 1].signature), *ALL[at + 1 :]]


def misshapen(at: int, use: Use) -> list[Signed]:
    """One key, properly published, is no point of the curve, or has a coefficient beyond the modulus."""
    chain, kept = chain_of(ALDER), len(STATEMENTS)
    public = {Use.AUTH: bytes([1]) + bytes(31), Use.PREKEY: b"\xff" * 1216}[use]
    made = [
        chain.add_key(use, public, T0, T0 + 60, T0)
        if n == at
        else chain.add_key(Use.AUTH, named(f"key {n}").public, T0, T0 + 60, T0)
        for n in range(kept, len(ALL))
    ]
    return [*ALL[:kept], *made]


def pages(given: list[Signed]) -> list[list[Signed]]:
    return [given[at : at + PAGE] for at in range(0, len(given), PAGE)]


def checkers() -> list[psutil.Process]:
    found = []
    for child in HERE.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [child] * ("agent.checker" in child.cmdline())
    return found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(tmp_path / "agent.db", bytes(32), create=True)
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = HERE.children()  # such as the process that another test's commands are forked from
    yield
    assert [child for child in HERE.children() if child not in before] == []


async def read(
    store: Store, given: list[Signed], between: Callable[[int], None] = lambda _: None, to_come: int = LONG
) -> Arriving:
    """Read these to their end; `between` is told after each page how many there were."""
    view = Directory(OVERSIGHT.id)
    async with reading(store, ALDER.id, to_come) as new:
        for number, page in enumerate(pages(given), 1):
            await new.take(view, page)
            between(number)
    return new


async def read_slowly(store: Store, given: list[Signed]) -> Arriving:
    """As one whose pages are so large that the process keeps up: it makes every check."""
    view = Directory(OVERSIGHT.id)
    async with asyncio.timeout(60), reading(store, ALDER.id, LONG) as new:
        for page in pages(given):
            await new.take(view, page)
            while not all(away.said.done() for away in new._checks._away):
                await asyncio.sleep(0.001)
    return new


async def believed(store: Store, new: Arriving) -> Directory:
    await store.run(new.believe)
    view = Directory(OVERSIGHT.id)
    await replay(store, view, unseen)
    return view


def whole() -> Directory:
    view = Directory(OVERSIGHT.id)
    for signed in ALL:
        view.apply(signed)
    return view


async def check_all_is_read(store: Store, between: Callable[[int], None] = lambda _: None) -> None:
    view, expected = await believed(store, await read(store, ALL, between)), whole()
    assert (view.agencies, view.frontier) == (expected.agencies, expected.frontier)


async def check_refused(
    store: Store, given: list[Signed], code: str, between: Callable[[int], None] = lambda _: None
) -> None:
    with pytest.raises(Refusal) as refusal:
        await read(store, given, between)
    assert refusal.value.code == code
    assert await store.run(size_of) == 0


# --- what it says


async def test_a_long_replay_is_checked_beside_and_the_process_ends_with_it(store: Store):
    found = list[psutil.Process]()
    await check_all_is_read(store, lambda _: found.extend(checkers()))
    assert len(found) == PAGES  # one, and the same, at every page
    assert len({process.pid for process in found}) == 1
    assert not found[0].is_running()


@pytest.mark.parametrize("to_come", [0, LONG - 1])
async def test_a_short_one_starts_no_process(store: Store, to_come: int):
    found = list[psutil.Process]()
    await read(store, ALL, lambda _: found.extend(checkers()), to_come)
    assert found == []


PLACES = {
    "first page": 1,
    "middle": len(ALL) // 2,
    "first of the last page": len(ALL) - PAGE,
    "last statement": len(ALL) - 1,
}


@pytest.mark.parametrize("at", PLACES.values(), ids=PLACES)
async def test_one_forged_signature_among_many_pages_is_refused(store: Store, at: int):
    with pytest.raises(Refusal, match="SIGNATURE"):
        await read_slowly(store, forged(at))
    assert await store.run(size_of) == 0


@pytest.mark.parametrize(
    ("at", "use"),
    [(len(STATEMENTS), Use.AUTH), (len(ALL) - PAGE - 1, Use.PREKEY), (len(ALL) - 1, Use.PREKEY)],
)
async def test_one_key_that_is_none_is_refused(store: Store, at: int, use: Use):
    with pytest.raises(Refusal, match="KEY"):
        await read_slowly(store, misshapen(at, use))
    assert await store.run(size_of) == 0


async def test_what_the_process_checked_is_not_checked_here(store: Store, monkeypatch: pytest.MonkeyPatch):
    hold, here = Check.hold, list[bytes]()

    def held(check: Check) -> None:
        here.append(check.covered)
        hold(check)

    monkeypatch.setattr(Check, "hold", held)
    await read_slowly(store, ALL)
    assert len(here) == 4
    assert all(b'"op":"inception"' in covered for covered in here)


async def test_a_key_of_a_wrong_length_is_refused_at_once():
    """What it signs would be packed as if it were of the right one."""
    view, later = Directory(OVERSIGHT.id), list[Check | Shape]()
    for signed in STATEMENTS:
        view.apply(signed)
    with pytest.raises(Refusal, match="KEY"):
        view.apply(chain_of(ALDER).add_key(Use.AUTH, bytes(33), T0, T0 + 60, T0), later=later)


async def test_the_first_that_fails_is_the_one_that_is_told(store: Store):
    """A page that does not follow says less than the forged one before it."""
    given = forged(PAGE * 3)
    del given[PAGE * 4 + 1]
    await check_refused(store, given, "SIGNATURE")


# --- a process that does not do its work


def kill_at(number: int) -> Callable[[int], None]:
    def between(done: int) -> None:
        if done == number:
            (checker,) = checkers()
            checker.send_signal(signal.SIGKILL)

    return between


@pytest.mark.parametrize("number", [1, PAGES // 2, PAGES])
async def test_one_that_is_killed_is_done_without(store: Store, number: int):
    await check_all_is_read(store, kill_at(number))


@pytest.mark.parametrize("at", [PAGE, PAGE * 2, len(ALL) - 1], ids=["before", "then", "after"])
async def test_one_that_is_killed_hides_nothing(store: Store, at: int):
    await check_refused(store, forged(at), "SIGNATURE", kill_at(2))


BROKEN_ALL = """
import sys
read, say = sys.stdin.buffer.read, sys.stdout.buffer
while size := int.from_bytes(read(4), "big"):
    batch, count = read(size), 0
    while batch:
        batch, count = batch[4 + int.from_bytes(batch[:4], "big") :], count + 1
    say.write(count.to_bytes(4, "big") + bytes(count))
    say.flush()
"""
FIRST = PAGE * 2 - 2
"""The checks of the first page: of each statement its signature and its key, but for an inception."""
SIZE = f"\\000\\000\\000\\{FIRST:03o}"
PROGRAMS = {
    "ends at once": "exit 0",
    "repeats what it hears": "exec cat",
    "says too little": f"printf '{SIZE}\\001\\001'; exec head -c 200 >/dev/null",
    "answers another batch": "printf '\\000\\000\\000\\001\\001'; exec cat >/dev/null",
    "says neither yes nor no": f"printf '{SIZE}'; exec yes",
    "finds everything broken": f"exec {sys.executable} -c '{BROKEN_ALL}'",
    "says nothing": "exec sleep 600",
    "hears all and says nothing": "exec cat >/dev/null",
}


@pytest.fixture(params=PROGRAMS)
def another(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real process in the place of the checker."""
    script = tmp_path / "checker"
    script.write_text(f"#!/bin/sh\n{PROGRAMS[request.param]}\n")
    script.chmod(0o700)
    monkeypatch.setattr(checking.sys, "executable", str(script))
    monkeypatch.setattr(checking, "PATIENCE", 0.2 if "nothing" in request.param else 60.0)


@pytest.mark.usefixtures("another")
async def test_a_process_that_answers_wrongly_or_never_is_done_without(store: Store):
    await check_all_is_read(store)


@pytest.mark.usefixtures("another")
async def test_a_process_that_answers_wrongly_or_never_hides_nothing(store: Store):
    await check_refused(store, forged(len(ALL) // 2), "SIGNATURE")


async def test_one_that_cannot_be_started_is_done_without(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checking.sys, "executable", "/nonexistent/python")
    await check_refused(store, forged(PAGE), "SIGNATURE")
    await check_all_is_read(store)


async def test_one_processor_is_not_shared_with_a_second_process(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(checking, "PROCESSORS", 1)
    found = list[psutil.Process]()
    await check_all_is_read(store, lambda _: found.extend(checkers()))
    assert found == []


# --- its end


async def test_it_ends_when_the_reading_is_cancelled(store: Store):
    """As when an agent is stopped in the middle of it."""
    begun = asyncio.Event()

    async def stuck() -> None:
        view = Directory(OVERSIGHT.id)
        async with reading(store, ALDER.id, LONG) as new:
            (checker,) = checkers()
            checker.send_signal(signal.SIGSTOP)
            await new.take(view, pages(ALL)[0])
            begun.set()

    task = asyncio.create_task(stuck())
    await begun.wait()
    await asyncio.sleep(0.1)
    assert not task.done()  # it waits for what a stopped process will not say
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert checkers() == []
    assert await store.run(size_of) == 0


async def test_it_ends_with_whatever_else_goes_wrong(store: Store):
    with pytest.raises(ZeroDivisionError):
        await read(store, ALL, lambda done: done // 0)
    assert checkers() == []


AGENT = """
import sys, time
from agent.checking import Line
line = Line()
print(line._process.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_when_its_agent_is_killed():
    with subprocess.Popen([sys.executable, "-c", AGENT], stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        checker = psutil.Process(int(agent.stdout.readline()))
        agent.kill()
    psutil.wait_procs([checker], 60)
    assert not checker.is_running()


def test_it_outlives_the_signals_of_its_agents_end():
    good = Check.of(named("x").public, Purpose.DIRECTORY, b"a", named("x").sign_bytes(b"fenpost/v1/dir\x00a"))
    mixed = [good, good._replace(covered=b"b"), Shape(XWING, OpeningKey(bytes(32)).public), Shape(XWING, b"")]
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "agent.checker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write(framed(packed(mixed)))
            process.stdin.flush()
            assert process.stdout.read(8) == framed(HELD + BROKEN + HELD + BROKEN)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        process.stdin.close()
        assert process.wait(60) == 0


def test_a_mixed_batch_is_read_as_it_was_packed():
    mixed = [Check(bytes(32), b"covered", bytes(64)), Shape("ed25519", bytes(32)), Shape(XWING, bytes(1216))]
    assert unpacked(packed(mixed)) == mixed
    assert len(answered(packed(mixed))) == 3
    with pytest.raises(Refusal, match="FORM"):
        unpacked(framed(b"\x03" + bytes(200)))


# --- an agent


class Paged(Relay):
    """The line to the real relay, which gives a few statements at a time; one of them may be forged."""

    at: int | None = None
    until = 2**31

    async def directory(self, after: int) -> api.DirectoryPage:
        if after >= self.until:
            raise Refusal("RELAY_AWAY")
        page = await super().directory(after)
        given = list(page.statements[:10])
        if self.at is not None and after <= self.at < after + len(given):
            one = self.at - after
            given[one] = given[one].model_copy(update={"s": b64(bytes(64))})
        return page.model_copy(update={"statements": tuple(given)})


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Its directory counts as a large one."""
    monkeypatch.setattr(arriving, "LONG", 5)
    return World.again(tmp_path, "Peacock", "IDVAS")


async def test_an_agents_first_refresh_is_checked_beside_and_the_next_is_not(world: World):
    async with quiet(world, "Peacock", Paged) as agent, world.relay():
        found = list[int]()
        await agent.book.refresh(lambda *_: found.append(len(checkers())))
        assert agent.book.latest.size == len(world.statements)
        assert set(found) == {1}
        assert checkers() == []
        await agent.book.refresh(lambda *_: found.append(-len(checkers())))
        assert set(found) == {1}


@pytest.mark.parametrize("away", [False, True], ids=["goes on", "goes away"])
async def test_an_agent_believes_nothing_of_a_forged_directory(
    world: World, monkeypatch: pytest.MonkeyPatch, away: bool
):
    """Also from a relay that gives a forged page and then nothing more."""
    monkeypatch.setattr(Paged, "at", 14)
    monkeypatch.setattr(Paged, "until", 20 if away else 2**31)
    async with quiet(world, "Peacock", Paged) as agent, world.relay():
        with pytest.raises(Refusal) as refusal:
            await agent.book.refresh()
        assert refusal.value.code == "SIGNATURE"
        assert agent.trust.alarm is not None
        assert (agent.book.latest.size, await agent.store.run(size_of)) == (0, 0)


async def test_it_ends_when_its_agent_is_stopped(world: World):
    async with world.relay():
        agent = await open_agent(world, "Peacock", Paged)
        await agent.start()

        async def there() -> list[psutil.Process]:
            return checkers()

        (checker,) = await eventually(there)
        checker.send_signal(signal.SIGSTOP)
        await agent.close()
        assert checkers() == []
