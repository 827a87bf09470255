"""What was taken under a key that turned out to have been in other hands is marked for whoever reads it (V11)."""

import json
import secrets
from dataclasses import replace

import pytest
from sqlalchemy import update

from agent.doctor import _in_doubt, _untaken
from agent.doubts import SAYS, TAKEN
from agent.forms import Send, TakeOn
from agent.own import Acknowledge
from agent.tables import inbox
from schemas.canonical import b64
from schemas.errors import Refusal
from schemas.keyfile import QUICK, lock
from schemas.keys import SigningKey, Use
from schemas.roots import RotateRoot
from tests.agent.agencies import folder_of, form, put, quiet
from tests.agent.test_directory_log import chain_of, send, state
from tests.agent.test_late_release import DUTY, read
from tests.agent.test_old_store import Asked
from tests.simulated_world import PASSPHRASE, World

HOUR, DAY = 3600, 86_400


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


async def sent(world, agent):
    mid = await send(agent)
    await agent.outbox.flush()
    world.clock.advance(HOUR)
    return mid


def own_keys(world):
    return world.parties["Peacock"].member.agent


async def say(world, act, *words):
    await state(world, "Peacock", getattr(chain_of(world, "Peacock"), act)(*words))


async def ended(world, agent, reason, since):
    await say(world, "revoke", own_keys(world).msg.kid, reason, since, world.now)
    await agent.book.refresh()


async def doubts(agent):
    return {item["mid"]: item["doubt"] for item in await agent.showing.inbox(every=True)}


async def in_doubt(agent):
    return (await agent.showing.status())["in_doubt"]


def names(status, where):
    """Under which names a person is shown what is in doubt."""
    return {one["acknowledge_as"] for one in status[where]}


async def looked_over(agent, *shown):
    return (await agent.office.own.acknowledge(Acknowledge(messages=shown)))["messages"]


async def test_what_was_signed_when_the_key_was_in_other_hands_is_marked_and_counted(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        first, second, third = [await sent(world, peacock) for _ in range(3)]
        await idvas.inbox.collect(0)
        assert set((await doubts(idvas)).values()) == {None}
        began = world.now - 2 * HOUR  # the second of the second one
        await ended(world, idvas, "compromised", began)
        assert await doubts(idvas) == {first: None, second: SAYS, third: SAYS}
        (found,) = await in_doubt(idvas)
        assert (found["from"]["name"], found["since"], found["messages"]) == ("Peacock", began, 2)
        with pytest.raises(Refusal, match="REVOKED_KEY") as refusal:
            _in_doubt(await idvas.showing.status())
        assert "2 messages" in refusal.value.say
        assert "Peacock" in refusal.value.say
        assert refusal.value.say.endswith(
            f"When it is done: fenpost-agent doctor --acknowledge messages:{found['acknowledge_as']}"
        )


async def test_it_is_counted_until_somebody_looked_over_it_and_again_when_more_is_known(world):
    async with world.relay(), quiet(world, "Peacock") as peacock:
        async with quiet(world, "IDVAS") as idvas:
            mids = [await sent(world, peacock) for _ in range(2)]
            await idvas.inbox.collect(0)
            await ended(world, idvas, "compromised", world.now - HOUR)
            (name,) = names(await idvas.showing.status(), "in_doubt")
            assert await looked_over(idvas, name) == 1
        async with quiet(world, "IDVAS") as idvas:  # a restart forgets neither
            assert _in_doubt(await idvas.showing.status()).startswith("no message")
            assert await doubts(idvas) == {mids[0]: None, mids[1]: SAYS}
            await ended(world, idvas, "compromised", world.now - 2 * HOUR)
            assert [found["messages"] for found in await in_doubt(idvas)] == [2]


async def test_looked_over_is_only_what_was_shown(tmp_path):
    """A second agency's key turns out to be stolen when a person has looked, and before she says that she did."""
    world = World.again(tmp_path, "Peacock", "IDVAS", "Harbour")
    async with world.relay(), quiet(world, "IDVAS") as idvas:
        async with quiet(world, "Peacock") as peacock, quiet(world, "Harbour") as harbour:
            for agent in (peacock, harbour):
                await asked(agent)
        await idvas.inbox.collect(0)
        await ended(world, idvas, "compromised", world.now - HOUR)
        (shown,) = await in_doubt(idvas)
        kid = world.parties["Harbour"].member.agent.msg.kid
        harbours = chain_of(world, "Harbour").revoke(kid, "compromised", world.now - HOUR, world.now)
        await state(world, "Harbour", harbours)
        await idvas.book.refresh()
        assert await looked_over(idvas, shown["acknowledge_as"]) == 1
        assert [one["from"]["name"] for one in await in_doubt(idvas)] == ["Harbour"]


async def test_a_name_that_was_shown_does_not_hold_for_more_under_the_same_key(world):
    """Of two messages of one key, people here were shown one; the second is handed over when she has looked."""
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        mids = [await sent(world, peacock) for _ in range(2)]
        await idvas.inbox.collect(0)
        await ended(world, idvas, "compromised", world.now - DAY)
        await handed(idvas, mids[1], None)
        (before,) = names(await idvas.showing.status(), "in_doubt")
        await handed(idvas, mids[1], world.now)
        with pytest.raises(Refusal, match="NOT_FOUND"):
            await looked_over(idvas, before)
        assert [found["messages"] for found in await in_doubt(idvas)] == [2]
        await handed(idvas, mids[1], None)
        assert await looked_over(idvas, before) == 1
        assert await in_doubt(idvas) == []
        await handed(idvas, mids[1], world.now)  # and after she said so
        (more,) = await in_doubt(idvas)
        assert await looked_over(idvas, more["acknowledge_as"]) == 2


async def test_of_two_names_with_one_that_does_not_hold_nothing_is_marked(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        await sent(world, peacock)
        await idvas.inbox.collect(0)
        await ended(world, idvas, "compromised", world.now - DAY)
        (shown,) = names(await idvas.showing.status(), "in_doubt")
        with pytest.raises(Refusal, match="NOT_FOUND"):
            await looked_over(idvas, shown, "abcdefghijkl.1")
        assert names(await idvas.showing.status(), "in_doubt") == {shown}


async def handed(agent, mid, ts):
    """Bring an item into the state before, or after, it was handed over to people."""
    await agent.store.run(lambda c: c.execute(update(inbox).where(inbox.c.mid == mid).values(handed=ts)))


async def test_a_case_system_that_reads_files_is_told_once(world):
    async with (
        world.relay(),
        quiet(world, "Peacock") as peacock,
        quiet(world, "IDVAS", folders=True) as idvas,
    ):
        first, second = [await sent(world, peacock) for _ in range(2)]
        await idvas.inbox.collect(0)
        await ended(world, idvas, "compromised", world.now - HOUR)
        await idvas.folders.tell_doubts()
        (note,) = (folder_of(world, "IDVAS") / "IN").glob("*.doubt.json")
        told = json.loads(note.read_text())
        assert told["say"] == SAYS
        assert (await idvas.showing.received(told["id"]))["mid"] == second != first
        note.unlink()  # it was taken away
        await idvas.folders.tell_doubts()
        assert not note.exists()
        await ended(world, idvas, "compromised", world.now - 2 * HOUR)
        await idvas.folders.tell_doubts()
        assert len(list(note.parent.glob("*.doubt.json"))) == 2


@pytest.mark.parametrize("reason", ["rotated", "lost"])
async def test_a_key_that_ended_without_being_in_other_hands_marks_nothing(world, reason):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        await sent(world, peacock)
        await idvas.inbox.collect(0)
        await ended(world, idvas, reason, world.now - DAY)
        assert set((await doubts(idvas)).values()) == {None}
        assert await in_doubt(idvas) == []


async def test_what_a_void_key_signed_is_marked(world):
    """Whoever stole the administrator's key publishes a message key, and sends; then the roots say from where on."""
    before, thief, keys = chain_of(world, "Peacock").seq, SigningKey(secrets.token_bytes(32)), own_keys(world)
    async with world.relay(), quiet(world, "IDVAS") as idvas:
        await say(world, "add_key", Use.MSG, thief.public, world.now, world.now + DAY, world.now)
        await say(world, "revoke", keys.msg.kid, "rotated", world.now, world.now)
        folder = lock(replace(keys, msg=thief).to_json(), keys.HOLDS, PASSPHRASE, QUICK, secrets.token_bytes)
        put(folder_of(world, "Peacock") / "agent.fpk", folder)
        async with quiet(world, "Peacock") as peacock:
            mid = await sent(world, peacock)
        await idvas.book.refresh()
        await idvas.inbox.collect(0)
        assert await doubts(idvas) == {mid: None}
        await state(world, "Peacock", undone(world, before + 1))
        await idvas.book.refresh()
        assert await doubts(idvas) == {mid: SAYS}
        assert [found["messages"] for found in await in_doubt(idvas)] == [1]


def undone(world, start):
    member, op = world.parties["Peacock"].member, SigningKey(secrets.token_bytes(32))
    body = RotateRoot(
        roots=tuple(b64(root.public) for root in member.next_roots), threshold=2, op_key=b64(op.public),
        next_roots=tuple(SigningKey(secrets.token_bytes(32)).kid for _ in range(2)), void_from=start, sigs=(),
    )  # fmt: skip
    for root in member.next_roots[:2]:
        body = body.signed_by(member.id, root)
    return chain_of(world, "Peacock").rotate_root(body, op, world.now)


async def test_years_of_messages_are_not_read_for_the_count(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        await sent(world, peacock)
        await idvas.inbox.collect(0)
        await ended(world, idvas, "compromised", world.now - DAY)
        asked = Asked(idvas)
        assert [found["messages"] for found in await in_doubt(idvas)] == [1]
        plans = {text: plan for text, plan in (await asked.plans()).items() if "instr(inbox.header" in text}
        assert ["inbox_from (from_a=? AND ts>? AND ts<?)" in " ".join(plan) for plan in plans.values()] == [
            True
        ]


async def asked(peacock):
    form_ = form("IDVAS", law={**DUTY, "agree": "NOT_SOUGHT"})
    mid = (await peacock.office.send(read(Send, **form_)))["mid"]
    await peacock.outbox.flush()
    return mid


async def ends(peacock, idvas):
    """IDVAS's keys say that it is taken on."""
    await idvas.inbox.collect(0)
    (item,) = await idvas.showing.inbox()
    await idvas.office.take_on(item["id"], TakeOn(role="duty"))
    await idvas.inbox.resume()
    await peacock.inbox.collect(0)


async def taken_on(peacock, idvas):
    mid = await asked(peacock)
    await ends(peacock, idvas)
    return mid


async def test_dated_back_it_is_named_all_the_same(world, monkeypatch):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        mid = await asked(peacock)  # before the theft
        world.clock.advance(3 * HOUR)
        stolen = world.now - HOUR
        monkeypatch.setattr(idvas.receipts, "_clock", lambda: stolen - 60)
        await ends(peacock, idvas)
        kid = world.parties["IDVAS"].member.agent.msg.kid
        await state(world, "IDVAS", chain_of(world, "IDVAS").revoke(kid, "compromised", stolen, world.now))
        await peacock.book.refresh()
        (late,) = (await peacock.showing.status())["untaken"]
        assert late["mid"] == mid
        assert (await peacock.showing.message(mid))["desks"][0]["doubt"] == TAKEN


async def test_what_a_stolen_key_says_was_taken_on_is_named_until_somebody_rang_that_desk(world):
    async with world.relay(), quiet(world, "Peacock") as peacock, quiet(world, "IDVAS") as idvas:
        honest = await taken_on(peacock, idvas)
        world.clock.advance(HOUR)
        stolen, mid = world.now, await taken_on(peacock, idvas)
        assert (await peacock.showing.status())["untaken"] == []
        world.clock.advance(HOUR)
        kid = world.parties["IDVAS"].member.agent.msg.kid
        await state(world, "IDVAS", chain_of(world, "IDVAS").revoke(kid, "compromised", stolen, world.now))
        await peacock.book.refresh()
        (late,) = (await peacock.showing.status())["untaken"]
        assert (late["mid"], late["to"]["name"], late["says"]) == (mid, "IDVAS", TAKEN)
        found = {one: (await peacock.showing.message(one))["desks"][0] for one in (honest, mid)}
        assert {one: desk["doubt"] for one, desk in found.items()} == {honest: None, mid: TAKEN}
        with pytest.raises(Refusal, match="UNTAKEN") as refusal:
            _untaken(await peacock.showing.status())
        (name,) = names(await peacock.showing.status(), "untaken")
        assert refusal.value.say.endswith(
            f"When it is done: fenpost-agent doctor --acknowledge messages:{name}"
        )
        assert await looked_over(peacock, name) == 1
        assert (await peacock.showing.status())["untaken"] == []
        with pytest.raises(Refusal, match="NOT_FOUND"):
            await looked_over(peacock, name)
