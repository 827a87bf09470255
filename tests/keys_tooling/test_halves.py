"""A long mirror opened by two processes reads as one opened by one, also when the second one dies."""

import os
from pathlib import Path

import pytest

from keys_tooling.audit import halves
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.read import Reading, opener, read
from tests.keys_tooling.mirrored import pull
from tests.keys_tooling.paper_relay import PaperRelay
from tests.simulated_world import World


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    return tmp_path


async def pulled(folder: Path) -> World:
    world = World.found(folder / "world", "Peacock", "IDVAS")
    relay = PaperRelay(world)
    for _ in range(40):
        relay.accept(world.seal("Peacock", "IDVAS"), "Peacock", "IDVAS")
        relay.fill(2, "IDVAS")
    await pull(relay, folder)
    return world


def reading(folder: Path, world: World) -> Reading:
    with open_mirror(folder, write=False) as mirror:
        return read(mirror, world.founded.partnership, world.parties["Peacock"].officer, lambda _at: None)


async def test_two_processes_read_what_one_does(folder: Path, monkeypatch: pytest.MonkeyPatch):
    world = await pulled(folder)
    alone = reading(folder, world)
    assert (len(alone.entries), alone.closed, alone.faulty) == (40, 80, False)
    monkeypatch.setattr(halves, "LEAST", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    together = reading(folder, world)
    assert (together.entries, together.closed) == (alone.entries, alone.closed)


async def test_where_the_other_process_dies_this_one_does_its_work(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    world = await pulled(folder)
    alone = reading(folder, world)
    monkeypatch.setattr(halves, "LEAST", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(halves, "TOGETHER", 7)
    own, run = os.getpid(), halves._run

    def dying(entries, work):
        for number, pair in enumerate(run(entries, work)):
            if number == 20 and os.getpid() != own:
                os._exit(9)
            yield pair

    monkeypatch.setattr(halves, "_run", dying)
    together = reading(folder, world)
    assert (together.entries, together.closed) == (alone.entries, alone.closed)


async def test_who_stops_early_leaves_no_process_behind(folder: Path, monkeypatch: pytest.MonkeyPatch):
    world = await pulled(folder)
    monkeypatch.setattr(halves, "LEAST", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with open_mirror(folder, write=False) as mirror:
        entries = opener(mirror, world.founded.partnership, world.parties["Peacock"].officer).opened()
        assert next(entries)[0] == 0
        entries.close()
    assert halves.multiprocessing.active_children() == []
