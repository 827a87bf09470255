"""A relay that says "over" of a message that nobody here has seen yet, and shows nothing for it (D8)."""

import json

import pytest
from sqlalchemy import event, insert, select

from agent.client import Relay
from agent.denials import denied, deny
from agent.doctor import _kept_back
from agent.forms import Give, Send
from agent.tables import inbox
from schemas import api
from schemas.errors import Refusal
from tests.agent.agencies import agreement, form, quiet
from tests.agent.test_late_release import DUTY, codes
from tests.simulated_world import World

DAY = 24 * 3600
MANY = 20


class Liar(Relay):
    """The line to the real relay; it answers a first step with `says`, and carries none."""

    says = None

    async def post_receipts(self, request):
        if self.says is None or not request.receipts:
            return await super().post_receipts(request)
        await super().post_receipts(api.ReceiptsRequest(notices=request.notices))
        said = [json.loads(receipt.t) for receipt in request.receipts]
        return api.ReceiptResults(
            results=tuple(
                api.ReceiptResult(eid=one["eid"], d=one["d"], status="refused", code=self.says)
                for one in said
            )
        )


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def read(model, **value):
    return model.model_validate_json(json.dumps(value))


async def sent(peacock, **changes):
    given = await peacock.agreements.give(read(Give, **agreement("IDVAS")))
    queued = await peacock.office.send(read(Send, **form("IDVAS", gid=given["gid"], **changes)))
    await peacock.outbox.flush()
    return given, queued


async def kept(idvas):
    (row,) = await idvas.store.run(lambda c: c.execute(select(inbox)).all())
    return row


@pytest.mark.parametrize("says", ["ENDED", "NOT_FOUND", "CONFLICT"])
async def test_what_the_relay_calls_over_without_a_proof_is_kept_back_and_not_dropped(world, says):
    """When it takes that back, or hands the message out again, its desk gets it."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        _, queued = await sent(peacock)
        idvas.relay.says = says
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.handed, row.message is not None) == ("opened", None, True)
        assert await codes(idvas, "over-unproven") == [says]
        (told,) = (await idvas.showing.status())["over_unproven"]
        assert told["from"]["name"] == "Peacock"
        with pytest.raises(Refusal, match=r"kept back.*Peacock"):
            _kept_back(await idvas.showing.status())
        await idvas.inbox.resume()
        assert (await kept(idvas)).handed is None
        idvas.relay.says = None
        await idvas.inbox.collect(0)  # the relay never had a step of ours, so it hands it out again
        row = await kept(idvas)
        assert (row.state, row.handed is not None, row.denied) == ("opened", True, None)
        assert (await idvas.showing.status())["over_unproven"] == []
        await peacock.inbox.collect(0)
        assert (await peacock.showing.message(queued["mid"]))["desks"][0]["state"] == "opened"


async def test_a_red_is_kept_back_too(world):
    red = {"law": {"b6": "6f", "agree": "NOT_SOUGHT", "why_no": "F", "told": "YES"}}
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        what = form("IDVAS", **red)
        what["payload"] = {**what["payload"], "rag": "RED"}
        await peacock.office.send(read(Send, **what))
        await peacock.outbox.flush()
        idvas.relay.says = "ENDED"
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.rag, row.state, row.handed) == ("RED", "opened", None)
        assert (await idvas.showing.status())["over_unproven"][0]["rag"] == "RED"


@pytest.mark.parametrize("law", [{}, {"law": DUTY}], ids=["on the agreement", "on a duty"])
async def test_the_withdrawal_is_the_proof(world, law):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        given, _ = await sent(peacock, **law)
        idvas.relay.says = "ENDED"
        await idvas.inbox.collect(0)
        await peacock.agreements.withdraw(given["id"])
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.message, row.handed) == ("withdrawn", None, None)
        assert (await idvas.showing.status())["over_unproven"] == []


async def test_its_own_time_is_the_proof(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        await sent(peacock)
        idvas.relay.says = "ENDED"
        await idvas.inbox.collect(0)
        world.clock.advance((await kept(idvas)).exp - world.now)
        await idvas.inbox.resume()
        assert (await kept(idvas)).state == "opened"
        world.clock.advance(1)
        await idvas.book.refresh()  # our clock alone ends nothing for good
        await idvas.inbox.resume()
        row = await kept(idvas)
        assert (row.state, row.message, row.handed) == ("expired", None, None)


async def test_an_honest_end_that_crossed_our_step_is_dropped_at_once(world):
    """It was withdrawn between the page and our first step; the notice with the proof came on the page before."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        given, _ = await sent(peacock)
        flush = idvas.receipts.flush

        async def late(notices=()):
            idvas.receipts.flush = flush
            await peacock.agreements.withdraw(given["id"])
            await flush(notices)

        idvas.receipts.flush = late
        await idvas.inbox.collect(0)
        assert (await kept(idvas)).handed is None
        await idvas.inbox.collect(0)
        row = await kept(idvas)
        assert (row.state, row.message, row.handed) == ("withdrawn", None, None)
        assert (await idvas.showing.status())["over_unproven"] == []


async def test_each_message_that_is_kept_back_costs_the_same_however_many_are(world):
    """A relay that calls everything over must not bring the agent to a stand."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS", Liar) as idvas:
        await sent(peacock)
        idvas.relay.says = "ENDED"
        await idvas.inbox.collect(0)
        row = (await kept(idvas))._asdict()
        asked = []
        event.listen(
            idvas.store._engine, "before_cursor_execute", lambda _c, _cursor, text, *_: asked.append(text)
        )

        def work(c):
            for at in range(MANY):
                fresh = {"id": f"{at}-intake", "eid": f"{at:043d}", "denied": None}
                c.execute(insert(inbox).values({**row, **fresh}))
                before = len(asked)
                deny(c, fresh["eid"], row["d"], "ENDED", world.now)
                costs.append(len(asked) - before)
            return len(denied(c))

        costs = []
        assert await idvas.store.run(work) == MANY + 1
        assert len(set(costs)) == 1
