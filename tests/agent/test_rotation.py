"""Running keys renew themselves (PROTOCOL.md G16, K21): a real relay, real stores, a clock that a test turns."""

import asyncio
import contextlib
import json
import secrets

import pytest
from sqlalchemy import select

from agent.client import Relay
from agent.directory_tables import own_keys
from agent.rotation import DAY, DRAIN, WEEK
from agent.secretfile import read_secret
from agent.tables import journal
from agent.taking_up import HOLDS
from agent.unlocking import read_keys
from schemas import api, keyfile
from schemas.canonical import b64
from schemas.chain import Chain
from schemas.directory import MAX_AGE
from schemas.errors import Refusal
from schemas.keyring import PREKEY_KEPT
from schemas.keys import LIFE, RUNNING, OpeningKey, SigningKey, Use
from tests.agent.agencies import MESSAGE, eventually, folder_of, form, open_agent, put, quiet, running
from tests.agent.test_directory_log import chain_of, state
from tests.decrypted import pages
from tests.simulated_world import PASSPHRASE, World

REST_USES = ("msg", "auth", "consent", "witness", "prekey")


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def standing(agent, use, at):
    mine = agent.book.latest.agencies[agent.rotation._ring.agency]
    return [key for key in mine.keys.values() if key.use is use and key.stands(int(at))]


async def weeks(world, agent, count):
    for _ in range(count):
        world.clock.now += WEEK
        await agent.book.refresh()
        await agent.rotation.round()


async def test_for_three_quarters_of_a_year_every_use_has_a_standing_key_and_prekeys_are_a_week_old_at_most(
    world,
):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        for _ in range(40):
            await weeks(world, peacock, 1)
            for use in RUNNING:
                assert standing(peacock, use, world.clock()), use
            newest = max(key.nbf for key in standing(peacock, Use.PREKEY, world.clock()))
            assert world.clock() - newest <= WEEK
        state = await peacock.rotation.state()
        assert all(key["held"] for key in state["keys"])
        assert state["due"] == []
        # Sealed to for 14 days, held for 30 from the first: no more than five of them are there at any time.
        assert len(peacock.rotation._ring.prekeys) <= 5
        kids = peacock.rotation._ring.kids
        assert not peacock.book.strangers
        assert not await peacock.book.own_statements()
    async with world.relay(), quiet(world, "Peacock") as again:
        assert again.rotation._ring.kids == kids
        assert again.rotation._ring.auth.kid != world.parties["Peacock"].member.agent.auth.kid
        assert not again.book.strangers


async def test_a_message_that_was_sealed_to_the_key_of_before_is_opened_after_the_change(world):
    async with world.relay(), quiet(world, "IDVAS") as idvas, quiet(world, "Peacock") as peacock:
        for _ in range(9):  # past the keys that it was founded with
            await weeks(world, idvas, 1)
            await peacock.book.refresh()
            await peacock.rotation.round()
        await peacock.book.refresh()
        view = peacock.book.view()
        before = view.prekey(world.parties["IDVAS"].id, int(world.clock()))
        done = await idvas.rotation.rotate([Use.PREKEY], dry_run=False)
        after = idvas.book.latest.key(done["publish"][0]["kid"], Use.PREKEY, int(world.clock()))
        assert before.kid != after.kid
        held = {prekey.key.kid for prekey in idvas.rotation._ring.prekeys}
        assert {before.kid, after.kid} <= held
        # What a view of a day ago allows is lawful at the relay and readable at the recipient.
        world.clock.now += MAX_AGE
        await idvas.book.refresh()
        assert idvas.book.latest.key(before.kid, Use.PREKEY, int(world.clock())).kid == before.kid
        world.clock.now += DRAIN[Use.PREKEY] - MAX_AGE + 1
        with pytest.raises(Refusal) as refused:
            idvas.book.latest.key(before.kid, Use.PREKEY, int(world.clock()))
        assert refused.value.code == "REVOKED_KEY"


async def test_an_erased_key_is_in_no_page_of_the_store_and_not_in_the_key_file(world):
    async with world.relay():
        home = folder_of(world, "Peacock")
        first = read_keys(home / "agent.fpk", PASSPHRASE)
        seeds = [prekey.key.seed() for prekey in first.prekeys]
        agent = await open_agent(world, "Peacock")
        try:
            await agent.take_up(home / "agent.fpk", PASSPHRASE, first)
            await agent.book.refresh()
            assert read_keys(home / "agent.fpk", PASSPHRASE).prekeys == ()
            assert read_secret(home / "agent.fpk", keyfile.LIMIT)  # still for its owner only
            assert {p.key.seed() for p in agent.rotation._ring.prekeys} == set(seeds)
            await agent.store.empty_log()
            assert all(found(home, first.store, seed) for seed in seeds)
            while world.clock() < first.prekeys[-1].nbf + PREKEY_KEPT:
                await weeks(world, agent, 1)
            assert not {p.key.seed() for p in agent.rotation._ring.prekeys} & set(seeds)
            assert not any(found(home, first.store, seed) for seed in seeds)
            made = [p.key.seed() for p in agent.rotation._ring.prekeys]
            await agent.store.empty_log()
            assert made
            assert all(found(home, first.store, seed) for seed in made)
        finally:
            await agent.close()


def found(home, key, needle):
    """Whether these bytes are in any page of the store or of its write-ahead log, free ones too."""
    return any(needle in page for page in pages(home / "agent.db", key))


class Deaf(Relay):
    """A line on which the relay's answers to statements are lost."""

    lost = 0

    async def post_statements(self, request):
        answer = await super().post_statements(request)
        if Deaf.lost:
            Deaf.lost -= 1
            raise Refusal("RELAY_AWAY")
        return answer


async def test_a_key_whose_publication_was_not_heard_of_is_taken_into_use_and_not_made_twice(world):
    async with world.relay(), quiet(world, "Peacock", Deaf) as peacock:
        world.clock.now += 25 * DAY
        await peacock.book.refresh()
        Deaf.lost = 1
        with pytest.raises(Refusal):
            await peacock.rotation.round()
        assert peacock.rotation.code == "RELAY_AWAY"
        waiting = [own for own in peacock.rotation._ring.own if own.published is None]
        assert len(waiting) == 1
        await peacock.book.refresh()
        assert not peacock.book.strangers  # it is ours, although nobody told us that it was taken
        await peacock.rotation.round()
        (own,) = peacock.rotation._ring.own
        assert (own.kid, own.use) == (waiting[0].kid, Use.AUTH)
        assert own.published is not None
        assert peacock.rotation._ring.auth.kid == own.kid


class Mute(Relay):
    """A line on which statements do not reach the relay."""

    cut = False

    async def post_statements(self, request):
        if Mute.cut:
            raise Refusal("RELAY_AWAY")
        return await super().post_statements(request)


async def drawn_and_cut_off(world, peacock):
    """A key that is stored, and that the relay never heard of."""
    world.clock.now += 25 * DAY
    await peacock.book.refresh()
    Mute.cut = True
    with pytest.raises(Refusal, match="RELAY_AWAY"):
        await peacock.rotation.round()
    Mute.cut = False
    (drawn,) = peacock.rotation._ring.own
    return drawn


@pytest.mark.parametrize(
    ("reason", "anew"), [("compromised", True), ("lost", True), ("rotated", False), (None, False)]
)
async def test_a_key_that_waits_to_be_published_is_drawn_anew_after_an_emergency(world, reason, anew):
    """Whoever copied the folder has what had been drawn in it: it is never published, and not kept."""
    async with world.relay(), quiet(world, "Peacock", Mute) as peacock:
        copied = await drawn_and_cut_off(world, peacock)
        assert (copied.use, copied.published) == (Use.AUTH, None)
        if reason is not None:
            now, ended = int(world.clock()), world.parties["Peacock"].member.agent.witness.kid
            await state(world, "Peacock", chain_of(world, "Peacock").revoke(ended, reason, now, now))
        await peacock.rotation.round()
        own = {key.use: key for key in peacock.rotation._ring.own}
        assert own[Use.AUTH].published is not None
        assert (own[Use.AUTH].kid != copied.kid) == anew
        assert (copied.kid in peacock.book.latest.agencies[peacock.rotation._ring.agency].keys) != anew
        assert await peacock.store.run(lambda c: c.execute(select(own_keys.c.kid)).scalars().all()) == [
            key.kid for key in peacock.rotation._ring.own
        ]


async def test_a_key_that_waits_to_be_published_is_drawn_anew_when_another_speaks_for_the_agency(world):
    async with world.relay(), quiet(world, "Peacock", Mute) as peacock:
        copied = await drawn_and_cut_off(world, peacock)
        op = SigningKey(secrets.token_bytes(32))
        await state(world, "Peacock", chain_of(world, "Peacock").rotate_op(op, int(world.clock())))
        await peacock.rotation.round()
        (drawn,) = peacock.rotation._ring.own
        assert drawn.published is not None
        assert drawn.kid != copied.kid


async def test_a_key_that_never_left_is_published_with_the_dates_of_the_day_it_does(world):
    agent = await open_agent(world, "Peacock")
    async with world.relay():
        await agent.book.refresh()
    try:
        world.clock.now += 25 * DAY
        with pytest.raises(Refusal):
            await agent.rotation.round()  # the relay is away
        assert agent.rotation._ring.own == ()  # nothing is even drawn on a view that decides nothing any more
        async with world.relay():
            await agent.book.refresh()
            await agent.rotation.round()
            (own,) = agent.rotation._ring.own
            assert (own.use, own.nbf) == (Use.AUTH, int(world.clock()))
    finally:
        await agent.close()


async def test_an_agent_that_was_off_for_six_weeks_comes_back_by_itself(world):
    async with world.relay(), world.session() as http:
        async with quiet(world, "Peacock") as peacock:
            assert standing(peacock, Use.AUTH, world.clock())
        world.clock.now += 42 * DAY
        renew = world.parties["Peacock"].member.agent.renew
        for method, path in (("GET", api.MAILBOX), ("GET", f"{api.LOG}/head"), ("GET", f"{api.KEYS}/head")):
            assert (await world.call(http, "Peacock", method, path, key=renew)).status == 401
        said = world.grant("Peacock", "IDVAS")
        body = json.dumps({"statements": [{"kind": "grant", "signed": said.to_json()}]}).encode()
        answer = await world.call(http, "Peacock", "POST", api.STATEMENTS, body=body, key=renew)
        assert (answer.status, answer.json()["code"]) == (403, "NOT_ALLOWED")
        async with quiet(world, "Peacock") as peacock:
            await peacock.rotation.round()
            assert {use for use in RUNNING if standing(peacock, use, world.clock())} == set(RUNNING)
            await peacock.inbox.collect(0)


def lay(home, key, agency, passphrase=PASSPHRASE):
    """A renew key as the administrator's command leaves it beside the agent's key file."""
    held = {"agency": agency, "renew": b64(key.seed())}
    put(home / "renew-new.fpk", keyfile.lock(held, HOLDS, passphrase, keyfile.QUICK, secrets.token_bytes))


@contextlib.asynccontextmanager
async def started(world, again):
    """Peacock's agent as its command starts it; `again` reads its passphrase once more."""
    home, agent = folder_of(world, "Peacock"), await open_agent(world, "Peacock", directory_every=0.1)
    try:
        await agent.take_up(home / "agent.fpk", PASSPHRASE, read_keys(home / "agent.fpk", PASSPHRASE), again)
        await agent.start()
        yield agent
    finally:
        await agent.close()


async def new_renew_key(world):
    key, now = SigningKey(secrets.token_bytes(32)), int(world.clock())
    chain = chain_of(world, "Peacock")
    said = chain.add_key(Use.RENEW, key.public, now - 60, now + 365 * DAY, now)
    before = world.parties["Peacock"].member.agent.renew.kid
    await state(world, "Peacock", said, chain.revoke(before, "rotated", now + WEEK, now))
    return key


async def refused_files(agent):
    events = select(journal.c.code).where(journal.c.event == "renew-key-refused")
    return await agent.store.run(lambda c: list(c.execute(events).scalars()))


async def test_a_renew_key_that_is_laid_beside_a_running_agent_is_taken_up_and_used(world):
    async with world.relay(), started(world, lambda: PASSPHRASE) as agent:
        home, key = agent.settings.home, await new_renew_key(world)
        assert agent.rotation._ring.renew.kid != key.kid
        lay(home, key, agent.rotation._ring.agency)
        await eventually(lambda: asyncio.sleep(0, agent.rotation._ring.renew.kid == key.kid))
        assert [one.name for one in home.glob("*renew*")] == []
        await eventually(lambda: asyncio.sleep(0, not agent.book.strangers))
        world.clock.now += WEEK + 60  # the one before has ended
        await agent.book.refresh()
        done = await agent.rotation.rotate([Use.AUTH], dry_run=False)
        mine = agent.book.latest.agencies[agent.rotation._ring.agency]
        assert mine.keys[done["publish"][0]["kid"]].by == key.kid


async def test_a_file_that_does_not_open_is_noted_once_and_another_in_its_place_is_taken_up(world):
    async with world.relay(), started(world, lambda: PASSPHRASE) as agent:
        home, key = agent.settings.home, await new_renew_key(world)
        lay(home, key, agent.rotation._ring.agency, b"another passphrase")
        await eventually(lambda: refused_files(agent))
        await asyncio.sleep(0.5)
        assert await refused_files(agent) == ["KEYFILE"]
        assert (home / "renew-new.fpk").exists()
        (home / "renew-new.fpk").unlink()
        lay(home, key, agent.rotation._ring.agency)
        await eventually(lambda: asyncio.sleep(0, agent.rotation._ring.renew.kid == key.kid))


async def test_an_agent_whose_passphrase_was_typed_takes_it_up_at_its_next_start(world):
    async with world.relay():
        async with started(world, None) as agent:
            home, key = agent.settings.home, await new_renew_key(world)
            lay(home, key, agent.rotation._ring.agency)
            await asyncio.sleep(0.5)
            assert (home / "renew-new.fpk").exists()
            assert await refused_files(agent) == []
        async with started(world, None) as agent:
            assert key.kid in agent.rotation._ring.kids
            assert not (home / "renew-new.fpk").exists()


async def test_the_administrator_may_write_at_the_same_moment(world):
    async with world.relay() as relay, world.session() as http, quiet(world, "Peacock") as peacock:
        party = world.parties["Peacock"]
        chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
        now = int(world.clock())
        said = chain.revoke(party.member.agent.prekeys[-1].key.kid, "rotated", now + DAY, now)
        await world.post_statements(http, "Peacock", ("directory", said))
        assert relay.relay.view.directory.agencies[party.id].seq == party.admin.seq + 1
        done = await peacock.rotation.rotate([Use.AUTH], dry_run=False)  # on a view from before that
        assert done["publish"][0]["use"] == "auth"
        assert relay.relay.view.directory.key(peacock.rotation._ring.auth.kid, Use.AUTH, now)


async def test_a_dry_run_shows_what_would_be_published_and_changes_nothing(world):
    async with world.relay(), running(world, "Peacock") as peacock:
        await eventually(lambda: fresh(peacock))
        before = await peacock.ok("GET", "/v1/keys/rotation")
        asked = {"uses": list(REST_USES), "dry_run": True}
        plan = await peacock.ok("POST", "/v1/keys/rotation", asked)
        assert [row["use"] for row in plan["publish"]] == list(REST_USES)
        standing_now = {key["kid"] for key in before["keys"] if key["use"] in REST_USES}
        assert {row["kid"] for row in plan["revoke"]} == standing_now
        assert [row["name"] for row in plan["affected"]] == ["IDVAS"]
        assert await peacock.ok("GET", "/v1/keys/rotation") == before
        done = await peacock.ok("POST", "/v1/keys/rotation", {**asked, "dry_run": False})
        after = {key["kid"]: key for key in (await peacock.ok("GET", "/v1/keys/rotation"))["keys"]}
        for row in done["publish"]:
            assert after[row["kid"]]["held"]
            assert after[row["kid"]]["revoked"] is None
        for row in done["revoke"]:
            assert after[row["kid"]]["revoked"] == row["since"]
        status, said = await peacock.ask("POST", "/v1/keys/rotation", {"uses": ["renew"]})
        assert (status, said["code"]) == (422, "FORM")


async def test_messages_travel_while_every_key_is_replaced(world):
    async with world.relay(), running(world, "Peacock") as peacock, running(world, "IDVAS") as idvas:
        await eventually(lambda: fresh(peacock))
        sent = []
        for turn in range(3):
            for caller in (peacock, idvas):
                await caller.ok("POST", "/v1/keys/rotation", {"uses": list(REST_USES)})
            queued = await peacock.ok("POST", "/v1/messages", form("IDVAS", **RED))
            sent.append(queued["mid"])
            if turn == 1:
                world.clock.now += MAX_AGE + 60  # the first new keys begin to sign
                for caller in (peacock, idvas):
                    await caller.agent.book.refresh()
                    await caller.agent.rotation.round()
        for mid in sent:
            await peacock.until(mid, "opened")
        assert peacock.agent.rotation._ring.msg.kid != world.parties["Peacock"].member.agent.msg.kid


RED = {
    "payload": {**MESSAGE, "rag": "RED"},
    "law": {"agree": "NOT_SOUGHT", "b6": "6f", "why_no": "A", "told": "YES"},
}


async def test_who_seals_to_an_old_key_a_day_after_a_newer_one_began_is_reported(world):
    async with world.relay(), world.session() as http, quiet(world, "IDVAS") as idvas:
        await idvas.rotation.rotate([Use.PREKEY], dry_run=False)
        for later, count in ((60, 0), (MAX_AGE + 660, 1)):
            world.clock.now += later
            sealed = world.seal("Peacock", "IDVAS")  # by a program that does not read the directory again
            assert (await world.post_envelopes(http, "Peacock", sealed)).status == 200
            await idvas.book.refresh()
            await idvas.inbox.collect(0)
            said = (await idvas.rotation.state())["sealing_to_old"]
            assert [(row["name"], row["count"]) for row in said] == [("Peacock", 1)][:count]


async def fresh(caller):
    state = await caller.ok("GET", "/v1/status")
    return state["directory_fresh"] and not state["relay"]["code"]


def test_what_the_ring_gives_is_what_the_uses_need():
    assert {Use(use) for use in REST_USES} == set(RUNNING)
    assert LIFE[Use.PREKEY] == 2 * WEEK
    assert OpeningKey(bytes(32)).kid
