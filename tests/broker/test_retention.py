"""Sealed records are deleted by a signed statement, after its notice, and never while somebody holds them."""

import asyncio
import json
import secrets
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from schemas import api
from schemas.canonical import b64, encode
from schemas.hold import make_hold, make_lift
from schemas.keys import SigningKey
from schemas.ranges import Ranges
from schemas.retention import RetentionList, SignedRetention
from schemas.signing import Signed
from tests.policy_world import next_policy, own_chain, post, publish
from tests.simulated_world import World

DAY = 24 * 3600
SHORT = {"log_days": 28, "child_days": 28, "directory_days": 28, "notice_days": 1}
"""The shortest periods that a policy may have: a member's request key lives for 30 days."""


@pytest.fixture
async def relay(world: World):
    async with world.relay(sweep_seconds=0.02) as running:
        yield running


class Officer:
    """What an agency's IG officer and oversight say to the relay about records."""

    def __init__(self, world: World, http: aiohttp.ClientSession) -> None:
        self.world, self.http = world, http

    def listed(self, ranges: Ranges, **changes: Any) -> SignedRetention:
        value = {"notice": DAY, "policy": 2, "ranges": ranges, "size": 10**6, "v": 1, **changes}
        value["size"] = changes.get("size", ranges[-1][1] + 1)
        signed = SignedRetention(encode(json.loads(json.dumps(value))))
        for one in self.world.founded.signers:
            signed = signed.signed_by(one.key)
        return signed

    async def state(self, signed: SignedRetention, ts: int | None = None, party: str = "oversight") -> str:
        statement = own_chain(self.world).retention(signed, self.world.now if ts is None else ts)
        said = await post(self.world, self.http, statement, signed.text, kind="retention", party=party)
        if said == "recorded":
            self.world.take(statement)
        return said

    async def say(
        self, kind: str, signed: Signed, party: str = "Peacock", key: SigningKey | None = None
    ) -> str:
        body = json.dumps({"statements": [{"kind": kind, "signed": signed.to_json()}]}).encode()
        officer = self.world.parties[party].officer.auth
        answer = await self.world.call(
            self.http, party, "POST", api.STATEMENTS, body=body, key=key or officer
        )
        if answer.status != 200:
            return str(answer.json()["code"])
        (result,) = answer.json()["results"]
        return str(result["code"] or result["status"])

    async def hold(self, ranges: Ranges, party: str = "Peacock", hid: str | None = None) -> str:
        own = self.world.parties[party]
        hid = hid or b64(secrets.token_bytes(16))
        signed = make_hold(own.officer.auth, own.id, hid, ranges, self.world.now)
        assert await self.say("hold", signed, party) == "recorded"
        return hid

    async def lift(self, hid: str, party: str = "Peacock") -> str:
        own = self.world.parties[party]
        return await self.say("lift", make_lift(own.officer.auth, own.id, hid, self.world.now), party)


@pytest.fixture
async def officer(world: World, http: aiohttp.ClientSession) -> Officer:
    """A log of eight messages' entries and more, under a policy with short periods, and 28 days later."""
    await publish(world, http, next_policy(world, retention=SHORT))
    for _ in range(8):
        await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
    await pruned(world)
    world.clock.advance(28 * DAY + 60)
    return Officer(world, http)


async def pruned(world: World) -> None:
    """Let the sweeper note the day."""
    world.clock.advance(61)
    await until(world, lambda db: db.execute("SELECT count(*) FROM days").fetchone()[0] > 0)


async def until(world: World, holds: Any) -> None:
    for _ in range(3000):
        with sqlite3.connect(world.folder / "relay" / "relay.db") as db:
            if holds(db):
                return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


def kept(world: World) -> list[int]:
    """The entries whose records are still in the store."""
    with sqlite3.connect(world.folder / "relay" / "relay.db") as db:
        return [i for (i,) in db.execute("SELECT idx FROM records WHERE length(relay) > 0 ORDER BY idx")]


def ended(digest: str) -> Any:
    question = "SELECT count(*) FROM deletions WHERE digest = ? AND at < 0"
    return lambda db: db.execute(question, (digest,)).fetchone()[0] == 1


def swept(world: World) -> bytes:
    """Every byte of the store's files."""
    return b"".join(path.read_bytes() for path in sorted((world.folder / "relay").glob("relay.db*")))


async def test_named_records_go_after_the_notice_and_nothing_of_them_is_left_in_any_file(
    world: World, officer: Officer
):
    with sqlite3.connect(world.folder / "relay" / "relay.db") as db:
        gone = db.execute("SELECT relay, sender FROM records WHERE idx BETWEEN 2 AND 5").fetchall()
        stays = db.execute("SELECT relay FROM records WHERE idx = 6").fetchone()[0]
    signed = officer.listed(((2, 5),))
    assert await officer.state(signed) == "recorded"
    assert set(range(2, 6)) <= set(kept(world))
    world.clock.advance(DAY + 1)
    await until(world, ended(signed.body().digest))
    assert not set(range(2, 6)) & set(kept(world))
    world.clock.advance(61)  # the write-ahead log is emptied at the next pruning
    await until(world, lambda _db: not (world.folder / "relay" / "relay.db-wal").stat().st_size)
    data = swept(world)
    assert stays in data or stays[-512:] in data
    for relay, sender in gone:
        for part in (relay[300:332], relay[-32:], sender[64:96], sender[-32:]):
            assert part not in data


async def test_leaves_stay_and_prove_what_they_proved(
    world: World, officer: Officer, http: aiohttp.ClientSession, relay: Any
):
    before = await relay.relay.log.entries(0, 8)
    signed = officer.listed(((0, 7),))
    assert await officer.state(signed) == "recorded"
    world.clock.advance(DAY + 1)
    await until(world, ended(signed.body().digest))
    assert await relay.relay.log.entries(0, 8) == before
    assert "c2sp.org/tlog-proof" in await relay.relay.log.proof(3)


async def test_the_relay_hands_out_the_list_to_officers_only(
    world: World, officer: Officer, http: aiohttp.ClientSession
):
    signed = officer.listed(((2, 3),))
    await officer.state(signed)
    query = f"digest={signed.body().digest}"
    key = world.parties["IDVAS"].officer.auth
    answer = await world.call(http, "IDVAS", "GET", api.RETENTION, query, key=key)
    assert (answer.status, answer.body) == (200, signed.text)
    assert (await world.call(http, "IDVAS", "GET", api.RETENTION, query)).json()["code"] == "NOT_ALLOWED"
    absent = f"digest={b64(secrets.token_bytes(32))}"
    assert (await world.call(http, "IDVAS", "GET", api.RETENTION, absent, key=key)).status == 404


async def test_what_is_held_stays_until_the_hold_is_lifted(world: World, officer: Officer):
    signed = officer.listed(((1, 6),))
    await officer.state(signed)
    hid = await officer.hold(((3, 4),))
    world.clock.advance(DAY + 1)
    await until(world, ended(signed.body().digest))
    assert {3, 4} <= set(kept(world))
    assert not {1, 2, 5, 6} & set(kept(world))
    assert await officer.lift(hid) == "recorded"
    await until(world, lambda _db: not {3, 4} & set(kept(world)))


async def test_a_hold_is_lifted_by_its_own_agency_alone(world: World, officer: Officer):
    hid = await officer.hold(((3, 4),))
    assert await officer.lift(hid, "IDVAS") == "HOLD"
    assert await officer.lift(hid, "oversight") == "HOLD"
    assert await officer.lift(b64(secrets.token_bytes(16))) == "HOLD"
    assert await officer.lift(hid) == "recorded"


async def test_the_store_does_not_tell_whose_a_hold_is(world: World, officer: Officer):
    hid = await officer.hold(((3, 4),))
    with sqlite3.connect(world.folder / "relay" / "relay.db") as db:
        (row,) = db.execute("SELECT * FROM keeps").fetchall()
    said = repr(row)
    assert not any(party.id in said for party in world.parties.values())
    assert hid not in said


BAD_LISTS: tuple[dict[str, Any], ...] = (
    {"policy": 1}, {"notice": DAY - 1}, {"size": 10**9}, {"size": 3}, {"ranges": ((5, 2),)}, {"more": 1},
    {"ranges": ((2, 2), (3, 3))}, {"ranges": ((4, 4), (2, 2))}, {"ranges": ()}, {"ranges": ((2, 9),)},
)  # fmt: skip


async def test_a_list_that_is_not_one_is_refused(world: World, officer: Officer):
    good = officer.listed(((2, 3),))
    for changes in BAD_LISTS:
        value = {"notice": DAY, "policy": 2, "ranges": ((2, 3),), "size": 6, "v": 1, **changes}
        text = encode(json.loads(json.dumps(value)))
        assert await said_of(world, officer, good, text) == "RETENTION", changes


async def said_of(world: World, officer: Officer, good: SignedRetention, text: bytes) -> str:
    """A list as it would be stated by somebody who signs whatever it is."""
    from schemas.policing import PolicySignature
    from schemas.retention import RetentionBody, retention_digest
    from schemas.signing import Purpose, sign

    body = RetentionBody(digest=retention_digest(text), count=good.body().count, sigs=())
    sigs = tuple(
        PolicySignature(kid=one.key.kid, s=b64(sign(one.key, Purpose.RETENTION, body.signed())))
        for one in world.founded.signers
    )
    stated = own_chain(world).state(
        "retention", body.model_copy(update={"sigs": sigs}).model_dump(mode="json"), world.now
    )
    return await post(world, officer.http, stated, text, kind="retention")


async def test_another_list_than_the_signed_one_is_refused(world: World, officer: Officer):
    signed, other = officer.listed(((2, 3),)), officer.listed(((4, 5),))
    statement = own_chain(world).retention(signed, world.now)
    assert await post(world, officer.http, statement, other.text, kind="retention") == "RETENTION"
    assert await post(world, officer.http, statement, None, kind="retention") == "RETENTION"
    assert await post(world, officer.http, statement, signed.text, kind="retention") == "recorded"
    assert await post(world, officer.http, statement, signed.text, kind="retention") == "repeat"


async def test_two_people_sign_and_oversight_alone_says_it(world: World, officer: Officer):
    one = SignedRetention(officer.listed(((2, 3),)).text).signed_by(world.founded.signers[0].key)
    assert await officer.state(one) == "POLICY_SIGNERS"
    stranger = one.signed_by(SigningKey(secrets.token_bytes(32)))
    assert await officer.state(stranger) == "UNKNOWN_KEY"
    assert await officer.state(officer.listed(((2, 3),)), world.now - 301) == "CLOCK"
    assert await officer.state(officer.listed(((2, 3),)), party="Peacock") == "NOT_ALLOWED"


async def test_records_that_are_too_young_are_not_deleted_whoever_signs(world: World, officer: Officer):
    """By the relay's own clock: a record of today survives three liars."""
    await world.post_envelopes(officer.http, "Peacock", world.seal("Peacock", "IDVAS"))
    newest = max(kept(world))
    assert await officer.state(officer.listed(((2, 2), (newest, newest)))) == "RETENTION_EARLY"
    assert newest in kept(world)


async def test_agents_place_no_holds_and_officers_say_nothing_else(world: World, officer: Officer):
    own = world.parties["Peacock"]
    hid = b64(secrets.token_bytes(16))
    hold = make_hold(own.officer.auth, own.id, hid, ((1, 2),), world.now)
    assert await officer.say("hold", hold, key=own.member.agent.auth) == "NOT_ALLOWED"
    grant = world.grant("Peacock", "IDVAS")
    assert await officer.say("grant", grant) == "NOT_ALLOWED"
    others = make_hold(world.parties["IDVAS"].officer.auth, own.id, hid, ((1, 2),), world.now)
    assert await officer.say("hold", others) == "UNKNOWN_KEY"
    forged = make_hold(own.officer.auth, world.parties["IDVAS"].id, hid, ((1, 2),), world.now)
    assert await officer.say("hold", forged) == "NOT_ALLOWED"
    beyond = make_hold(own.officer.auth, own.id, hid, ((1, 10**6),), world.now)
    assert await officer.say("hold", beyond) == "RETENTION"


async def test_a_restart_in_the_middle_of_a_list_goes_on_with_it(tmp_path: Path, world: World):
    async with world.relay(sweep_seconds=0.02), world.session() as http:
        await publish(world, http, next_policy(world, retention=SHORT))
        for _ in range(3):
            await world.post_envelopes(http, "Peacock", world.seal("Peacock", "IDVAS"))
        await pruned(world)
        world.clock.advance(28 * DAY + 60)
        officer = Officer(world, http)
        signed = officer.listed(((1, 3),))
        assert await officer.state(signed) == "recorded"
    world.clock.advance(DAY + 1)
    async with world.relay(sweep_seconds=0.02):
        await until(world, ended(signed.body().digest))
    assert not {1, 2, 3} & set(kept(world))


def test_a_list_has_one_spelling():
    text = RetentionList(notice=DAY, policy=1, ranges=((2, 3), (7, 7)), size=8, v=1).text
    assert RetentionList.parse(text).text == text
