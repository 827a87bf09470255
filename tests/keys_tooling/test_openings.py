"""Who watches the watchers: an officer's opening is in the log before she sees anything, whatever she does."""

import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from keys_tooling.audit.index import rows
from keys_tooling.audit.opened import Row
from keys_tooling.audit.openings import FILE, Journal, unlogged
from schemas import api
from schemas.audit import Event
from schemas.canonical import b64
from schemas.signing import Signed
from schemas.unsealing import Opening, seal_opening
from tests.keys_tooling.officer_place import Place
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World.again(tmp_path / "world", "Peacock", "IDVAS")


@pytest.fixture
async def relay(world: World) -> AsyncIterator[Any]:
    async with world.relay() as running, world.session() as http:
        answer = await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
        assert answer.status == 200
        yield running


@pytest.fixture
async def place(world: World, relay: Any, tmp_path: Path) -> Place:
    place = Place.make(world, tmp_path / "officer", "Peacock")
    pulled = await place.type("pull")
    assert pulled.exit == 0, pulled
    return place


def opened(place: Place, party: str = "Peacock", *events: str) -> list[Row]:
    keys = place.world.parties[party].officer
    return list(rows(place.folder, place.world.founded.partnership, keys, bytes, *events))


async def test_an_opening_is_logged_with_who_what_and_why(place: Place):
    read = await place.type("read", "--reason", "complaint", "--words", "asked by the chair =1+1", "--json")
    assert read.json()["opened"] == 1
    await place.type("pull")
    [row] = opened(place, "Peacock", Event.UNSEALED)
    officer = place.world.parties["Peacock"].officer
    assert (row.scope, row.reason, row.words) == ("read", "complaint", "asked by the chair =1+1")
    assert (row.first, row.count, row.signer, row.outside) == (0, 1, officer.auth.kid, False)
    assert row.faults == ()


async def test_it_is_at_the_relay_before_anything_is_shown(world: World, tmp_path: Path):
    """A relay that cannot be told: nothing is shown, and the journal says that nothing was opened."""
    place = Place.make(world, tmp_path / "officer", "Peacock")
    async with world.relay():
        await place.type("pull")
    refused = await place.type("read", "--json")
    assert (refused.exit, refused.out) == (1, "")
    assert refused.refusal is not None
    assert refused.refusal.code == "RELAY_AWAY"
    assert "--offline" in refused.refusal.say
    assert [one.state for one in Journal(place.folder).kept()] == ["void"]


async def test_a_question_is_an_opening_and_the_answer_shows_the_ones_before(place: Place):
    await place.type("query", "sent-to", "--agency", "IDVAS", "--reason", "review", "--json")
    await place.type("pull")
    asked = await place.type("query", "officers-acts", "--csv")
    assert asked.exit == 0  # an answer that is not complete is an answer
    assert asked.out.startswith('"time","officer","act","why","first","entries","words"')
    assert '"query sent-to","review","0","1"' in asked.out
    assert "NOT COMPLETE: What an officer does with her keys outside this program" in asked.out
    refused = await place.type("query", "sent-to", "--agency", "Nobody")
    assert refused.refusal is not None
    assert refused.refusal.code == "UNKNOWN_AGENCY"
    assert [one.state for one in Journal(place.folder).kept()] == ["told", "told"]


async def test_oversight_reads_it_and_another_agency_does_not(place: Place, tmp_path: Path):
    await place.type("read", "--reason", "breach")
    for party, found in (("oversight", ["breach"]), ("IDVAS", [])):
        other = Place.make(place.world, tmp_path / party, party)
        await other.type("pull")
        assert [row.reason for row in opened(other, party, Event.UNSEALED)] == found


async def test_the_relay_learns_nothing_of_which_entries_or_why(place: Place, relay: Any):
    """What travels in the clear names the agency, the key and the time."""
    world = place.world
    officer = world.parties["Peacock"].officer
    opening = Opening("read", "other", 3, 9, 2, words="CANARY about a person")
    officers = world.directory.officers({world.parties["Peacock"].id}, world.now)
    agency = world.parties["Peacock"].id
    signed, record = seal_opening(
        opening, agency, b64(bytes(16)), world.now, officers, officer.auth, bytes(32)
    )
    assert set(signed.peek()) == {"a", "ar", "oid", "signer", "ts", "v"}
    assert b"CANARY" not in record


async def test_without_the_relay_a_reason_opens_and_the_next_pull_tells(
    place: Place, world: World, relay: Any
):
    silent = await place.type("read", "--offline")
    assert silent.refusal is not None
    assert silent.refusal.code == "NOT_ALLOWED"
    read = await place.type("read", "--offline", "--reason", "breach", "--words", "she must be warned now")
    assert (read.exit, "accept" in read.out) == (0, True)
    assert "The relay was not told" in read.err
    assert stat.S_IMODE((place.folder / FILE).stat().st_mode) == 0o600
    assert [one.state for one in Journal(place.folder).kept()] == ["made"]
    world.clock.advance(3600)
    pulled = await place.type("pull", "--json")
    assert pulled.json()["openings_told"] == 1
    await place.type("pull")
    [row] = opened(place, "Peacock", Event.UNSEALED)
    assert (row.outside, row.signed, row.words) == (True, world.now - 3600, "she must be warned now")


async def test_a_relay_that_keeps_an_opening_back_is_found_out(place: Place, world: World):
    await place.type("read")
    await place.type("pull")
    found = opened(place)
    journal = Journal(place.folder)
    assert unlogged(journal, found, world.now + 1) == []
    [told] = unlogged(journal, [row for row in found if row.event != Event.UNSEALED], world.now + 1)
    assert told.oid == next(row.mid for row in found if row.event == Event.UNSEALED)


async def test_only_an_officer_says_it_and_only_for_her_agency(world: World, relay: Any):
    officer, peacock = world.parties["Peacock"].officer, world.parties["Peacock"]
    at_idvas = world.directory.officers({world.parties["IDVAS"].id}, world.now)
    own = world.directory.officers({peacock.id}, world.now)
    good = seal_opening(Opening("read", "routine", 0, 0, 1), peacock.id, b64(bytes(16)), world.now, own, officer.auth, bytes(32))  # fmt: skip
    other = seal_opening(Opening("read", "routine", 0, 0, 1), world.parties["IDVAS"].id, b64(bytes(16)), world.now, at_idvas, officer.auth, bytes(32))  # fmt: skip
    few = seal_opening(Opening("read", "routine", 0, 0, 1), peacock.id, b64(bytes(16)), world.now, own[:1], officer.auth, bytes(32))  # fmt: skip

    async def post(said: tuple[Signed, bytes], **key: Any) -> tuple[int, list[Any]]:
        item = api.StatementIn(
            kind="unsealed", signed=api.SignedJson(**said[0].to_json()), record=b64(said[1])
        )
        body = api.StatementsRequest(statements=(item,)).model_dump_json().encode()
        async with world.session() as http:
            answer = await world.call(http, "Peacock", "POST", api.STATEMENTS, body=body, **key)
        return answer.status, [one["code"] or one["status"] for one in answer.json().get("results", [])]

    assert (await post(good))[0] == 403  # the agent's key, not the officer's
    assert await post(other, key=officer.auth) == (200, ["NOT_ALLOWED"])
    assert await post(few, key=officer.auth) == (200, ["OFFICERS"])
    assert await post(good, key=officer.auth) == (200, ["recorded"])
    assert await post(good, key=officer.auth) == (200, ["repeat"])


async def test_an_officer_hands_in_nothing_that_agents_do(world: World, relay: Any):
    grant = world.grant("Peacock", "IDVAS")
    item = api.StatementIn(kind="grant", signed=api.SignedJson(**grant.to_json()))
    body = api.StatementsRequest(statements=(item,)).model_dump_json().encode()
    async with world.session() as http:
        key = world.parties["Peacock"].officer.auth
        answer = await world.call(http, "Peacock", "POST", api.STATEMENTS, body=body, key=key)
    assert (answer.status, answer.json()["code"]) == (403, "NOT_ALLOWED")


def test_a_line_that_was_not_finished_never_happened_and_a_spoilt_one_is_said(world: World, tmp_path: Path):
    officer, agency = world.parties["Peacock"].officer, world.parties["Peacock"].id
    officers = world.directory.officers({agency}, world.now)
    journal = Journal(tmp_path)
    for n in range(2):
        oid = b64(bytes([n]) * 16)
        journal.add(*seal_opening(Opening("read", "routine", 0, 0, 1), agency, oid, 7, officers, officer.auth, bytes(32)), 7)  # fmt: skip
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-40])
    assert len(journal.kept()) == 1
    journal.mark(b64(bytes(16)), "told", 9)
    assert [(one.state, one.at) for one in journal.kept()] == [("told", 9)]
    (tmp_path / FILE).write_bytes(b"{}\n" + whole)
    with pytest.raises(Exception, match=r"FILE: openings\.jsonl is damaged"):
        journal.kept()
