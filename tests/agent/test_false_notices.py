"""A relay that says of a message what is not so: it is written down as its fault, and nothing is lost (D7, C6).

The relay is the real one. `Liar` stands on the line and adds notices of its own to what the relay really says.
"""

import pytest
from sqlalchemy import select, update

from agent.client import Page, Relay
from agent.forms import Give, Send
from agent.tables import inbox, sealings
from schemas import api
from schemas.signing import Signed
from tests.agent.agencies import agreement, form, quiet
from tests.agent.test_late_release import codes, kept, read
from tests.simulated_world import World

DAY = 24 * 3600
FALSE = ["RECORD_DIFFERS"]


class Liar(Relay):
    """The line to the real relay, which also hands out `lies`. `came` is what it handed out last."""

    lies: tuple[api.Notice, ...] = ()
    came: tuple[bytes, ...] = ()

    async def mailbox(self, wait=0, limit=64, again=None):
        page = await super().mailbox(0, limit, again)
        notices = (*page.head.notices, *self.lies)
        self.lies, self.came = (), page.deliveries or self.came
        return Page(page.head.model_copy(update={"notices": notices}), page.deliveries)


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def notice(world, kind, eid, gid=None, signed=None, a="IDVAS"):
    evidence = None if signed is None else api.SignedJson(**signed.to_json())
    return api.Notice(
        id=77, kind=kind, ts=world.now, eid=eid, mid=None, gid=gid,
        a=world.parties[a].id, d="intake", evidence=evidence,
    )  # fmt: skip


async def sent(peacock, **changes):
    """A message under an agreement of its own; its id and the handle."""
    given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
    queued = await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"], **changes)))
    await peacock.posting.flush()
    await peacock.outbox.flush()
    return queued["eid"], given


async def state(peacock, eid):
    return (await peacock.showing.message(eid))["desks"][0]["state"]


@pytest.mark.parametrize("kind", ["withdrawn", "recall"])
async def test_a_genuine_withdrawal_of_another_agreement_ends_nothing(world, kind):
    async with (
        world.relay(),
        quiet(world, "Peacock", Liar) as peacock,
        quiet(world, "IDVAS", Liar) as idvas,
    ):
        other = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
        eid, given = await sent(peacock)
        await idvas.inbox.collect(0)
        withdrawal = world.withdrawal("Peacock", (await peacock.consent.held(other["gid"])).signed)
        for agent in (peacock, idvas):
            agent.relay.lies = (notice(world, kind, eid, other["gid"], withdrawal),)
            await agent.inbox.collect(0)
            assert await codes(agent, f"notice-{kind}") == FALSE
        assert await state(peacock, eid) == "opened"
        row = await kept(idvas)
        assert (row.state, row.withdrawn, row.message is not None) == ("opened", None, True)
        # The withdrawal itself is genuine, and counts for what it is about.
        gone = await peacock.consent.held(other["gid"])
        assert gone.withdrawal is not None
        assert (await peacock.consent.held(given["gid"])).withdrawal is None


async def test_a_narrowing_that_leaves_a_message_in_does_not_end_it(world):
    async with (
        world.relay(),
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS", Liar) as idvas,
    ):
        eid, given = await sent(peacock)
        page = await peacock.relay.grant(given["gid"])
        first = Signed.from_json(page.grant.model_dump())
        await idvas.inbox.collect(0)
        await idvas.store.run(lambda c: c.execute(update(inbox).values(handed=None)).close())
        idvas.relay.lies = (notice(world, "withdrawn", eid, given["gid"], first),)
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.handed is not None) == ("opened", True)
        assert await codes(idvas, "notice-withdrawn") == FALSE


async def test_what_has_not_expired_by_our_own_clock_stays(world):
    async with (
        world.relay(),
        quiet(world, "Peacock", Liar) as peacock,
        quiet(world, "IDVAS", Liar) as idvas,
    ):
        eid, _ = await sent(peacock)
        await idvas.inbox.collect(0)
        for agent in (peacock, idvas):
            agent.relay.lies = (notice(world, "expired", eid),)
            await agent.inbox.collect(0)
            assert await codes(agent, "notice-expired") == FALSE
        assert await state(peacock, eid) == "opened"
        assert (await kept(idvas)).state == "opened"
        world.clock.advance((await kept(idvas)).exp - world.now - 200)  # clocks may differ by five minutes
        idvas.relay.lies = (notice(world, "expired", eid),)
        await idvas.inbox.collect(0)
        assert (await kept(idvas)).state == "expired"


@pytest.mark.parametrize("kind", ["expired", "withdrawn"])
async def test_bytes_that_were_signed_for_are_not_lost_to_a_word_of_the_relay(world, kind):
    """Collected and signed for, not open yet: the directory is too old to decide anything."""
    async with (
        world.relay(),
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS", Liar) as idvas,
    ):
        other = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
        eid, _ = await sent(peacock)
        await idvas.inbox.collect(0)
        words = {"state": "collected", "handed": None, "message": None, "delivery": idvas.relay.came[0]}
        await idvas.store.run(lambda c: c.execute(update(inbox).values(**words)).close())
        world.clock.advance(2 * DAY)
        signed = (
            None
            if kind == "expired"
            else world.withdrawal("Peacock", (await peacock.consent.held(other["gid"])).signed)
        )
        idvas.relay.lies = (notice(world, kind, eid, other["gid"], signed),)
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.delivery) == ("collected", idvas.relay.came[0])


async def test_what_waits_for_its_lead_does_not_lapse_before_its_time(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as peacock:
        queued = await peacock.office.send(read(Send, **form("IDVAS", anyway=True)))
        eid = queued["eid"]
        await peacock.store.run(lambda c: c.execute(update(sealings).values(state="held")).close())
        for days, said in ((0, "held"), (6, "refused")):
            world.clock.advance(days * DAY)
            peacock.relay.lies = (notice(world, "lapsed", eid, a="Peacock"),)
            await peacock.inbox.collect(0)
            row = await peacock.store.run(lambda c: c.execute(select(sealings)).one())
            assert (row.state, row.upload is None) == (said, said == "refused")
            assert await codes(peacock, "notice-lapsed") == FALSE
