"""Officers and the real relay, over real HTTP: what happened there is proven and read here."""

import json
import secrets
import sqlite3
import time
from pathlib import Path

import pytest

from keys_tooling.audit import table
from keys_tooling.audit.headers import header_lines
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit.read import Reading, read
from keys_tooling.audit.verify import verify
from keys_tooling.policy_trial import read_past, try_out
from schemas.consent import decide
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.policy import Policy
from tests.keys_tooling.mirrored import pull_served
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path / "world", "Peacock", "IDVAS", "DASS")


def reading(world: World, folder: Path, officer: str) -> Reading:
    with open_mirror(folder, write=False) as mirror:
        assert verify(mirror, world.founded.partnership, lambda _at: None).whole
        return read(mirror, world.founded.partnership, world.parties[officer].officer, lambda _at: None)


async def play(world: World) -> None:
    """An agreement, a message on it that is taken on, one that is stopped by a withdrawal, one that is refused."""
    grant = world.grant("Peacock", "IDVAS")
    status = world.status("Peacock", grant)
    async with world.session() as http:
        await world.post_statements(http, "Peacock", ("grant", grant), ("status", status))
        first = world.seal("Peacock", "IDVAS", grant=grant, status=status)
        await world.post_envelopes(http, "Peacock", first)
        page = await world.mailbox(http, "IDVAS")
        for state in ("collected", "opened", "taken-on"):
            await world.post_receipts(http, "IDVAS", world.receipt("IDVAS", page.deliveries[0], state))
        world.clock.advance(61)
        second = world.seal("Peacock", "IDVAS", grant=grant, status=status)
        await world.post_envelopes(http, "Peacock", second)
        await world.post_statements(http, "IDVAS", ("withdraw", world.withdrawal("IDVAS", grant)))
        await world.post_envelopes(
            http, "Peacock", world.seal("Peacock", "IDVAS", grant=grant, status=status)
        )


async def test_an_officer_reads_the_whole_story_and_nothing_of_it_is_at_fault(world: World, tmp_path: Path):
    async with world.relay():
        await play(world)
        await pull_served(world, tmp_path / "ig", "Peacock")
    found = reading(world, tmp_path / "ig", "Peacock")
    assert [told.event for told in found.entries] == [
        "grant", "accept", "collected", "opened", "taken-on", "accept", "withdraw", "withdrawn", "refuse",
    ]  # fmt: skip
    assert [told.faults for told in found.entries] == [()] * 9
    entries = table.facts(found)["entries"]
    assert entries[1]["ref"]
    assert entries[1]["decision"]["outcome"] == "deliver"
    assert entries[8]["decision"]["outcome"] == "refuse"
    assert entries[8]["rows"]


async def test_the_headers_of_a_mirror_are_decided_again_as_the_relay_did(world: World, tmp_path: Path):
    async with world.relay():
        await play(world)
        await pull_served(world, tmp_path / "ig", "Peacock")
    found = reading(world, tmp_path / "ig", "Peacock")
    past = list(read_past(line.encode() for line in header_lines(found)))
    decided = [told.decision for told in found.entries if told.decision is not None]
    assert len(past) == len(decided) == 3
    policy = Policy.parse(world.founded.policy.text)
    for one, decision in zip(past, decided, strict=True):
        again = decide(one.facts(world.directory, policy))
        assert (again.code, list(again.rows)) == (decision.code, decision.rows)
    trial = try_out(past, world.directory, policy, policy)
    assert (trial.tried, trial.otherwise, trial.passed_over) == (3, 0, 0)


async def test_an_officer_of_an_agency_that_took_no_part_reads_nothing_of_it(world: World, tmp_path: Path):
    async with world.relay():
        await play(world)
        await pull_served(world, tmp_path / "ig", "DASS")
    found = reading(world, tmp_path / "ig", "DASS")
    assert (len(found.entries), found.closed) == (0, 9)
    assert "Peacock" not in json.dumps(table.facts(found))


async def test_an_officer_goes_on_where_she_ended_after_the_relay_restarted(world: World, tmp_path: Path):
    async with world.relay():
        await play(world)
        await pull_served(world, tmp_path / "ig", "IDVAS")
    async with world.relay():
        await play(world)
        done = await pull_served(world, tmp_path / "ig", "IDVAS")
    assert done.new == 10  # nine events and the first pull's own reading
    found = reading(world, tmp_path / "ig", "IDVAS")
    assert not found.faulty
    # IDVAS is told of all but the two refusals, which concern their sender alone.
    assert (len(found.entries), found.closed) == (17, 2)


async def test_a_relay_with_a_changed_entry_is_caught(world: World, tmp_path: Path):
    async with world.relay():
        await play(world)
        await pull_served(world, tmp_path / "ig", "Peacock")
    with sqlite3.connect(world.folder / "relay" / "relay.db") as database:
        database.execute("UPDATE records SET relay = (SELECT relay FROM records WHERE idx = 1) WHERE idx = 2")
    database.close()
    async with world.relay():
        with pytest.raises(Refusal, match=r"PROOF: .* entry 2 "):
            await pull_served(world, tmp_path / "new", "Peacock")


async def test_an_agents_key_reads_no_records(world: World, tmp_path: Path):
    async with world.relay():
        await play(world)
        with pytest.raises(Refusal, match="NOT_ALLOWED"):
            await pull_served(world, tmp_path / "ig", "Peacock", world.parties["Peacock"].member.agent.auth)


async def test_a_key_that_the_directory_never_saw_is_not_answered(world: World, tmp_path: Path):
    world.clock.now = time.time()
    async with world.relay():
        with pytest.raises(Refusal, match="UNAUTHENTICATED: The relay does not know this officer's key"):
            await pull_served(world, tmp_path / "ig", "Peacock", SigningKey(secrets.token_bytes(32)))


async def test_a_relay_that_is_away_is_said_to_be_away(world: World, tmp_path: Path):
    with pytest.raises(Refusal, match="RELAY_AWAY"):
        await pull_served(world, tmp_path / "ig", "Peacock")
