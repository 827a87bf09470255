"""The published head at the relay: one for everybody for a while, cosigned by members and by nobody else."""

import json
import secrets
import sqlite3
from typing import Any

import pytest

from broker.witnesses import RENEWED
from schemas import api
from schemas.chain import Chain
from schemas.checkpoint import Checkpoint, open_checkpoint
from schemas.errors import Refusal
from schemas.keys import SigningKey
from schemas.witness import Published, cosign, open_published, quorum_time, witnesses
from tests.simulated_world import Answer, World

ROUND = 30


async def page(world: World, http: Any, party: str = "Peacock", **named: Any) -> api.WitnessPage:
    answer = await world.call(http, party, "GET", api.HEAD, **named)
    assert answer.status == 200, answer.body
    return api.WitnessPage.model_validate_json(answer.body)


def opened(world: World, note: str) -> Published:
    partnership = world.founded.partnership
    return open_published(note, partnership.log_key, partnership.log_mldsa_key)


def counted(world: World, note: str) -> dict[str, int]:
    return witnesses(opened(world, note), world.directory, world.now)


def line_by(
    world: World, party: str, checkpoint: Checkpoint, ts: int | None = None, key: SigningKey | None = None
) -> str:
    of = world.parties[party]
    return cosign(checkpoint, of.id, key or of.member.agent.witness, world.now if ts is None else ts)


async def post(world: World, http: Any, party: str, size: int, line: str) -> Answer:
    body = json.dumps({"size": size, "line": line}).encode()
    return await world.call(http, party, "POST", api.HEAD, body=body)


async def cosigned(world: World, http: Any, *parties: str) -> api.WitnessPage:
    found = await page(world, http)
    for party in parties:
        checkpoint = opened(world, found.asked).checkpoint
        answer = await post(world, http, party, checkpoint.size, line_by(world, party, checkpoint))
        assert answer.status == 200, answer.body
        found = api.WitnessPage.model_validate_json(answer.body)
    return found


def code_of(answer: Answer) -> str:
    assert answer.status >= 400
    return str(answer.json()["code"])


async def grow(world: World, http: Any, count: int = 1) -> None:
    for _ in range(count):
        assert (await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))).status == 200


async def test_the_head_that_is_published_is_the_newest_with_both_lines(world: World, relay: Any, http: Any):
    await grow(world, http, 3)
    found = await page(world, http)
    head = opened(world, found.asked).checkpoint
    async with http.get(api.CHECKPOINT) as response:
        assert open_checkpoint(await response.text(), world.founded.partnership.log_key) == head
    assert (head.size, found.held, counted(world, found.asked)) == (3, None, {})


async def test_everybody_is_asked_about_the_same_head_for_a_while(world: World, relay: Any, http: Any):
    first = (await page(world, http)).asked
    await grow(world, http)
    world.clock.advance(ROUND - 1)
    assert (await page(world, http, "IDVAS")).asked == first
    world.clock.advance(1)
    assert opened(world, (await page(world, http, "Harbour")).asked).checkpoint.size == 1


async def test_an_idle_log_is_published_again_each_hour(world: World, relay: Any, http: Any):
    first = (await page(world, http)).asked
    world.clock.advance(RENEWED - 1)
    assert (await page(world, http)).asked == first
    world.clock.advance(1)
    again = (await page(world, http)).asked
    assert again != first
    assert opened(world, again).checkpoint == opened(world, first).checkpoint


async def test_a_quorum_is_kept_and_shown_while_the_next_one_forms(world: World, relay: Any, http: Any):
    await cosigned(world, http, "Peacock", "IDVAS", "Harbour")
    await grow(world, http)
    world.clock.advance(ROUND)
    first = await cosigned(world, http, "Peacock", "IDVAS")
    assert set(counted(world, first.asked)) == {world.parties["Peacock"].id, world.parties["IDVAS"].id}
    assert first.held is None  # it is the one that is asked about
    await grow(world, http)
    world.clock.advance(ROUND)
    second = await page(world, http)
    assert counted(world, second.asked) == {}
    assert second.held == first.asked
    assert quorum_time(counted(world, second.held), 2) == world.now - ROUND


async def test_one_member_of_three_that_take_part_is_no_quorum(world: World, relay: Any, http: Any):
    first = await cosigned(world, http, "Peacock", "IDVAS", "Harbour")
    await grow(world, http)
    world.clock.advance(ROUND)
    await cosigned(world, http, "Peacock")
    await grow(world, http)
    world.clock.advance(ROUND)
    assert (await page(world, http)).held == first.asked


async def test_members_whose_agents_never_ran_keep_nobody_waiting(world: World, relay: Any, http: Any):
    first = await cosigned(world, http, "Peacock")
    await grow(world, http)
    world.clock.advance(ROUND)
    assert (await page(world, http)).held == first.asked


async def test_a_third_line_joins_a_head_that_has_its_quorum(world: World, relay: Any, http: Any):
    found = await cosigned(world, http, "Peacock", "IDVAS", "Harbour")
    assert len(counted(world, found.asked)) == 3


async def test_heads_and_lines_survive_a_restart(world: World):
    async with world.relay(), world.session() as http:
        await grow(world, http)
        first = await cosigned(world, http, "Peacock", "IDVAS")
    async with world.relay() as running, world.session() as http:
        assert running.relay.board.to_json()["asked"] == first.asked
        again = await page(world, http)
        assert again.held == first.asked
    async with world.relay(), world.session() as http:
        assert (await page(world, http)).held == first.asked


async def test_the_store_of_another_log_stops_the_start(world: World):
    async with world.relay(), world.session() as http:
        await cosigned(world, http, "Peacock")
    with sqlite3.connect(world.folder / "relay" / "relay.db") as store:
        store.execute(
            "UPDATE heads SET note = replace(note, 'relay.test', 'relay.tost') WHERE name = 'asked'"
        )
    store.close()
    with pytest.raises(Refusal, match="CHECKPOINT"):
        async with world.relay():
            pass


# --- refused


async def test_another_members_line_is_not_taken(world: World, relay: Any, http: Any):
    head = opened(world, (await page(world, http)).asked).checkpoint
    line = line_by(world, "IDVAS", head)
    assert code_of(await post(world, http, "Peacock", head.size, line)) == "NOT_ALLOWED"
    assert counted(world, (await page(world, http)).asked) == {}


async def test_a_line_by_a_key_that_is_no_witness_is_not_taken(world: World, relay: Any, http: Any):
    head = opened(world, (await page(world, http)).asked).checkpoint
    for key in (SigningKey(secrets.token_bytes(32)), world.parties["Peacock"].member.agent.msg):
        line = line_by(world, "Peacock", head, key=key)
        assert code_of(await post(world, http, "Peacock", head.size, line)) == "UNKNOWN_KEY"


async def test_a_size_that_the_relay_does_not_ask_about_is_not_taken(world: World, relay: Any, http: Any):
    await grow(world, http)
    head = opened(world, (await page(world, http)).asked).checkpoint
    for size in (0, 2, 1_000_000):
        line = line_by(world, "Peacock", Checkpoint(head.origin, size, head.root))
        assert code_of(await post(world, http, "Peacock", size, line)) == "CONFLICT"
        assert code_of(await post(world, http, "Peacock", head.size, line)) == "SIGNATURE"


async def test_another_origin_or_root_is_not_taken(world: World, relay: Any, http: Any):
    head = opened(world, (await page(world, http)).asked).checkpoint
    for other in (
        Checkpoint(f"{head.origin}/keys", head.size, head.root),
        Checkpoint("other.test/log", head.size, head.root),
        Checkpoint(head.origin, head.size, bytes(32)),
    ):
        answer = await post(world, http, "Peacock", head.size, line_by(world, "Peacock", other))
        assert code_of(answer) == "SIGNATURE"


async def test_an_old_cosignature_does_not_replace_a_newer_one(world: World, relay: Any, http: Any):
    head = opened(world, (await page(world, http)).asked).checkpoint
    old, new = line_by(world, "Peacock", head, world.now - 60), line_by(world, "Peacock", head)
    assert (await post(world, http, "Peacock", head.size, new)).status == 200
    assert (await post(world, http, "Peacock", head.size, new)).status == 200
    assert code_of(await post(world, http, "Peacock", head.size, old)) == "REPLAY"
    assert counted(world, (await page(world, http)).asked) == {world.parties["Peacock"].id: world.now}


async def test_a_cosignature_of_an_earlier_round_is_not_taken_for_this_one(
    world: World, relay: Any, http: Any
):
    head = opened(world, (await page(world, http)).asked).checkpoint
    old = line_by(world, "Peacock", head)
    world.clock.advance(RENEWED)
    assert opened(world, (await page(world, http)).asked).checkpoint == head
    assert code_of(await post(world, http, "Peacock", head.size, old)) == "CLOCK"


@pytest.mark.parametrize(("ahead", "code"), [(301, "FUTURE"), (-301, "CLOCK")])
async def test_a_clock_that_is_far_off_is_refused(world: World, relay: Any, http: Any, ahead: int, code: str):
    head = opened(world, (await page(world, http)).asked).checkpoint
    line = line_by(world, "Peacock", head, world.now + ahead)
    assert code_of(await post(world, http, "Peacock", head.size, line)) == code


async def test_a_revoked_witness_is_refused_and_its_line_goes_at_the_next_start(world: World):
    party = world.parties["Harbour"]
    async with world.relay(), world.session() as http:
        head = opened(world, (await cosigned(world, http, "Harbour", "Peacock")).asked).checkpoint
        admin = party.admin
        chain = Chain(admin.agency, admin.op, admin.seq, admin.head)
        gone = chain.revoke(party.member.agent.witness.kid, "compromised", world.now, world.now)
        answer = await world.post_statements(http, "Harbour", ("directory", gone))
        assert answer.json()["results"][0]["status"] == "recorded"
        world.take(gone)
        answer = await post(world, http, "Harbour", head.size, line_by(world, "Harbour", head))
        assert code_of(answer) == "REVOKED_KEY"
    async with world.relay() as running, world.session() as http:
        assert set(counted(world, running.relay.board.to_json()["asked"])) == {world.parties["Peacock"].id}


async def test_oversight_and_officers_and_strangers_do_not_cosign(world: World, relay: Any, http: Any):
    head = opened(world, (await page(world, http)).asked).checkpoint
    line = line_by(world, "oversight", head)
    assert code_of(await post(world, http, "oversight", head.size, line)) == "UNKNOWN_AGENCY"
    body = json.dumps({"size": head.size, "line": line_by(world, "Peacock", head)}).encode()
    officer = world.parties["Peacock"].officer.auth
    assert (
        code_of(await world.call(http, "Peacock", "POST", api.HEAD, body=body, key=officer)) == "NOT_ALLOWED"
    )
    stranger = SigningKey(secrets.token_bytes(32))
    answer = await world.call(http, "Peacock", "POST", api.HEAD, body=body, key=stranger)
    assert code_of(answer) == "UNAUTHENTICATED"


async def test_only_members_and_officers_see_who_cosigned(world: World, relay: Any, http: Any):
    """A cosigned head shows who is a member, so it is not one of the pages that anybody may read."""
    found = await cosigned(world, http, "Peacock", "IDVAS")
    async with http.get(api.HEAD) as response:
        assert response.status == 401
    async with http.get(api.CHECKPOINT) as response:
        assert world.parties["Peacock"].id not in await response.text()
    seen = await page(world, http, key=world.parties["Peacock"].officer.auth)
    assert seen == found


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "— a b",
        "— a",
        "\u2014  AAAA",
        "\u2014 ag1x AAAA AAAA",
        "\u2014 ag1x !!!!",
        "\u2014 \ud83d\ude00 AAAAAAAA",
    ],
)
async def test_what_is_not_a_line_is_refused(world: World, relay: Any, http: Any, line: str):
    await page(world, http)
    assert code_of(await post(world, http, "Peacock", 0, line)) in ("CHECKPOINT", "NOT_ALLOWED", "FORM")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"size":0}', b'{"size":-1,"line":""}', b'{"size":0,"line":1}',
             b'{"size":0,"line":"","x":1}', b'{"size":true,"line":""}', b'{"size":0,"line":"' + b"x" * 600 + b'"}'],
)  # fmt: skip
async def test_a_body_that_is_not_one_is_refused(world: World, relay: Any, http: Any, body: bytes):
    assert code_of(await world.call(http, "Peacock", "POST", api.HEAD, body=body)) == "FORM"


async def test_a_request_for_the_head_is_not_taken_twice(world: World, relay: Any, http: Any):
    headers = world.signed_headers(world.parties["Peacock"].member.agent.auth, "GET", api.HEAD)
    first = await world.send(http, "GET", api.HEAD, "", b"", headers)
    again = await world.send(http, "GET", api.HEAD, "", b"", headers)
    assert (first.status, again.status) == (200, 401)


async def test_cosigning_leaves_no_trace_in_the_log(world: World, relay: Any, http: Any):
    """Or every cosignature would make the head that it is of an old one."""
    await cosigned(world, http, "Peacock", "IDVAS", "Harbour")
    assert relay.relay.log.size == 0
