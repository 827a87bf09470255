"""An agency's flags and sector change while a message is on its way: those of then decide, and nobody is blamed (Q9)."""

from dataclasses import replace

import pytest

from agent.forms import Give, Send
from keys_tooling.ceremony import admit
from tests.agent.agencies import agreement, form, quiet
from tests.agent.test_late_release import codes, kept, read
from tests.simulated_world import DESK, FLAGS, World

SUPPORT = {"purposes": ["SUPPORT"]}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", sectors={"IDVAS": "health"})


async def become(world, http, name, sector, desks=(DESK,), **flags):
    """Oversight enters an agency afresh."""
    oversight, whose = world.parties["oversight"], world.parties[name].id
    oversight.admin, again = admit(oversight.admin, whose, name, desks, {**FLAGS, **flags}, world.now, sector)
    answer = await world.post_statements(http, "oversight", ("directory", again))
    assert answer.json()["results"][0]["status"] == "recorded"


async def sent(peacock, **changes):
    given = await peacock.agreements.give(read(Give, **agreement("IDVAS", **SUPPORT)))
    law = {"b6": "6f", **changes}
    queued = await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"], law=law)))
    await peacock.posting.flush()
    await peacock.outbox.flush()
    return (await peacock.showing.message(queued["eid"]))["desks"][0]["state"]


@pytest.mark.parametrize("later", [60, 3600])
async def test_a_sender_that_became_a_public_authority_since_had_its_basis_then(world, later):
    """A public authority may not rely on 6f; when this was sent, the sender was none."""
    async with (
        world.relay(),
        world.session() as http,
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS") as idvas,
    ):
        assert await sent(peacock) == "queued"
        world.clock.advance(later)
        await become(world, http, "Peacock", "da_support", public_authority=True)
        await idvas.book.refresh()
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.handed is not None) == ("opened", True)
        assert await codes(idvas, "gate-fault") == []


async def test_what_was_sent_long_after_the_change_and_let_pass_is_still_a_fault_of_the_gate(world):
    """The relay here goes on by what was true before; the recipient by what is true now."""
    async with (
        world.relay() as relay,
        world.session() as http,
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS") as idvas,
    ):
        await become(world, http, "Peacock", "da_support", public_authority=True)
        world.clock.advance(3600)
        view = relay.relay.view.directory
        sender = view.member(world.parties["Peacock"].id)
        view.put(replace(sender, admissions=sender.admissions[:1]))
        assert await sent(peacock) == "queued"
        await idvas.book.refresh()
        await idvas.inbox.collect(0)
        assert (await kept(idvas)).state == "rejected"
        assert await codes(idvas, "gate-fault") == ["PAPER_PUBLIC"]


async def test_a_desk_that_was_closed_since_is_no_reason_to_reject_what_it_sent(world):
    async with (
        world.relay(),
        world.session() as http,
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS") as idvas,
    ):
        assert await sent(peacock) == "queued"
        world.clock.advance(3600)
        await become(world, http, "Peacock", "da_support", desks=("night",))
        await idvas.book.refresh()
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.code, row.handed is not None) == ("opened", None, True)
