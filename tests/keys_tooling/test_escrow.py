"""An agency that leaves puts its officer's key into the partnership's keeping: years later three pages open its log."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from keys_tooling.audit.openings import Journal
from keys_tooling.console import World as Outside
from keys_tooling.keys_main import keys
from schemas.errors import Refusal
from schemas.opening import open_record, record_key
from schemas.record import SealedRecord
from schemas.unsealing import read_opened
from tests.keys_tooling.admin_place import write_folder
from tests.keys_tooling.officer_place import Place
from tests.keys_tooling.policy_place import write_secret
from tests.keys_tooling.test_handover import accepted, send
from tests.simulated_world import PASSPHRASE, World

YEAR = 365 * 24 * 3600
NEW = b"four other words of a test"
WHY = ("--reason", "court_order", "--offline", "--words", "the court asked, two of us were there")


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World.again(tmp_path, "Peacock", "IDVAS")
    write_folder(found, "Peacock")
    write_secret(tmp_path / "pass", PASSPHRASE + b"\n")
    write_secret(tmp_path / "new-pass", NEW + b"\n")
    return found


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Any]:
    async with world.relay() as running:
        yield running


async def type_keys(world: World, *words: str | Path) -> dict[str, Any]:
    import asyncio
    import secrets

    line = [*map(str, words), "--json"]
    if words[0] != "restore":
        line += ["--passphrase-file", str(world.folder / "pass")]
    outside = Outside(world.clock, secrets.token_bytes)
    done = await asyncio.to_thread(CliRunner().invoke, keys, line, obj=outside)
    if isinstance(done.exception, Refusal):
        raise done.exception
    assert done.exit_code == 0, (done.output, done.exception)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


async def put_away(world: World, officer: Place) -> tuple[Path, list[Path]]:
    """What oversight is given, a locked key and the rest of the folder, and the pages of the five; hers is gone."""
    kept, pages = world.folder / "escrow", world.folder / "pages"
    assert (await officer.type("pull")).exit == 0
    await type_keys(
        world, "backup", "--dir", officer.folder, "--file", "officer.fpk", "--out", kept / "officer.fpb", "--shares", pages,
        "--shares-only", "--demonstration-cost",
    )  # fmt: skip
    shutil.copytree(officer.folder, kept / "folder")
    (kept / "folder" / "officer.fpk").unlink()
    shutil.rmtree(officer.folder)
    return kept, sorted(pages.iterdir())


async def brought_back(world: World, kept: Path, pages: list[Path]) -> Place:
    shares = [word for page in pages for word in ("--share-file", page)]
    await type_keys(
        world, "restore", kept / "officer.fpb", "--dir", kept / "folder", *shares, "--new-passphrase-file",
        world.folder / "new-pass", "--demonstration-cost",
    )  # fmt: skip
    (kept / "folder" / "passphrase").write_bytes(NEW + b"\n")
    return Place(world, kept / "folder")


async def test_three_of_five_open_what_the_agency_could_read_years_after_it_is_gone(
    world: World, tmp_path: Path
):
    place = ("agency", "leave", "--dir", world.folder / "Peacock", "--yes")
    async with world.relay():
        await send(world, 3)
        officer = Place.make(world, tmp_path / "officer", "Peacock")
        assert (await officer.type("pull")).exit == 0
        before = accepted((await officer.type("read", "--json")).json())
        assert len(before) == 3
        await type_keys(world, *place, "--stops", "now")
        kept, pages = await put_away(world, officer)
        await type_keys(world, *place, "--finish")
    world.clock.advance(5 * YEAR)
    with pytest.raises(Refusal, match="SHARE"):
        await brought_back(world, kept, pages[:2])
    assert not (kept / "folder" / "officer.fpk").exists()
    opened = await brought_back(world, kept, pages[1:4])
    assert (await opened.type("verify", passphrase=False)).exit == 0
    typed = await opened.type("read", "--json", *WHY)
    assert typed.refusal is None, typed.refusal.say
    assert accepted(typed.json()) == before
    assert "openings.jsonl" in typed.err
    (one,) = (kept for kept in Journal(opened.folder).kept() if kept.state == "made")
    for party in ("Peacock", "oversight"):  # sealed to the officers who stood last
        record = SealedRecord.parse(one.record)
        said = read_opened(
            open_record(record, record_key(record, [world.parties[party].officer.ig]), one.oid)
        )
        assert (said.words, said.offline) == (WHY[-1], True)


async def test_what_is_opened_in_the_name_of_an_agency_that_left_can_be_told_to_nobody_and_so_needs_words(
    world: World, relay: Any, tmp_path: Path
):
    place = ("agency", "leave", "--dir", world.folder / "Peacock", "--yes")
    await send(world, 1)
    officer = Place.make(world, tmp_path / "officer", "Peacock")
    await type_keys(world, *place, "--stops", "now")
    kept, pages = await put_away(world, officer)
    await type_keys(world, *place, "--finish")
    world.clock.advance(7200)
    opened = await brought_back(world, kept, pages[:3])
    told = await opened.type("read", "--json")
    assert told.refusal is not None  # its keys have ended: the relay hears nothing in their name any more
    assert '"entries"' not in told.out
    wordless = await opened.type("read", "--json", *WHY[:3])
    assert wordless.refusal is not None
    assert wordless.refusal.code == "NOT_ALLOWED"
    assert len(accepted((await opened.type("read", "--json", *WHY)).json())) == 1


async def test_a_member_whose_officers_keys_ended_opens_nothing_offline(world: World, tmp_path: Path):
    async with world.relay():
        await send(world, 1)
        officer = Place.make(world, tmp_path / "officer", "Peacock")
        assert (await officer.type("pull")).exit == 0
    world.clock.advance(5 * YEAR)
    found = await officer.type("read", "--json", *WHY)
    assert found.refusal is not None
    assert found.refusal.code == "OFFICERS"
