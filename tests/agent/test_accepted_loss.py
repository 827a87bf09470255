"""A relay put back from an old backup: what an agency's people can do about the alarm, and what nothing lifts (L26, L27)."""

import asyncio
import json
import secrets
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from agent.__main__ import main
from agent.alarms import Lift
from agent.forms import Give, Send
from agent.tables import journal, ladder, sealings
from broker import repairs
from broker.settings import load
from keys_tooling.audit import losing
from keys_tooling.audit.mirror_file import open_mirror
from keys_tooling.audit_main import audit
from keys_tooling.console import World as Outside
from schemas.canonical import strict_json
from schemas.checkpoint import Checkpoint, open_checkpoint, own_note, sign_checkpoint
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.keyfile import QUICK, lock
from schemas.loss import Loss, sign_loss, sign_word
from schemas.signing import Signed
from tests.agent.agencies import agreement, form, put, quiet
from tests.agent.test_witness import ROUND, send
from tests.broker.test_anchor import anchor, copied, relay_folder, restored
from tests.broker.test_log import checkpoint
from tests.broker.test_log import send as post
from tests.keys_tooling.mirrored import pull_served
from tests.simulated_world import PASSPHRASE, World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")


@pytest.fixture
def world(tmp_path):
    return World.found(tmp_path, "Peacock", "IDVAS", "Harbour")


async def flushed(agent):
    await agent.posting.flush()
    await agent.outbox.flush()


async def accept_loss(world, lost):
    """What an administrator does; the relay's statement."""
    settings = load(relay_folder(world) / "relay.toml", {})
    await repairs.loss_accepted(settings, str(lost), world.now)
    (file,) = (relay_folder(world) / "anchor").glob("loss-*.json")
    return Signed.from_json(strict_json(file.read_bytes(), losing.FILE_LIMIT))


def word_of(world, statement, *seen, by="oversight"):
    key = world.parties[by].officer.auth
    return sign_word(statement, seen, key, key.kid, world.now)


async def head_of(world):
    async with world.session() as http:
        return await checkpoint(world, http)


def lifting(word, lost):
    return Lift.model_validate({"evidence": word.to_json(), "lost": str(lost)})


async def refused(work):
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


async def events(agent):
    return [row.event for row in await agent.store.run(lambda c: c.execute(select(journal)).all())]


async def states(agent):
    rows = await agent.store.run(lambda c: c.execute(select(sealings).order_by(sealings.c.ts)).all())
    return [row.state for row in rows]


@asynccontextmanager
async def set_back(world):
    """A relay that lost Peacock's message, Peacock's agent with its alarm, and the statement of how much was lost."""
    async with world.relay(), world.session() as http:
        await post(world, http, 2)
    backup = copied(world, "backup.db")
    async with world.relay(), quiet(world, "Peacock") as agent:
        await send(agent)
        await flushed(agent)
        world.clock.advance(ROUND)
        await agent.watch.round()
        await agent.trust.keep()
        assert await states(agent) == ["accepted"]
        assert agent.watch.size > 2
        before = await head_of(world)
    restored(world, backup)
    newest = open_checkpoint(anchor(world).read().log, world.founded.partnership.log_key)
    assert newest.size >= before.size
    lost = newest.size - 2
    statement = await accept_loss(world, lost)
    world.clock.advance(60)
    async with world.relay(), quiet(world, "Peacock") as agent:
        assert agent.trust.size == before.size
        with pytest.raises(Refusal):
            await agent.inbox.collect(0)
        assert agent.trust.alarm is not None
        yield agent, statement, lost


async def test_an_agency_goes_on_after_a_loss_that_relay_and_oversight_signed(world):
    async with set_back(world) as (agent, statement, lost):
        assert await agent.outbox.flush() > 0  # nothing goes while the alarm stands
        shown = await agent.alarms.show()
        assert shown["alarm"]["ours"]["size"] == agent.trust.size
        done = await agent.alarms.lift(lifting(word_of(world, statement), lost))
        assert (len(done["messages"]), done["sent_again"], done["lost"]["lost"]) == (1, 1, lost)
        assert agent.trust.alarm is None
        assert agent.trust.believed == await head_of(world)
        assert {"alarm-lifted", "lost", "sealed-again"} <= set(await events(agent))
        assert not (world.folder / "Peacock" / "two-logs.json").exists()
        await agent.inbox.collect(0)  # the new head is believed from here on
        await flushed(agent)
        assert await states(agent) == ["replaced", "accepted"]
        assert agent.watch.cosigned == agent.trust.losses[0].now
        world.clock.advance(60)
        await agent.watch.round()
        assert (agent.trust.alarm, agent.watch.cosigned) == (None, await head_of(world))
        async with quiet(world, "IDVAS") as other:
            await other.inbox.collect(0)
            assert len(await other.showing.inbox(every=True)) == 1
    async with world.relay(), quiet(world, "Peacock") as agent:  # over a restart
        assert agent.trust.alarm is None
        assert [loss.loss.lost for loss in agent.trust.losses] == [lost]
        await agent.inbox.collect(0)


async def test_nothing_but_both_signatures_lifts_it(world):
    async with set_back(world) as (agent, statement, lost):
        relay, log = world.founded.relay, world.founded.partnership.log_key
        wrong = Loss.model_validate_json(statement.text)
        forged = sign_loss(wrong, world.parties["Peacock"].officer.auth)
        by_log = sign_loss(wrong, relay.log)
        for word, code in (
            (word_of(world, statement, by="Peacock"), "UNKNOWN_KEY"),
            (word_of(world, forged), "SIGNATURE"),
            (word_of(world, by_log), "SIGNATURE"),
            (statement, "FORM"),
            (Signed(word_of(world, statement).text, bytes(64)), "SIGNATURE"),
        ):
            assert (await refused(agent.alarms.lift(lifting(word, lost)))).code == code
        other = sign_checkpoint(Checkpoint("relay.test/log", 2, secrets.token_bytes(32)), relay.log)
        assert open_checkpoint(other, log)
        moved = sign_loss(wrong.model_copy(update={"now": other}), relay.keys_log)
        found = await refused(agent.alarms.lift(lifting(word_of(world, moved), lost)))
        assert (found.code, "does not continue" in found.say) == ("CONFLICT", True)
        for said in (0, lost + 1, "unknown"):
            assert (
                await refused(agent.alarms.lift(lifting(word_of(world, statement), said)))
            ).code == "CONFLICT"
        assert agent.trust.alarm is not None
        assert await states(agent) == ["accepted"]
        op = world.parties["oversight"].admin.op
        assert (await agent.alarms.lift(lifting(sign_word(statement, (), op, op.kid, world.now), lost)))[
            "messages"
        ]
        assert (await refused(agent.alarms.lift(lifting(word_of(world, statement), lost)))).code == "CONFLICT"


async def test_a_fork_is_not_lifted_by_a_loss_that_does_not_explain_it(world):
    """A relay lost something, and shows another history besides."""
    async with set_back(world) as (agent, statement, lost):
        key, log = world.founded.relay.log, agent.trust.key
        await agent.alarms.lift(lifting(word_of(world, statement), lost))
        size = agent.trust.size
        assert lost > 1  # the third is of a size that was lost
        for other in (size, size + 1, 3, 2):
            agent.trust.alarm = None
            note = sign_checkpoint(Checkpoint(log.name, other, secrets.token_bytes(32)), key)
            assert (await refused(agent.trust.believe(note))).code == "FORK"
            found = await refused(agent.alarms.lift(lifting(word_of(world, statement), lost)))
            assert (found.code, agent.trust.alarm is None) == ("CONFLICT", False)


async def test_the_relays_own_second_fork_is_not_lifted_by_the_loss_that_came_before(world):
    """It goes back once more, and this time nobody signed anything about it."""
    async with set_back(world) as (agent, statement, lost):
        await agent.alarms.lift(lifting(word_of(world, statement), lost))
        assert 2 < agent.trust.size <= 2 + lost
        await agent.trust.keep()
    restored(world, world.folder / "backup.db")
    anchor(world).path.unlink()
    await repairs.loss_accepted(load(relay_folder(world) / "relay.toml", {}), "unknown", world.now + 5)
    async with world.relay(), quiet(world, "Peacock") as agent:
        with pytest.raises(Refusal):
            await agent.inbox.collect(0)
        found = await refused(agent.alarms.lift(lifting(word_of(world, statement), lost)))
        assert (found.code, agent.trust.alarm is None) == ("CONFLICT", False)


async def test_a_head_newer_than_the_relay_knows_counts_only_when_oversight_names_it(world):
    """The anchor is up to a second old: an agent may hold a head that nobody else knows."""
    async with world.relay(), world.session() as http:
        await post(world, http, 2)
    backup = copied(world, "backup.db")
    async with world.relay(), quiet(world, "Peacock") as agent, world.session() as http:
        await post(world, http, 1)
        kept = anchor(world)
        early = await head_of(world)
        note = await agent.relay.checkpoint()
        await send(agent)
        await flushed(agent)
        await agent.trust.keep()
    now = kept.read()
    kept.write(replace(now, log=own_note(note, agent.trust.key)))
    restored(world, backup)
    statement = await accept_loss(world, early.size - 2)
    world.clock.advance(60)
    async with world.relay(), quiet(world, "Peacock") as agent:
        ours = agent.trust.believed
        with pytest.raises(Refusal):
            await agent.inbox.collect(0)
        lost = early.size - 2
        found = await refused(agent.alarms.lift(lifting(word_of(world, statement), lost)))
        assert "oversight names it" in found.say
        two = TwoNotes.parse((world.folder / "Peacock" / "two-logs.json").read_bytes())
        async with world.session() as http:
            await post(world, http, ours.size)
        await pull_served(world, world.folder / "new", "oversight")
        partnership, keys = world.founded.partnership, world.parties["oversight"].officer
        with open_mirror(world.folder / "new", write=False) as mirror:
            word = losing.accept(statement, str(lost), (two,), partnership, mirror, keys, world.now)
        assert (await agent.alarms.lift(lifting(word, lost)))["sent_again"] == 1


async def test_lost_gossip_of_before_the_loss_raises_no_second_alarm_and_of_afterwards_does(world):
    async with set_back(world) as (agent, statement, lost):
        old = agent.trust.alarm.ours
        await agent.alarms.lift(lifting(word_of(world, statement), lost))
        said = agent.trust.losses[0].ts
        await agent.trust.weigh(old, said)
        assert agent.trust.alarm is None
        assert (await refused(agent.trust.weigh(old, said + 301))).code == "FORK"


async def test_a_colleague_who_only_hears_of_a_lost_head_lifts_the_alarm_by_the_same_word(world):
    async with set_back(world) as (agent, statement, lost), quiet(world, "IDVAS") as other:
        old = agent.trust.alarm.ours
        async with world.session() as http:
            await post(world, http, lost + 3)
        await other.inbox.collect(0)
        await send(other, "Harbour")  # after the relay came back: this is not lost
        await flushed(other)
        assert (await refused(other.trust.weigh(old, world.now))).code == "FORK"
        done = await other.alarms.lift(lifting(word_of(world, statement), lost))
        assert (other.trust.alarm, done["messages"], done["statements_again"]) == (None, [], 0)
        assert await states(other) == ["accepted"]


async def test_a_message_that_arrived_is_not_sent_twice_and_receipts_are_told_again(world):
    async with world.relay(), world.session() as http:
        await post(world, http, 2)
    backup = copied(world, "backup.db")
    async with world.relay(), quiet(world, "Peacock") as one, quiet(world, "IDVAS") as two:
        await send(one)
        await flushed(one)
        await two.inbox.collect(0)
        await one.inbox.collect(0)
        for agent in (one, two):
            await agent.trust.keep()
        rows = await one.store.run(lambda c: c.execute(select(ladder)).all())
        assert "collected" in {row.state for row in rows}
    restored(world, backup)
    newest = open_checkpoint(anchor(world).read().log, world.founded.partnership.log_key)
    statement = await accept_loss(world, newest.size - 2)
    word = word_of(world, statement)
    world.clock.advance(60)
    async with world.relay(), quiet(world, "Peacock") as one, quiet(world, "IDVAS") as two:
        for agent in (one, two):
            with pytest.raises(Refusal):
                await agent.inbox.collect(0)
        done = await one.alarms.lift(lifting(word, newest.size - 2))
        assert (done["messages"], done["sent_again"], done["statements_again"]) == (
            [],
            0,
            2,
        )  # a grant and its staple
        done = await two.alarms.lift(lifting(word, newest.size - 2))
        assert done["receipts_again"] >= 1
        await two.inbox.collect(0)
        assert (
            len(await two.showing.inbox(every=True)) == 1
        )  # it is kept, though the relay knows nothing of it


async def to_both(agent):
    """A message of Peacock's to two agencies, which IDVAS has by now; afterwards it counts as lost."""
    both = [{"agency": name, "desk": "intake"} for name in ("IDVAS", "Harbour")]
    said = {**agreement("IDVAS"), "to": ["IDVAS", "Harbour"]}
    given = await agent.agreements.give(Give.model_validate_json(json.dumps(said)))
    asked = form("IDVAS", gid=given["gid"], to=both)
    await agent.office.send(Send.model_validate_json(json.dumps(asked)))
    await flushed(agent)


async def count_as_lost(agent):
    await agent.store.run(lambda c: c.execute(update(sealings).values(state="lost", code="LOST")).close())


async def going(agent):
    """Which agencies get a message that is on its way, each as often as it would."""
    rows = await agent.store.run(lambda c: c.execute(select(sealings)).all())
    return sorted(a for row in rows if row.state == "waiting" for a, _ in json.loads(row.desks))


async def test_what_was_lost_is_sealed_once_though_two_ask_for_it_at_the_same_moment(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        await to_both(agent)
        await count_as_lost(agent)
        assert sorted(await asyncio.gather(agent.alarms.resume(), agent.alarms.resume())) == [0, 1]
        assert await going(agent) == sorted(world.parties[name].id for name in ("IDVAS", "Harbour"))


async def test_what_was_lost_on_its_way_to_one_of_two_is_sealed_once_though_the_agent_is_killed_right_after(
    world,
):
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as other:
        await to_both(agent)
        await other.inbox.collect(0)
        await agent.inbox.collect(0)  # it hears that IDVAS has it
        await count_as_lost(agent)
        (row,) = await agent.store.run(lambda c: c.execute(select(sealings)).all())
        await agent.outbox.seal_again(row, (world.parties["Harbour"].id, "intake"))
    async with world.relay(), quiet(world, "Peacock") as agent:  # killed there, before it had noted so
        assert await agent.alarms.resume() == 0
        assert await going(agent) == [world.parties["Harbour"].id]
        assert sorted(await states(agent)) == ["accepted", "waiting"]


async def test_an_officers_pull_says_what_to_do_and_a_new_folder_follows_the_log_that_goes_on(world):
    async with world.relay(), world.session() as http:
        await post(world, http, 2)
    backup = copied(world, "backup.db")
    async with world.relay(), world.session() as http:
        await post(world, http, 3)
        await pull_served(world, world.folder / "old", "oversight")
    restored(world, backup)
    newest = open_checkpoint(anchor(world).read().log, world.founded.partnership.log_key)
    world.clock.advance(60)
    statement = await accept_loss(world, newest.size - 2)
    world.clock.advance(60)
    async with world.relay(), world.session() as http:
        assert (
            "pull into a new folder"
            in (await refused(pull_served(world, world.folder / "old", "oversight"))).say
        )
        await post(world, http, 5)
        assert (
            "pull into a new folder"
            in (await refused(pull_served(world, world.folder / "old", "oversight"))).say
        )
        await pull_served(world, world.folder / "new", "oversight")
    partnership, keys = world.founded.partnership, world.parties["oversight"].officer
    with open_mirror(world.folder / "old", write=False) as mirror:
        assert losing.look(statement, partnership, mirror).mirrors == "before"
        with pytest.raises(Refusal) as caught:
            losing.accept(statement, str(newest.size - 2), (), partnership, mirror, keys, world.now)
        assert caught.value.code == "CONFLICT"
    with open_mirror(world.folder / "new", write=False) as mirror:
        found = losing.look(statement, partnership, mirror)
        assert (found.mirrors, found.loss.lost, found.word) == ("after", newest.size - 2, None)
        for party, said, code in (("Peacock", newest.size - 2, "UNKNOWN_KEY"), ("oversight", 1, "CONFLICT")):
            with pytest.raises(Refusal) as caught:
                officer = world.parties[party].officer
                losing.accept(statement, str(said), (), partnership, mirror, officer, world.now)
            assert caught.value.code == code
        word = losing.accept(statement, str(newest.size - 2), (), partnership, mirror, keys, world.now)
        assert losing.look(word, partnership, mirror).word is not None


async def test_people_look_at_the_alarm_and_lift_it_by_command(world):
    async with set_back(world) as (agent, statement, lost):
        home = world.folder / "Peacock"
        file = home / "loss-accepted.json"
        await agent.start()

        async def typed(*words):
            ran = await asyncio.to_thread(CliRunner().invoke, main, [*words, "--dir", str(home)])
            return ran.exit_code, ran.output

        code, said = await typed("alarm", "show")
        assert (code, "ALARM FORK" in said or "ALARM ROLLBACK" in said) == (0, True)
        file.write_text(json.dumps(statement.to_json()))
        assert (await typed("alarm", "lift", "--evidence", str(file), "--lost", str(lost)))[0] == 1
        file.write_text(json.dumps(word_of(world, statement).to_json()))
        code, said = await typed("alarm", "lift", "--evidence", str(file), "--lost", str(lost))
        assert (code, f"Lost: {lost} entries behind the first 2." in said) == (0, True)
        code, said = await typed("alarm", "show")
        assert (code, "There is no alarm." in said, f"Lost: {lost}" in said) == (0, True, True)


async def test_an_officer_of_oversight_reads_and_accepts_a_loss_by_command(world):
    async with world.relay(), world.session() as http:
        await post(world, http, 2)
    backup = copied(world, "backup.db")
    async with world.relay(), world.session() as http:
        await post(world, http, 3)
    restored(world, backup)
    lost = open_checkpoint(anchor(world).read().log, world.founded.partnership.log_key).size - 2
    statement = await accept_loss(world, lost)
    world.clock.advance(60)
    folder = world.folder / "officer"
    async with world.relay():
        await pull_served(world, folder, "oversight")
    keys = world.parties["oversight"].officer
    put(folder / "officer.fpk", lock(keys.to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes))
    put(folder / "passphrase", PASSPHRASE + b"\n")
    (folder / "partnership.json").write_bytes(world.founded.partnership.to_bytes())
    (folder / "loss.json").write_text(json.dumps(statement.to_json()))

    def typed(*words):
        outside = Outside(world.clock, secrets.token_bytes)
        return CliRunner().invoke(audit, ["loss", *words, "--dir", str(folder)], obj=outside)

    ran = typed("show", str(folder / "loss.json"))
    assert (ran.exit_code, f"Lost       {lost} entries" in ran.output, "not given yet" in ran.output) == (
        0,
        True,
        True,
    )
    accept = ("--out", str(folder / "word.json"), "--passphrase-file", str(folder / "passphrase"))
    assert typed("accept", str(folder / "loss.json"), "--lost", str(lost), *accept).exit_code == 0
    assert "its signature holds" in typed("show", str(folder / "word.json")).output
