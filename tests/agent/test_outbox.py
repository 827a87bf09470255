"""The outbox: nothing acknowledged is lost, nothing is sent twice, and what is stopped is said to be stopped."""

import json

import pytest
import pytest_asyncio
from sqlalchemy import select, update

from agent.client import Page, Relay, RelayRefusal
from agent.forms import Give, Send, TakeOn
from agent.outbox import STALE_SEAL
from agent.tables import inbox, outbox, posts, sealings
from schemas.api import Problem
from schemas.errors import Refusal
from tests.agent.agencies import agreement, form, open_agent, quiet
from tests.simulated_world import World

DAY = 24 * 3600

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Deaf(Relay):
    """A line that loses the answers to what it has delivered."""

    lost = 0

    async def post_envelopes(self, uploads):
        answer = await super().post_envelopes(uploads)
        if type(self).lost:
            type(self).lost -= 1
            raise Refusal("RELAY_AWAY")
        return answer


class Busy(Relay):
    """A line to a relay that has too much to do, and says for how long."""

    after = 90.0

    async def post_envelopes(self, uploads):
        problem = {"type": "x", "title": "x", "status": 429, "code": "LIMITED", "say": "x", "party": "sender"}
        raise RelayRefusal(Problem(**problem, retry=True), self.after)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory):
    """One agent with a relay, for what is refused before it is queued."""
    made = World.found(tmp_path_factory.mktemp("outbox"), "Peacock", "IDVAS")
    async with made.relay(), quiet(made, "Peacock") as agent:
        yield agent


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def give(agent, **changes):
    wish = Give.model_validate_json(json.dumps(agreement("IDVAS", **changes)))
    return (await agent.agreements.give(wish))["gid"]


async def queue(agent, gid=None, key=None, **changes):
    gid = gid or await give(agent)
    return await agent.office.send(
        Send.model_validate_json(json.dumps(form("IDVAS", gid=gid, **changes))), key
    )


async def desk_of(agent, mid):
    return (await agent.showing.message(mid))["desks"][0]


async def rows(agent, table):
    return await agent.store.run(lambda c: c.execute(select(table)).all())


async def retry_now(agent):
    await agent.store.run(lambda c: c.execute(update(sealings).values(next_at=0)).close())
    await agent.outbox.flush()


async def collect(agent):
    await agent.inbox.collect(0)
    await agent.inbox.collect(0)


async def test_a_message_is_queued_while_the_relay_is_away_and_sent_when_it_is_back(world):
    async with quiet(world, "Peacock") as agent:
        async with world.relay():
            await agent.book.refresh()
            gid = await give(agent)
        queued = await queue(agent, gid)
        await agent.outbox.flush()
        assert (await desk_of(agent, queued["mid"]))["says"] == "queued here"
        row = (await rows(agent, sealings))[0]
        assert (row.state, row.code) == ("waiting", "RELAY_AWAY")
        async with world.relay():
            await retry_now(agent)
            assert (await desk_of(agent, queued["mid"]))["says"] == "at the relay"


async def test_what_is_queued_survives_a_restart(world):
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            queued = await queue(agent)
        async with quiet(world, "Peacock") as agent:
            assert (await desk_of(agent, queued["mid"]))["says"] == "queued here"
            await agent.outbox.flush()
            assert (await desk_of(agent, queued["mid"]))["says"] == "at the relay"


async def test_an_answer_that_was_lost_makes_no_second_message(world):
    Deaf.lost = 1
    async with world.relay(), quiet(world, "Peacock", Deaf) as agent, quiet(world, "IDVAS") as idvas:
        queued = await queue(agent)
        await agent.outbox.flush()
        assert (await desk_of(agent, queued["mid"]))["says"] == "queued here"
        await retry_now(agent)
        assert (await desk_of(agent, queued["mid"]))["says"] == "at the relay"
        await collect(idvas)
        assert len(await rows(idvas, inbox)) == 1


async def test_every_try_sends_the_same_bytes(world):
    async with quiet(world, "Peacock") as agent:
        async with world.relay():
            await agent.book.refresh()
            await queue(agent)
        before = (await rows(agent, sealings))[0].upload
        for _ in range(3):
            await retry_now(agent)
        row = (await rows(agent, sealings))[0]
        assert row.upload == before
        assert row.attempts == 3


async def test_tries_come_further_apart(world):
    async with quiet(world, "Peacock") as agent:
        async with world.relay():
            await agent.book.refresh()
            await queue(agent)
        pauses = []
        for _ in range(8):
            await retry_now(agent)
            pauses.append((await rows(agent, sealings))[0].next_at - world.clock())
        assert pauses == sorted(pauses)
        assert pauses[-1] > 8 * pauses[0]


@pytest.mark.parametrize(("drawn", "pause"), [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5)])
async def test_two_agents_that_lost_the_relay_at_once_do_not_come_back_at_once(world, drawn, pause):
    async with quiet(world, "Peacock") as agent:
        async with world.relay():
            await agent.book.refresh()
            await queue(agent)
        agent.outbox._jitter = lambda: drawn
        await agent.outbox.flush()
        assert (await rows(agent, sealings))[0].next_at - world.clock() == pytest.approx(pause)


async def test_a_relay_that_says_when_to_come_back_is_not_asked_before(world):
    async with world.relay(), quiet(world, "Peacock", Busy) as agent:
        await queue(agent)
        await agent.outbox.flush()
        (row,) = await rows(agent, sealings)
        assert (row.state, row.code) == ("waiting", "LIMITED")
        assert row.next_at - world.clock() >= Busy.after


async def test_a_message_that_waited_past_the_clock_rule_is_sealed_again(world):
    async with quiet(world, "Peacock") as agent:
        async with world.relay():
            await agent.book.refresh()
            gid = await give(agent)
        queued = await queue(agent, gid)
        world.clock.advance(STALE_SEAL * 10)
        async with world.relay(), quiet(world, "IDVAS") as idvas:
            await agent.outbox.flush()
            shown = await agent.showing.message(queued["mid"])
            assert shown["desks"][0]["says"] == "at the relay"
            assert shown["mid"] != queued["mid"]
            assert shown["id"] == queued["mid"]
            await collect(idvas)
            assert [row.mid for row in await rows(idvas, inbox)] == [shown["mid"]]


async def test_a_message_that_nobody_could_be_given_in_time_expires_and_says_so(world):
    async with quiet(world, "Peacock") as agent:
        async with world.relay():
            await agent.book.refresh()
            queued = await queue(agent, life=3600)
        world.clock.advance(3601)
        await agent.outbox.flush()
        shown = await agent.showing.message(queued["mid"])
        assert shown["desks"][0]["says"] == "expired: nobody took it on"
        assert shown["ended"]


async def test_the_same_key_queues_once(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        gid = await give(agent)
        one, other = await queue(agent, gid, "key"), await queue(agent, gid, "key")
        assert (one["mid"], other["repeat"]) == (other["mid"], True)
        assert len(await rows(agent, outbox)) == 1


async def test_the_same_key_for_another_message_is_refused(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        gid = await give(agent)
        await queue(agent, gid, "key")
        with pytest.raises(Refusal) as refusal:
            await queue(agent, gid, "key", case_ref="another")
        assert refusal.value.code == "CONFLICT"


async def test_a_full_disk_queues_nothing_and_loses_nothing(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        gid = await give(agent)
        first = await queue(agent, gid)
        pages = await agent.store.run(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
        await agent.store.run(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages}").close())
        with pytest.raises(Refusal) as refusal:
            for _ in range(20):
                await queue(agent, gid)
        assert refusal.value.code == "DISK_FULL"
        await agent.store.run(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").close())
        await agent.outbox.flush()
        assert (await desk_of(agent, first["mid"]))["says"] == "at the relay"


async def test_without_a_fresh_directory_nothing_is_sealed(world):
    async with quiet(world, "Peacock") as agent:
        with pytest.raises(Refusal) as refusal:
            await agent.office.send(Send.model_validate_json(json.dumps(form("IDVAS"))))
        assert refusal.value.code == "STALE_DIRECTORY"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": [{"agency": "Nobody", "desk": "intake"}]}, "UNKNOWN_AGENCY"),
        ({"to": [{"agency": "IDVAS", "desk": "night"}]}, "UNKNOWN_DESK"),
        ({"to": []}, "FORM"),
        ({"from_desk": "night"}, "UNKNOWN_DESK"),
        ({"purpose": "HOUSING"}, "SCOPE"),
        ({"rag": "RED"}, "FORM"),
        ({"kind": "referral.response"}, "FORM"),
        ({"kind": "referral.unknown"}, "UNKNOWN_TYPE"),
        ({"payload": {"type": "referral.universal", "v": 1}}, "MISSING"),
        ({"law": {"b6": "6z"}}, "VOCABULARY"),
        ({"law": {"spec": True}}, "FORM"),
        ({"law": {"told": "BY"}}, "FORM"),
        ({"answers": "not-there"}, "NOT_FOUND"),
        ({"gid": "AAAAAAAAAAAAAAAAAAAAAA"}, "GRANT_UNKNOWN"),
    ],
)
async def test_what_cannot_go_is_refused_before_it_is_queued(shared, changes, code):
    value = {"gid": await give(shared), **changes}
    with pytest.raises(Refusal) as refusal:
        await queue(shared, **value)
    assert refusal.value.code == code
    assert refusal.value.say
    assert await rows(shared, outbox) == []


async def test_without_agreement_a_basis_has_to_be_named(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        with pytest.raises(Refusal) as refusal:
            await agent.office.send(Send.model_validate_json(json.dumps(form("IDVAS"))))
        assert refusal.value.say
        assert await rows(agent, outbox) == []


async def test_an_author_who_knows_better_may_let_the_relay_decide(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        answer = await agent.office.send(Send.model_validate_json(json.dumps(form("IDVAS", anyway=True))))
        assert answer["warnings"]
        await agent.outbox.flush()
        desk = await desk_of(agent, answer["mid"])
        assert desk["state"] == "refused"
        assert desk["says"].startswith("refused by the relay: ")


async def test_withdrawn_before_it_was_collected_it_is_stopped_and_both_sides_know(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        gid = await give(peacock)
        queued = await queue(peacock, gid)
        await peacock.outbox.flush()
        answer = await peacock.agreements.withdraw(gid)
        assert answer["at_the_relay"]
        await collect(peacock)
        assert (await desk_of(peacock, queued["mid"]))["says"] == "stopped: agreement withdrawn"
        await collect(idvas)
        assert await rows(idvas, inbox) == []


async def test_withdrawn_while_it_waits_here_it_never_leaves(world):
    async with quiet(world, "Peacock") as peacock:
        async with world.relay():
            await peacock.book.refresh()
            gid = await give(peacock)
            queued = await queue(peacock, gid)
        answer = await peacock.agreements.withdraw(gid)
        assert (answer["stopped_here"], answer["at_the_relay"]) == (1, False)
        assert (await desk_of(peacock, queued["mid"]))["says"] == "stopped: agreement withdrawn"
        assert (await rows(peacock, sealings))[0].upload is None
        async with world.relay(), quiet(world, "IDVAS") as idvas:
            await peacock.posting.flush()
            await peacock.outbox.flush()
            await collect(idvas)
            assert await rows(idvas, inbox) == []


async def test_withdrawn_after_it_was_read_it_is_marked(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        gid = await give(peacock)
        queued = await queue(peacock, gid)
        await peacock.outbox.flush()
        await collect(idvas)
        await peacock.agreements.withdraw(gid)
        await collect(idvas)
        row = (await rows(idvas, inbox))[0]
        assert row.withdrawn
        assert row.message is not None
        await collect(peacock)
        says = (await desk_of(peacock, queued["mid"]))["says"]
        assert says == "agreement withdrawn after they had it"


async def test_the_other_agency_may_withdraw_too(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        gid = await give(peacock)
        await queue(peacock, gid)
        await peacock.outbox.flush()
        await collect(idvas)
        await idvas.agreements.withdraw(gid)
        later = await queue(peacock, gid)
        await peacock.outbox.flush()
        assert (await desk_of(peacock, later["mid"]))["state"] in ("refused", "queued")
        await collect(idvas)
        assert len(await rows(idvas, inbox)) == 1


async def test_a_withdrawal_is_final(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        gid = await give(agent)
        await agent.agreements.withdraw(gid)
        again = await agent.agreements.withdraw(gid)
        assert again["repeat"]
        world.clock.advance(13 * 3600)
        assert await agent.consent.renew_due() == 0
        with pytest.raises(Refusal) as refusal:
            await queue(agent, gid)
        assert refusal.value.code == "BASIS"


async def test_a_staple_is_renewed_twice_a_day(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        gid = await give(agent)
        assert await agent.consent.renew_due() == 0
        world.clock.advance(12 * 3600)
        assert await agent.consent.renew_due() == 1
        await agent.posting.flush()
        held = await agent.consent.held(gid)
        assert held.status.peek()["ts"] == world.now
        assert {row.code for row in await rows(agent, posts)} == {None}


async def test_an_agreement_given_while_somebody_could_hear_is_none(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        evidence = {**agreement("IDVAS")["evidence"], "alone_when_asked": False}
        with pytest.raises(Refusal) as refusal:
            await give(agent, evidence=evidence)
        assert refusal.value.code == "NOT_ALONE"


async def test_words_leave_the_outbox_when_every_desk_has_ended(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        await queue(peacock)
        await peacock.outbox.flush()
        await collect(idvas)
        await collect(peacock)
        assert (await rows(peacock, outbox))[0].draft is not None
        place = (await rows(idvas, inbox))[0].id
        await idvas.office.take_on(place, TakeOn(role="idva"))
        await idvas.receipts.flush()
        await collect(peacock)
        assert (await rows(peacock, outbox))[0].draft is None


async def test_a_message_to_an_erased_key_is_sealed_again_by_itself(world):
    """The recipient's agent no longer holds the prekey: its rejection makes the sender seal once more."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        keys = idvas.inbox._judge._keys
        queued = await queue(peacock)
        await peacock.outbox.flush()
        idvas.inbox._judge._keys = world.parties["IDVAS"].member.agent.without_prekeys()
        await collect(idvas)
        idvas.inbox._judge._keys = keys
        await collect(peacock)
        await peacock.outbox.flush()
        await collect(idvas)
        await collect(peacock)
        states = sorted(row.state for row in await rows(idvas, inbox))
        assert states == ["opened", "rejected"]
        assert (await desk_of(peacock, queued["mid"]))["says"] == "opened"


async def test_a_wrong_clock_is_named(world):
    async with world.relay():
        agent = await open_agent(world, "Peacock")
        try:
            clock = world.clock()
            agent.relay._clock = lambda: clock + DAY
            with pytest.raises(Refusal) as refusal:
                await agent.book.refresh()
            assert refusal.value.code in ("CLOCK", "UNAUTHENTICATED")
        finally:
            await agent.close()


async def test_half_a_page_of_bad_deliveries_does_not_stop_the_good_ones(world):
    class Mixed(Relay):
        async def mailbox(self, wait=0, limit=64, again=None):
            page = await super().mailbox(0, limit, again)
            return Page(page.head, tuple(d if at % 2 else b"garbage" for at, d in enumerate(page.deliveries)))

    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Mixed) as idvas:
        gid = await give(peacock)
        for number in range(6):
            await queue(peacock, gid, str(number))
        await peacock.outbox.flush()
        await collect(idvas)
        assert len(await rows(idvas, inbox)) >= 3
