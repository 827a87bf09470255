"""A clock that was wrong when somebody said something: a no is taken at once, and neither no nor yes is held up (J3)."""

import contextlib

import pytest
from sqlalchemy import select

from agent.consent_dates import UNSURE
from agent.consent_forms import Ask, CannotGive, Refuse
from agent.standing import of_case
from agent.tables import agreements, answers, posts, shares
from schemas.agreement import LONGEST, PAUSE, REVIEW
from schemas.errors import Refusal
from tests.agent.agencies import EVIDENCE, agreement, quiet
from tests.agent.test_consent import DAY, LIMITED, give, handles, read, refused, send
from tests.simulated_world import World

HOUR = 3600
NOS = {"REASON", "REFUSED", "PAPER_BASIS", "BASIS", "WITHDRAWN"}
LEAD = {"best_interests": "Weighed with the advocate.", "assessed_by": "safeguarding-lead"}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


def again(**more):
    lists = {"to": ["IDVAS"], "purposes": ["SUPPORT"], "categories": agreement("IDVAS")["categories"]}
    return read(Ask, evidence=EVIDENCE, **lists, **more)


async def acts(agent):
    return await agent.store.run(
        lambda c: list(c.execute(select(answers.c.act).order_by(answers.c.n)).scalars())
    )


async def row(agent, name):
    return await agent.store.run(lambda c: c.execute(select(agreements).where(agreements.c.id == name)).one())


async def waiting(agent):
    found = select(posts).where(posts.c.posted == 0)
    return len(await agent.store.run(lambda c: c.execute(found).all()))


@contextlib.asynccontextmanager
async def alone(world, wrong):
    """Peacock's agent while its clock is wrong by so many seconds, and the relay does not answer it."""
    world.clock.advance(wrong)
    async with quiet(world, "Peacock") as agent:
        yield agent
    world.clock.advance(60 - wrong)


STOPS = {
    "withdrawn": lambda agent, name: agent.agreements.withdraw(name),
    "cannot decide": lambda agent, name: agent.agreements.cannot_give(
        name, read(CannotGive, **LEAD, review_on="2026-12-20")
    ),
}


@pytest.mark.parametrize(
    ("stop", "behind"), [("withdrawn", 1), ("withdrawn", 9 * DAY), ("cannot decide", HOUR)]
)
async def test_a_stop_counts_at_once_on_a_clock_that_has_gone_back(world, stop, behind):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)
        await send(agent, given["id"])
        world.clock.advance(-behind)
        await STOPS[stop](agent, given["id"])
        assert (await agent.view.agreement(given["id"]))["standing"] in ("WITHDRAWN", "CANNOT_GIVE")
        assert all(handle.withdrawal_t is not None for handle in await handles(agent))
        assert await refused(send(agent, given["id"])) in NOS | {"STALE_KEY"}  # none that stood nine days ago


async def test_a_stop_counts_at_once_after_a_yes_that_was_dated_ahead_and_the_relay_hears_of_it(world):
    async with world.relay(), quiet(world, "Peacock"):
        pass
    async with alone(world, 20 * HOUR) as agent:
        given = await give(agent)
    async with world.relay(), quiet(world, "Peacock") as agent:
        assert (await agent.agreements.withdraw(given["id"]))["at_the_relay"]
        assert (await agent.view.agreement(given["id"]))["standing"] == "WITHDRAWN"
        assert await waiting(agent) == 0


async def test_somebody_may_say_that_less_goes_on_a_clock_that_has_gone_back(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)
        world.clock.advance(-2 * DAY)
        less = await agent.agreements.ask(given["id"], "limit", read(Ask, evidence=LIMITED))
        assert less["standing"] == "LIMITED"


async def test_a_no_that_was_recorded_on_a_clock_ahead_holds_up_no_later_yes(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)
        await send(agent, given["id"])
        await agent.posting.flush()
    async with alone(world, 40 * DAY) as agent:
        assert not (await agent.agreements.withdraw(given["id"]))["at_the_relay"]
        assert await waiting(agent) == 1
    async with world.relay(), quiet(world, "Peacock") as agent:
        assert await agent.posting.flush()
        (handle,) = await handles(agent)
        assert f'"ts":{world.now}' in handle.withdrawal_t  # signed anew, and the relay has it
        assert await waiting(agent) == 0
        yes = await agent.agreements.ask(given["id"], "give", again())
        assert (yes["standing"], yes["version"], yes["at_the_relay"]) == ("GIVEN", 3, True)
        await send(agent, given["id"])
        assert await acts(agent) == ["give", "withdraw", "dated-anew", "give"]
        assert (await row(agent, given["id"])).since == world.now


async def test_a_pause_that_nobody_chose_is_counted_from_when_the_clock_was_right_again(world):
    async with alone(world, 3650 * DAY) as agent:
        no = await agent.agreements.refuse(None, read(Refuse))
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.agreements.tend()
        kept, began = await row(agent, no["id"]), world.now
        assert (kept.since, kept.ask_again_after) == (began, began + PAUSE)
        assert await refused(agent.agreements.ask(no["id"], "give", again())) == "ASKED_LATELY"
        world.clock.advance(PAUSE)
        await agent.book.refresh()
        await agent.agreements.tend()
        assert (await agent.agreements.ask(no["id"], "give", again()))["standing"] == "GIVEN"
        assert (await acts(agent)).count("dated-anew") == 1


async def test_a_day_that_somebody_chose_stays(world):
    async with alone(world, 20 * DAY) as agent:
        no = await agent.agreements.refuse(None, read(Refuse, ask_again_after="2027-03-01"))
        before = (await row(agent, no["id"])).ask_again_after
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.agreements.tend()
        kept = await row(agent, no["id"])
        assert (kept.since, kept.ask_again_after) == (world.now, before)
        assert await refused(agent.agreements.ask(no["id"], "give", again())) == "ASKED_LATELY"
        assert (await agent.agreements.ask(no["id"], "give", again(own_accord=True)))["standing"] == "GIVEN"


async def test_nothing_lasts_longer_than_a_fresh_answer_would(world):
    world.clock.advance(10 * HOUR)
    async with world.relay(), quiet(world, "Peacock"):
        pass
    async with alone(world, 20 * HOUR) as agent:
        long = await give(agent, evidence={**EVIDENCE, "asked_on": "2026-11-23", "valid_until": "2027-11-23"})
    async with alone(world, 300 * DAY) as agent:
        other = await agent.agreements.cannot_give(None, read(CannotGive, **LEAD, review_on="2027-11-20"))
    async with world.relay(), quiet(world, "Peacock") as agent:
        until, review = (await row(agent, long["id"])).until, (await row(agent, other["id"])).review_on
        assert (until > world.now + LONGEST, review > world.now + REVIEW) == (True, True)
        await agent.agreements.tend()
        until, review = (await row(agent, long["id"])).until, (await row(agent, other["id"])).review_on
        assert (until, review) == (world.now + LONGEST, world.now + REVIEW)


async def test_while_nobody_knows_whose_clock_is_wrong_a_yes_waits_and_a_no_does_not(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        given = await give(agent)
        await agent.agreements.withdraw(given["id"])
    async with alone(world, -3 * DAY) as agent:
        with pytest.raises(Refusal, match="CLOCK") as refusal:
            await agent.agreements.ask(given["id"], "give", again())
        assert refusal.value.say == UNSURE
        await agent.agreements.tend()
        assert await acts(agent) == ["give", "withdraw"]  # and nothing is dated anew by such a clock
        assert (await agent.agreements.refuse(None, read(Refuse)))["standing"] == "REFUSED"
    async with world.relay(), quiet(world, "Peacock") as agent:
        assert (await agent.agreements.ask(given["id"], "give", again()))["standing"] == "GIVEN"


async def test_a_handle_that_was_dated_ahead_is_not_sealed_with(world):
    async with world.relay(), quiet(world, "Peacock"):
        pass
    async with alone(world, 20 * HOUR) as agent:
        given = await give(agent)
    async with world.relay(), quiet(world, "Peacock") as agent:
        await send(agent, given["id"])
        assert len(await handles(agent)) == 2
        await agent.posting.flush()
        await agent.outbox.flush()
        assert [one["desks"][0]["state"] for one in await agent.showing.sent()] == ["queued"]
        await agent.agreements.withdraw(given["id"])
        assert all(handle.withdrawal_t is not None for handle in await handles(agent))


async def test_of_two_agreements_of_a_case_the_one_that_was_recorded_last_counts_whatever_its_date(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        first, second = await give(agent), await give(agent)
        for given in (first, second):
            await send(agent, given["id"], case_ref="case 7")
    async with alone(world, 20 * HOUR) as agent:
        await agent.agreements.ask(first["id"], "renew", read(Ask, evidence=EVIDENCE))
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.agreements.withdraw(second["id"])
        to, now = frozenset({world.parties["IDVAS"].id}), world.now
        (subject,) = await agent.store.run(lambda c: set(c.execute(select(shares.c.subject)).scalars()))
        for look in (lambda: None, agent.agreements.tend):
            if (work := look()) is not None:
                await work
            assert await agent.store.run(lambda c: of_case(c, subject, to, now)) == "WITHDRAWN"
