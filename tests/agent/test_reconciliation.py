"""Two agents and the real relay, a day later: what was dropped is found by name, on both sides (N1-N9)."""

import contextlib
import json
from dataclasses import replace
from typing import get_args

import pytest
from sqlalchemy import create_engine, delete, select, text, update

from agent.doctor import _lists
from agent.findings import OURS, THEIRS
from agent.forms import Give, Reject, Send, TakeOn, read_form
from agent.ladder import step
from agent.pairs import ABSENT, forget_missing, gap_before, missing_from
from agent.reconciliation import PATIENCE
from agent.tables import days, findings, inbox, ladder, outbox, pairs, receipts, reports, sealings
from schemas.canonical import encode, unb64
from schemas.errors import Refusal
from schemas.messages.catalogue import parse_payload, print_payload
from schemas.reconciliation import (
    DAY,
    SETTLE,
    SPREAD,
    WINDOW,
    Account,
    Item,
    Kind,
    day_of,
    day_text,
    write,
)
from tests.agent.agencies import agreement, eventually, form, quiet, running
from tests.simulated_world import NOW, World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")
TODAY = day_of(NOW)
DUE = SETTLE + SPREAD


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "broker.app.PROCESSORS", 1
    )  # signatures are checked in this process: it starts faster
    return World.again(tmp_path, "Peacock", "IDVAS")


@contextlib.asynccontextmanager
async def pair(world):
    async with world.relay() as relay, quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        yield relay, peacock, idvas


async def send(agent, to="IDVAS", **changes):
    """Queue a message that rests on a fresh agreement; returns its id and eid."""
    given = await agent.agreements.give(Give.model_validate_json(encode(agreement(to))))
    queued = await agent.office.send(Send.model_validate_json(encode(form(to, gid=given["gid"], **changes))))
    await agent.outbox.flush()
    return queued


async def collect(*agents):
    """Every agent takes all that waits for it, twice over, so that everybody has heard of everything."""
    for _ in range(2):
        for agent in agents:
            await agent.inbox.collect(0)


async def pass_days(world, agents, days=1):
    """Go on to when the day's lists are written."""
    world.clock.now = (day_of(world.now) + days) * DAY + DUE
    for agent in agents:
        await wake(agent)


async def wake(agent):
    """What the loops do by themselves, after the clock went on by hours."""
    await agent.book.refresh()
    await agent.watch.round()
    await agent.consent.renew_due()
    await agent.posting.flush()


async def reconcile(*agents):
    """Each writes, each reads, each weighs."""
    await collect(*agents)
    for agent in agents:
        await agent.reconciliation.round(agent.inbox.emptied)
        await agent.outbox.flush()
    await collect(*agents)
    for agent in agents:
        await agent.reconciliation.round(agent.inbox.emptied)


async def the_next_day(world, *agents, days=1):
    await pass_days(world, agents, days)
    await reconcile(*agents)


async def found(agent, **changes):
    shown = await agent.showing.reconciliation(**changes)
    return [(item["kind"], item["eid"]) for item in shown["findings"]]


async def item_of(agent, eid):
    return await agent.store.run(lambda c: c.execute(select(inbox).where(inbox.c.eid == eid)).one())


async def take_on(agent, eid):
    await agent.office.take_on((await item_of(agent, eid)).id, TakeOn(role="idva"))
    await agent.inbox.resume()


def drop(world, eid):
    """The relay loses a message, its operator says nothing, and its log goes on."""
    engine = create_engine(f"sqlite:///{world.folder}/relay/relay.db")
    with engine.begin() as connection:
        for table in ("deliveries", "envelopes"):
            gone = connection.execute(text(f"DELETE FROM {table} WHERE eid = :eid"), {"eid": unb64(eid, 32)})
            assert gone.rowcount == 1
    engine.dispose()


# --- the point of it


async def test_a_day_on_which_all_arrived_leaves_nothing(world):
    async with pair(world) as (_, peacock, idvas):
        first, second = await send(peacock), await send(idvas, "Peacock")
        await collect(peacock, idvas)
        await take_on(idvas, first["eid"])
        await take_on(peacock, second["eid"])
        await the_next_day(world, peacock, idvas)
        for agent in (peacock, idvas):
            shown = await agent.showing.reconciliation()
            assert shown["findings"] == []
            (day,) = shown["days"]
            assert (day["day"], day["answered"] is not None) == (day_text(TODAY), True)
            assert day["ours"]["sent"]["sent"]["count"] == day["theirs"]["got"]["collected"]["count"] == 1
            assert day["ours"]["sent"]["sent"]["root"] == day["theirs"]["got"]["collected"]["root"]
            assert day["ours"]["got"]["taken_on"] == day["theirs"]["sent"]["taken_on"]
            counts = (await agent.showing.status())["reconciliation"]
            assert counts == {"differences": 0, "unanswered": 0, "open": 0, "last_day": day_text(TODAY)}


async def test_a_message_that_the_relay_dropped_is_named_to_both_sides(world):
    async with pair(world) as (_, peacock, idvas):
        kept, lost = await send(peacock), await send(peacock)
        drop(world, lost["eid"])
        await collect(peacock, idvas)
        await take_on(idvas, kept["eid"])
        await the_next_day(world, peacock, idvas)
        assert await found(peacock) == await found(idvas) == [("not-seen", lost["eid"])]
        (ours,) = (await peacock.showing.reconciliation())["findings"]
        (theirs,) = (await idvas.showing.reconciliation())["findings"]
        assert (ours["sent_by_us"], ours["id"], ours["number"]) == (True, lost["id"], 2)
        assert (theirs["sent_by_us"], theirs["id"], theirs["number"]) == (False, None, 2)
        assert "IDVAS" in ours["says"]
        assert (
            theirs["says"] == "Peacock sent this, and it never came here. Ring them: they can send it again."
        )
        for agent in (peacock, idvas):
            assert (await agent.showing.status())["reconciliation"]["differences"] == 1


async def test_when_nothing_at_all_arrived_the_other_side_learns_it_from_the_list(world):
    async with pair(world) as (_, peacock, idvas):
        lost = await send(peacock)
        drop(world, lost["eid"])
        await the_next_day(world, peacock, idvas)
        # IDVAS knew of nothing that day: it answers because it was asked.
        await reconcile(idvas, peacock)
        assert await found(peacock) == await found(idvas) == [("not-seen", lost["eid"])]


async def test_what_nobody_took_on_is_named_and_settles_when_somebody_does(world):
    async with pair(world) as (_, peacock, idvas):
        sent = await send(peacock)
        await the_next_day(world, peacock, idvas)
        assert await found(peacock) == await found(idvas) == [("open", sent["eid"])]
        assert (await peacock.showing.status())["reconciliation"]["differences"] == 0
        assert (await peacock.showing.status())["reconciliation"]["open"] == 1
        await take_on(idvas, sent["eid"])
        await the_next_day(world, peacock, idvas)
        assert await found(peacock) == await found(idvas) == []
        (settled,) = (await peacock.showing.reconciliation(every=True))["findings"]
        assert settled["settled"] is not None


async def test_a_receipt_that_the_relay_kept_back_is_named_to_both_sides(world):
    async with pair(world) as (_, peacock, idvas):
        sent = await send(peacock)
        await collect(idvas)
        await take_on(idvas, sent["eid"])
        engine = create_engine(f"sqlite:///{world.folder}/relay/relay.db")
        with engine.begin() as connection:
            assert connection.execute(text("DELETE FROM notices")).rowcount == 3
        engine.dispose()
        await the_next_day(world, peacock, idvas)
        assert await found(peacock) == await found(idvas) == [("not-told", sent["eid"])]
        (ours,) = (await peacock.showing.reconciliation())["findings"]
        assert ours["says"] == 'IDVAS says "taken on" of this, and the relay has not told us so.'


# --- what is no difference


async def test_a_message_in_flight_at_midnight_is_no_difference(world):
    async with pair(world) as (_, peacock, idvas):
        first = await send(peacock)
        await collect(idvas)
        world.clock.now = (TODAY + 1) * DAY - 2
        for agent in (peacock, idvas):
            await wake(agent)
        late = await send(peacock)
        world.clock.now = (TODAY + 1) * DAY + 40
        await collect(peacock, idvas)
        await the_next_day(world, peacock, idvas, days=0)
        assert sorted(await found(peacock)) == sorted(await found(idvas))
        assert sorted(await found(peacock)) == sorted([("open", first["eid"]), ("open", late["eid"])])


@pytest.mark.parametrize("off", [-290, 290])
async def test_a_clock_that_is_five_minutes_off_makes_no_difference(world, off):
    """The agent's own clock, as its sealing and signing know it; requests are signed by the world's."""
    async with pair(world) as (_, peacock, idvas):
        for part in (idvas.inbox, idvas.receipts, idvas.reconciliation, idvas.outbox, idvas.notices):
            part._clock = lambda: world.clock() + off
        sent = await send(peacock)
        await collect(peacock, idvas)
        await take_on(idvas, sent["eid"])
        await the_next_day(world, peacock, idvas)
        await pass_days(world, (), 0)
        world.clock.advance(600)
        await reconcile(peacock, idvas)
        assert await found(peacock) == await found(idvas) == []


async def test_an_agency_that_was_away_three_days_makes_up_for_each_day_by_itself(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        eids = []
        for _ in range(3):
            eids.append((await send(peacock))["eid"])
            await the_next_day(world, peacock)
        days = (await peacock.showing.reconciliation())["days"]
        assert [day["day"] for day in days] == [day_text(TODAY + n) for n in (2, 1, 0)]
        # Two days after the first of them the silence itself is a finding.
        assert await found(peacock) == [("no-answer", None)]
        async with quiet(world, "IDVAS") as idvas:
            await wake(idvas)
            await reconcile(idvas, peacock)
            days = (await idvas.showing.reconciliation())["days"]
            assert [day["day"] for day in days] == [day_text(TODAY + n) for n in (2, 1, 0)]
            assert all(day["answered"] for day in days)
            for agent in (peacock, idvas):
                assert sorted(await found(agent)) == sorted(("open", eid) for eid in eids)


async def test_what_was_sealed_again_is_one_message_refused_and_one_taken_on(world):
    async with pair(world) as (_, peacock, idvas):
        first = await send(peacock)
        await collect(idvas)
        await idvas.office.reject((await item_of(idvas, first["eid"])).id, Reject(reason="cannot-read"))
        await idvas.inbox.resume()
        await collect(peacock)
        await peacock.outbox.flush()
        await collect(idvas, peacock)
        again = [row.eid for row in await rows(peacock, sealings) if row.eid != first["eid"]]
        assert len(again) == 1
        await take_on(idvas, again[0])
        await the_next_day(world, peacock, idvas)
        assert await found(peacock) == await found(idvas) == []
        (day,) = (await peacock.showing.reconciliation())["days"]
        assert day["ours"]["sent"]["sent"]["count"] == 2
        assert day["ours"]["sent"]["taken_on"]["count"] == 1


async def rows(agent, table):
    return await agent.store.run(lambda c: c.execute(select(table)).all())


async def test_what_the_relay_holds_for_a_lead_has_not_left_until_it_is_released(world):
    async with pair(world) as (_, peacock, idvas):
        held, last = await send(peacock), await send(peacock)
        delivery = await taken_out(world, held["eid"])
        await collect(idvas)
        await take_on(idvas, last["eid"])
        desk = (delivery["agency"], delivery["desk"])
        await peacock.store.run(lambda c: step(c, held["eid"], *desk, "held", world.now))
        await the_next_day(world, peacock, idvas)
        # Nobody there hears of it, but that its number has not left: so no gap.
        assert await found(peacock) == await found(idvas) == []
        assert held["eid"] not in (await rows(idvas, reports))[0].text
        await put_back(world, delivery)
        await peacock.store.run(lambda c: step(c, held["eid"], *desk, "released", world.now))
        await collect(idvas)
        await the_next_day(world, peacock, idvas)
        expected = [("late", held["eid"]), ("open", held["eid"])]
        assert sorted(await found(peacock)) == sorted(await found(idvas)) == expected


async def test_what_was_refused_withdrawn_or_expired_unseen_is_neither_a_difference_nor_a_gap(world):
    async with pair(world) as (relay, peacock, idvas):
        given = await peacock.agreements.give(Give.model_validate_json(encode(agreement("IDVAS"))))
        asked = Send.model_validate_json(encode(form("IDVAS", gid=given["gid"])))
        withdrawn = await peacock.office.send(asked)
        await peacock.outbox.flush()
        await peacock.agreements.withdraw(given["gid"])
        bare = form("IDVAS", anyway=True, law={"agree": "REFUSED", "b6": "6f"})
        refused = await peacock.office.send(Send.model_validate_json(encode(bare)))
        expired = await send(peacock, life=3600)
        world.clock.advance(4000)
        await relay.sweeper.sweep()
        last = await send(peacock)
        await collect(idvas, peacock)
        await take_on(idvas, last["eid"])
        await the_next_day(world, peacock, idvas)
        assert await found(peacock) == await found(idvas) == []
        ends = {"withdrawn": withdrawn, "refused": refused, "expired": expired, "taken-on": last}
        for state, queued in ends.items():
            assert (await peacock.showing.message(queued["mid"]))["desks"][0]["state"] == state


# --- stores that went wrong, numbers that went missing


async def forget(agent, eid, *tables):
    """The agent's store is an old copy, from before this message."""
    await agent.store.run(
        lambda c: [c.execute(delete(table).where(table.c.eid == eid)).close() for table in tables]
    )


async def test_whoever_runs_on_an_old_copy_of_a_store_is_shown_what_it_has_forgotten(world):
    """And so is an agency in whose name somebody else sends with its keys."""
    async with pair(world) as (_, peacock, idvas):
        kept, forgot, lost = [await send(peacock) for _ in range(3)]
        await collect(idvas)
        for queued in (kept, forgot, lost):
            await take_on(idvas, queued["eid"])
        await collect(peacock)
        await forget(peacock, forgot["eid"], sealings, ladder)
        await forget(idvas, lost["eid"], inbox, receipts)
        await the_next_day(world, peacock, idvas)
        expected = [("not-kept", lost["eid"]), ("not-sent", forgot["eid"])]
        assert sorted(await found(peacock)) == sorted(await found(idvas)) == expected
        shown = (await idvas.showing.reconciliation())["findings"]
        (theirs,) = [item for item in shown if item["kind"] == "not-sent"]
        assert theirs["id"] == (await item_of(idvas, forgot["eid"])).id
        assert "Ring them before anybody acts on it." in theirs["says"]


async def test_a_running_number_of_which_nobody_knows_is_named_to_both_sides(world):
    async with pair(world) as (_, peacock, idvas):
        first = await send(peacock)
        await peacock.store.run(lambda c: c.execute(update(pairs).values(sent=pairs.c.sent + 1)).close())
        last = await send(peacock)
        await collect(idvas)
        for queued in (first, last):
            await take_on(idvas, queued["eid"])
        await the_next_day(world, peacock, idvas)
        assert await found(peacock) == await found(idvas) == [("gap", None)]
        (item,) = (await idvas.showing.reconciliation())["findings"]
        assert (item["number"], item["day"]) == (2, None)
        assert item["says"].startswith("Number 2 of what Peacock sends did not come")


async def test_a_message_that_came_after_a_younger_one_is_noted(world):
    async with pair(world) as (_, peacock, idvas):
        first = await send(peacock)
        delivery = await taken_out(world, first["eid"])
        second = await send(peacock)
        await collect(idvas)
        await put_back(world, delivery)
        await collect(idvas)
        for queued in (first, second):
            await take_on(idvas, queued["eid"])
        await the_next_day(world, peacock, idvas)
        assert await found(peacock) == await found(idvas) == [("late", first["eid"])]
        assert (await idvas.showing.status())["reconciliation"]["differences"] == 0


async def taken_out(world, eid):
    """The relay keeps one delivery back for a while."""
    engine = create_engine(f"sqlite:///{world.folder}/relay/relay.db")
    with engine.begin() as connection:
        where = {"eid": unb64(eid, 32)}
        row = connection.execute(text("SELECT * FROM deliveries WHERE eid = :eid"), where).mappings().one()
        connection.execute(text("DELETE FROM deliveries WHERE eid = :eid"), where)
    engine.dispose()
    return dict(row)


async def put_back(world, row):
    engine = create_engine(f"sqlite:///{world.folder}/relay/relay.db")
    del row["id"]
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO deliveries ({names}) VALUES ({values})"), row)
    engine.dispose()


# --- lies and mistakes of the other side


def lying(agent, change):
    """From now on this agent's lists say what `change` makes of them."""
    true = agent.reconciliation._due

    def due(c, emptied):
        return [replace(owed, parts=tuple(map(change, owed.parts))) for owed in true(c, emptied)]

    agent.reconciliation._due = due


def written(day, **lines):
    """A list of a day with these lines, as an honest agent would print it."""
    items = {
        way: {line.eid + line.d: line for line in said}
        for way, said in lines.items()
        if isinstance(said, list)
    }
    (part,) = write(day, Account(lines["made"], items.get("sent", {}), items.get("got", {})), 0)
    return part


def made_up(ts):
    return Item("A" * 43, "intake", ts, 9, "taken-on", ts + 5, ts)


LIES = {
    "it denies what it signed for": (
        lambda p: written(TODAY, made=p.made),
        ["not-kept"],
    ),
    "it claims to have sent what it did not": (
        lambda p: written(TODAY, made=p.made, sent=[made_up(NOW)]),
        ["not-kept", "not-kept"],
    ),
    "it claims to have received what was not sent": (
        lambda p: written(TODAY, made=p.made, got=[made_up(NOW)]),
        ["not-kept", "not-sent"],
    ),
    "its counts are not those of its lines": (
        lambda p: p.model_copy(
            update={"got": p.got.model_copy(update={"taken_on": p.sent.taken_on, "collected": p.sent.sent})}
        ),
        ["report"],
    ),
    "it writes of a second part that never comes": (lambda p: p.model_copy(update={"parts": 2}), []),
    "it says that it was made long ago": (lambda p: p.model_copy(update={"made": 0}), ["report"]),
    "it says that it was made in ages": (lambda p: p.model_copy(update={"made": 2**40}), ["report"]),
}


async def instead(agent, part):
    """What the agent finds when this is the only list that came."""

    def work(c):
        for table in (reports, findings):
            c.execute(delete(table))
        agent.reconciliation.take(c, part_writer[0], part, "")

    part_writer = await agent.store.run(lambda c: c.execute(select(days.c.a)).one())
    await agent.store.run(work)
    await agent.reconciliation.round(agent.inbox.emptied)
    return sorted(kind for kind, _ in await found(agent))


async def test_a_lie_in_the_other_list_is_a_difference_and_stops_nothing(world):
    async with pair(world) as (_, peacock, idvas):
        sent = await send(peacock)
        await collect(idvas)
        await take_on(idvas, sent["eid"])
        await the_next_day(world, peacock, idvas)
        (honest,) = [parse_payload(row.text) for row in await rows(peacock, reports)]
        assert await instead(peacock, honest) == []
        for lie, (change, kinds) in LIES.items():
            assert await instead(peacock, change(honest)) == kinds, lie
        # A day that is not over, or long over, is not compared.
        for off, kept in ((1, ["early"]), (2, ["early"]), (3, []), (-WINDOW - 3, [])):
            another_day = honest.model_copy(update={"day": day_text(TODAY + off)})
            assert set(await instead(peacock, another_day)) <= {"report"}
            assert [row.fault for row in await rows(peacock, reports)] == kept
        assert peacock.trust.alarm is None
        await send(peacock)


async def test_a_list_that_is_written_twice_keeps_its_first_word_and_is_a_finding(world):
    async with pair(world) as (_, peacock, idvas):
        sent = await send(peacock)
        await collect(idvas)
        await take_on(idvas, sent["eid"])
        await the_next_day(world, peacock, idvas)
        (before,) = await rows(peacock, reports)
        await idvas.store.run(lambda c: [c.execute(delete(table)).close() for table in (days, outbox)])
        world.clock.advance(60)
        lying(idvas, lambda p: written(TODAY, made=p.made))
        await reconcile(idvas, peacock)
        (after,) = await rows(peacock, reports)
        assert (after.text, after.fault) == (before.text, "twice")
        assert await found(peacock) == [("report", None)]


# --- written once, and when


async def lists_of(agent):
    return await agent.store.run(
        lambda c: c.execute(select(outbox.c.key).where(outbox.c.kind == "reconcile")).scalars().all()
    )


async def test_a_list_is_written_once_also_after_a_restart_or_a_crash_in_between(world):
    async with world.relay(), quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock") as peacock:
            await send(peacock)
            await the_next_day(world, peacock, idvas)
            await reconcile(peacock, idvas)
            assert len(await lists_of(peacock)) == 1
            findings_before = await rows(peacock, findings)
            # The power goes between queueing the list and noting that it was written.
            await peacock.store.run(lambda c: c.execute(delete(days)).close())
        async with quiet(world, "Peacock") as peacock:
            await wake(peacock)
            await reconcile(peacock, idvas)
            assert len(await lists_of(peacock)) == 1
            assert len(await rows(peacock, days)) == 1
            assert await rows(peacock, findings) == findings_before
            assert not [row for row in await rows(idvas, reports) if row.fault]


async def test_no_list_is_written_before_the_day_has_settled_and_the_mailbox_was_seen_empty(world):
    async with pair(world) as (_, peacock, idvas):
        await send(peacock)
        world.clock.now = (TODAY + 1) * DAY + SETTLE - 1
        await wake(peacock)
        await collect(peacock)
        await peacock.reconciliation.round(peacock.inbox.emptied)
        assert await lists_of(peacock) == []
        world.clock.now = (TODAY + 1) * DAY + DUE
        await peacock.reconciliation.round((TODAY + 1) * DAY - 1)
        assert await lists_of(peacock) == []
        await peacock.reconciliation.round(peacock.inbox.emptied)
        assert len(await lists_of(peacock)) == 1
        assert await lists_of(idvas) == []


async def test_a_list_waits_for_the_relays_word_on_what_was_sealed_that_day(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        await send(peacock)
        queued = await send(peacock)
        waiting = update(sealings).where(sealings.c.eid == queued["eid"]).values(state="waiting", attempts=3)
        await peacock.store.run(lambda c: c.execute(waiting).close())
        await pass_days(world, [peacock])
        await collect(peacock)
        await peacock.reconciliation.round(peacock.inbox.emptied)
        assert await lists_of(peacock) == []
        world.clock.advance(PATIENCE)
        await peacock.reconciliation.round(peacock.inbox.emptied)
        (key,) = await lists_of(peacock)
        text = await peacock.store.run(
            lambda c: c.execute(select(outbox.c.draft).where(outbox.c.key == key)).scalar_one()
        )
        lines = json.loads(json.loads(text)["payload"])["sent"]["lines"]
        assert queued["eid"] not in [line["eid"] for line in lines], "nobody is told of what may not be there"


async def test_two_days_of_silence_are_a_finding_until_the_list_comes(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        sent = await send(peacock)
        await the_next_day(world, peacock)
        assert await found(peacock) == []
        await the_next_day(world, peacock, days=2)
        assert await found(peacock) == [("no-answer", None)]
        (item,) = (await peacock.showing.reconciliation())["findings"]
        assert (
            item["says"] == "IDVAS has sent no list for this day. Ring them: their agent may not be running."
        )
        assert item["day"] == day_text(TODAY)
        async with quiet(world, "IDVAS") as idvas:
            await wake(idvas)
            await reconcile(idvas, peacock)
        assert await found(peacock) == [("open", sent["eid"])]


async def test_lists_and_findings_are_kept_forty_days(world):
    async with pair(world) as (_, peacock, idvas):
        lost = await send(peacock)
        drop(world, lost["eid"])
        await the_next_day(world, peacock, idvas)
        await reconcile(idvas, peacock)
        for table in (reports, days, findings):
            assert len(await rows(peacock, table)) == 1
        world.clock.advance(39 * DAY)
        await peacock.reconciliation.round(0)
        assert await found(peacock) == [("not-seen", lost["eid"])]
        world.clock.advance(3 * DAY)
        await peacock.reconciliation.round(0)
        for table in (reports, days, findings):
            assert await rows(peacock, table) == []


# --- who sees it


async def test_no_desk_sees_a_list_and_nobody_can_write_one_by_hand(world):
    async with pair(world) as (_, peacock, idvas):
        sent = await send(peacock)
        await collect(idvas)
        await take_on(idvas, sent["eid"])
        await the_next_day(world, peacock, idvas)
        assert [row.cls for row in await rows(idvas, inbox)].count("ADMIN") == 1
        assert [item["mid"] for item in await idvas.showing.inbox(every=True)] == [sent["mid"]]
        assert [message["id"] for message in await peacock.showing.sent()] == [sent["id"]]
        assert await idvas.showing.sent() == []
        (part,) = [parse_payload(row.text) for row in await rows(idvas, reports)]
        forged = form("IDVAS") | {"kind": "reconcile", "payload": json.loads(print_payload(part))}
        with pytest.raises(Refusal):
            await peacock.office.send(read_form(Send, encode(forged)))
        assert len(await lists_of(peacock)) == 1


async def test_the_relay_sees_the_same_whether_all_arrived_or_something_was_dropped(world):
    """One envelope for each side and day, of the same header and size, whatever its list found (N8)."""

    async def day(lose):
        async with pair(world) as (_, peacock, idvas):
            first, second = await send(peacock), await send(peacock)
            if lose:
                drop(world, second["eid"])
            await collect(idvas)
            for queued in [first] if lose else [first, second]:
                await take_on(idvas, queued["eid"])
            await the_next_day(world, peacock, idvas)
            await reconcile(peacock, idvas)
            for agent in (peacock, idvas):
                now = day_of(world.now) * DAY
                (row,) = [row for row in await rows(agent, inbox) if row.cls == "ADMIN" and row.ts >= now]
                header = json.loads(row.header)
                yield {name: header[name] for name in ("cls", "rag", "pur", "cat", "law", "gid", "ovr")}

    quiet_day = [header async for header in day(False)]
    assert quiet_day == [header async for header in day(True)]
    assert quiet_day[0]["law"]["pd"] == "none"
    assert quiet_day[0]["cat"] == []


async def test_case_systems_and_people_ask_for_it(world, monkeypatch):
    monkeypatch.setattr("agent.run.RECONCILE_EVERY", 0.05)
    fast = {"directory_every": 0.2, "witness_every": 0.2}
    async with world.relay(), running(world, "Peacock", **fast) as peacock, running(world, "IDVAS", **fast):

        async def ready():
            return (await peacock.ok("GET", "/v1/status"))["directory_fresh"]

        await eventually(ready)
        sent = await send(peacock.agent)
        await peacock.until(sent["mid"], "opened")
        world.clock.now = (TODAY + 1) * DAY + DUE

        async def answered():
            shown = await peacock.ok("GET", "/v1/reconciliation")
            return shown if shown["findings"] else None

        shown = await eventually(answered)
        assert [(i["kind"], i["id"]) for i in shown["findings"]] == [("open", sent["id"])]
        assert shown["findings"][0]["says"] == "IDVAS has this, and nobody there has taken it on yet."
        status = await peacock.ok("GET", "/v1/status")
        assert status["reconciliation"] == {
            "differences": 0,
            "unanswered": 0,
            "open": 1,
            "last_day": day_text(TODAY),
        }


@pytest.mark.parametrize(("differences", "code"), [(0, None), (2, "RECONCILE")])
def test_the_doctor_counts_differences_and_says_where_to_look(differences, code):
    state = {"reconciliation": {"differences": differences, "last_day": "2026-11-21"}}
    if code is None:
        assert _lists(state) == "no differences up to 2026-11-21"
        return
    with pytest.raises(Refusal, match="fenpost-agent reconcile show") as refusal:
        _lists(state)
    assert refusal.value.code == code


def test_every_finding_has_a_sentence_for_whoever_it_concerns():
    kinds = set(get_args(Kind))
    assert set(THEIRS) == kinds
    assert set(OURS) == kinds - {"no-answer", "report"}
    for say in (*OURS.values(), *THEIRS.values()):
        assert say.format(name="IDVAS", n=7, sent="opened", got="taken on").endswith(".")


# --- running numbers


async def test_numbers_that_did_not_come_are_kept_until_they_do(world):
    async with quiet(world, "Peacock") as agent:

        def work(c):
            assert gap_before(c, "them", 1, 100) == 0
            assert gap_before(c, "them", 4, 200) == 2
            assert missing_from(c, "them") == {2: 200, 3: 200}
            assert gap_before(c, "them", 2, 300) == -3
            assert missing_from(c, "them") == {3: 200}
            gap_before(c, "them", 5000, 400)
            assert len(missing_from(c, "them")) == 1 + ABSENT
            assert missing_from(c, "others") == {}
            forget_missing(c, 300)
            assert 3 not in missing_from(c, "them")

        await agent.store.run(work)
