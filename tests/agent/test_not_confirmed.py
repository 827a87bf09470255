"""A withdrawal that never came gains a relay a day: then what rests on the agreement waits for a fresh word (V10, C2).

The relay is the real one. `Mute` stands on the issuer's line and lets no statement through; `Silent` on the
recipient's keeps deliveries and notices back, and shows agreements as they were when it was first asked.
"""

import contextlib

import pytest
from sqlalchemy import select, update

from agent.client import Relay
from agent.forms import Give, Send
from agent.others import remember
from agent.proofs import vouched
from agent.tables import grants, inbox
from schemas.errors import Refusal
from schemas.signing import Purpose, Signed
from tests.agent.agencies import agreement, form, quiet
from tests.agent.test_late_release import DUTY, Hider, codes, kept, know, read, said, sent
from tests.simulated_world import World

HOUR, DAY = 3600, 24 * 3600
STALE = "STATUS_STALE"


class Mute(Relay):
    """Lets no statement through while it is `mute`: a withdrawal stays with whoever signed it."""

    mute = False

    async def post_statements(self, asked):
        if self.mute:
            raise Refusal("RELAY_AWAY")
        return await super().post_statements(asked)


class Silent(Hider):
    """Shows every agreement as it was when it was first asked for, and can seem to be away."""

    frozen = None
    away = False

    async def grant(self, gid):
        if self.away:
            raise TimeoutError
        if self.frozen is None:
            self.frozen = await super().grant(gid)
        return self.frozen


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def hidden(world, peacock, idvas, days=3, **changes):
    """A message that was sent, kept by the relay, withdrawn since, and is handed out now; the agreement."""
    given = await sent(peacock, idvas, **changes)
    await idvas.relay.grant(given["gid"])
    world.clock.advance(60)
    peacock.relay.mute = True
    with contextlib.suppress(Refusal):
        await peacock.agreements.withdraw(given["id"])
    world.clock.advance(days * DAY)
    await hand_out(idvas)
    return given


async def hand_out(idvas):
    await idvas.book.refresh()
    idvas.relay.give = idvas.relay.deaf = True
    await idvas.inbox.collect(0)
    idvas.relay.give = False


async def again(world, idvas, seconds):
    world.clock.advance(seconds)
    await idvas.book.refresh()
    await idvas.inbox.collect(0)
    return await kept(idvas)


async def test_after_a_day_it_is_not_handed_over_on_an_old_word(world):
    async with (
        world.relay(),
        quiet(world, "Peacock", Mute) as peacock,
        quiet(world, "IDVAS", Silent) as idvas,
    ):
        await hidden(world, peacock, idvas)
        row = await kept(idvas)
        assert (row.state, row.handed, row.unsure) == ("opened", None, world.now)
        assert await codes(idvas, "not-confirmed") == [STALE]
        assert set(await said(idvas)) == {"collected"}  # that every rule held is not said of it
        assert await idvas.showing.inbox() == []
        state = await idvas.showing.status()
        assert state["unconfirmed"] == 1
        [shown] = state["not_confirmed"]
        assert (shown["from"]["name"], shown["says"].partition(":")[0]) == ("Peacock", "not confirmed")


async def test_a_day_later_it_is_given_back_and_both_sides_hear_why(world):
    async with (
        world.relay(),
        quiet(world, "Peacock", Mute) as peacock,
        quiet(world, "IDVAS", Silent) as idvas,
    ):
        given = await hidden(world, peacock, idvas, days=2)
        assert (await again(world, idvas, DAY - 60)).state == "opened"
        row = await again(world, idvas, 16 * 60)
        assert (row.state, row.code, row.message, row.handed) == ("rejected", STALE, None, None)
        assert (await said(idvas))["rejected"] == "not-confirmed"
        assert await codes(idvas, "rejected") == [STALE]
        assert (await idvas.showing.status())["unconfirmed"] == 0
        assert given["gid"]
        await idvas.inbox.resume()
        await peacock.book.refresh()
        await peacock.inbox.collect(0)
        [message] = await peacock.showing.sent()
        [desk] = message["desks"]
        assert (desk["state"], desk["reason"]) == ("rejected", "not-confirmed")
        assert "still stands" in desk["says"]


async def test_a_fresh_staple_lets_it_go(world):
    """The issuer's agent was off for two days, or the relay slow: nobody withdrew anything."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Silent) as idvas:
        given = await sent(peacock, idvas)
        world.clock.advance(2 * DAY)
        await hand_out(idvas)
        assert (await kept(idvas)).unsure is not None
        idvas.relay.frozen = None
        await peacock.consent.renew_due()
        await peacock.posting.flush()
        row = await again(world, idvas, 60)
        assert row.handed is None  # asked for a minute ago
        row = await again(world, idvas, 15 * 60)
        assert (row.state, row.unsure, row.handed is not None) == ("opened", None, True)
        await idvas.inbox.resume()
        assert "opened" in await said(idvas)
        assert (await idvas.consent.held(given["gid"])).status is not None


async def test_a_fresh_staple_that_is_there_when_it_is_opened_lets_it_go_at_once(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Hider) as idvas:
        await sent(peacock, idvas)
        world.clock.advance(2 * DAY)
        await peacock.consent.renew_due()
        await peacock.posting.flush()
        await hand_out(idvas)
        assert (await kept(idvas)).handed is not None
        assert await codes(idvas, "not-confirmed") == ["STATUS_STALE"]


async def test_within_the_day_its_own_staple_is_enough_though_the_relay_is_away(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Silent) as idvas:
        await sent(peacock, idvas)
        idvas.relay.away = True
        world.clock.advance(23 * HOUR)
        await hand_out(idvas)
        assert (await kept(idvas)).handed is not None


async def test_what_was_opened_in_time_and_held_up_afterwards_needs_a_word_of_now(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Silent) as idvas:
        given = await sent(peacock, idvas)
        await idvas.relay.grant(given["gid"])
        await hand_out(idvas)
        await idvas.store.run(lambda c: c.execute(update(inbox).values(handed=None)).close())
        row = await again(world, idvas, 2 * DAY)
        assert (row.handed, row.unsure is not None) == (None, True)


async def test_while_the_relay_gives_no_answer_it_is_given_back_before_its_end_and_not_sooner(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Silent) as idvas:
        await sent(peacock, idvas)
        world.clock.advance(2 * DAY)
        idvas.relay.away = True
        await hand_out(idvas)
        row = await again(world, idvas, 2 * DAY)
        assert row.state == "opened"
        row = await again(world, idvas, row.exp - world.now - 500)
        assert (row.state, row.reason) == ("rejected", "not-confirmed")


async def test_the_withdrawal_itself_ends_what_waits(world):
    async with (
        world.relay(),
        quiet(world, "Peacock", Mute) as peacock,
        quiet(world, "IDVAS", Silent) as idvas,
    ):
        await hidden(world, peacock, idvas)
        peacock.relay.mute = idvas.relay.deaf = False
        await peacock.posting.flush()
        row = await again(world, idvas, 60)
        assert (row.state, row.message, row.handed) == ("withdrawn", None, None)


async def test_what_stands_without_its_agreement_is_not_kept_waiting(world):
    async with (
        world.relay(),
        quiet(world, "Peacock", Mute) as peacock,
        quiet(world, "IDVAS", Silent) as idvas,
    ):
        await hidden(world, peacock, idvas, law=DUTY)
        row = await kept(idvas)
        assert (row.alone, row.handed is not None) == (1, True)


async def test_a_red_goes_with_an_alert(world):
    """Its agreement was withdrawn and the relay hides that: an old staple is a fault on paper (C9, row 9)."""
    red = {**form("IDVAS")["payload"], "rag": "RED"}
    async with (
        world.relay(),
        quiet(world, "Peacock", Mute) as peacock,
        quiet(world, "IDVAS", Silent) as idvas,
    ):
        await hidden(world, peacock, idvas, payload=red)
        row = await kept(idvas)
        assert (row.alone, row.unproven, row.alert, row.handed is not None) == (0, 1, 1, True)


async def test_the_issuer_needs_nobodys_word_for_its_own_agreement(world):
    """An answer rests on the same handle, and comes days later."""
    async with world.relay(), quiet(world, "Peacock", Hider) as peacock, quiet(world, "IDVAS") as idvas:
        given = await sent_back(peacock, idvas)
        world.clock.advance(2 * DAY)
        await hand_out(peacock)
        row = await kept(peacock)
        assert (row.gid, row.alone, row.handed is not None) == (given["gid"], 0, True)


async def sent_back(peacock, idvas):
    """An answer under the agency's own handle, which the line to it kept; the agreement."""
    given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
    await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"])))
    await peacock.posting.flush()
    await know(idvas, given["gid"])
    await idvas.consent.ask(given["gid"])
    await idvas.office.send(read(Send, **form("Peacock", gid=given["gid"])))
    await idvas.outbox.flush()
    peacock.relay.hide = True
    await peacock.inbox.collect(0)
    peacock.relay.hide = False
    assert len(peacock.relay.kept[1]) == 1
    return given


async def test_a_staple_that_its_issuer_did_not_sign_confirms_nothing(world):
    """A RED may bring anything along; what its issuer did not sign is not kept, and vouches for no other message."""
    async with (
        world.relay(),
        quiet(world, "Peacock", Mute) as peacock,
        quiet(world, "IDVAS", Silent) as idvas,
    ):
        given = await hidden(world, peacock, idvas)
        held = await idvas.consent.held(given["gid"])
        stranger = world.parties["IDVAS"].member.agent.consent
        value = {**held.status.peek(), "ts": world.now, "exp": world.now + DAY, "signer": stranger.kid}
        forged = Signed.make(stranger, Purpose.STATUS, value)
        grant, staple = vouched(held.signed, forged, idvas.book.latest)
        assert (grant, staple) == (held.signed, None)
        own = {**held.signed.peek(), "iss": world.parties["IDVAS"].id, "signer": stranger.kid, "ver": 2}
        taken = Signed.make(stranger, Purpose.GRANT, own)
        await idvas.store.run(lambda c: remember(c, taken, forged))
        row = await idvas.store.run(lambda c: c.execute(select(grants)).one())
        assert row.grant_t == held.signed.text.decode()
        assert (await again(world, idvas, 60)).handed is None
