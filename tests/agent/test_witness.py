"""An agency as a witness: what it cosigns, what it never does, and what it does when too few others are (L18-L22)."""

import base64
import json
import secrets
import shutil
from typing import Any, ClassVar

import pytest

from agent.client import Relay
from agent.forms import Give, Send
from agent.outbox import HINDERED
from agent.store import read_kv
from schemas import api
from schemas.chain import Chain
from schemas.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.witness import QUORUM_AGE, cosign, publish
from tests.agent.agencies import agreement, form, quiet, running
from tests.simulated_world import World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")
ROUND = 30
DAY = 24 * 3600


class Liar(Relay):
    """The line to the real relay; a test replaces what it says of heads."""

    lies: ClassVar[dict[str, Any]] = {}

    async def head(self, log=api.LOG):
        return self._lie("head", log, lambda page: page)(await super().head(log))

    async def post_cosignature(self, size, line, log=api.LOG):
        if (first := self._lie("post", log, None)) is not None:
            await first(size, line)
        page = await super().post_cosignature(size, line, log)
        return self._lie("head", log, lambda page: page)(page)

    async def consistency(self, old, new, log=api.LOG):
        told = self._lie("consistency", log, None)
        return await super().consistency(old, new, log) if told is None else told

    def _lie(self, what, log, otherwise):
        return self.lies.get(what if log == api.LOG else f"keys-{what}", otherwise)


@pytest.fixture(autouse=True)
def honest():
    Liar.lies = {}
    yield
    Liar.lies = {}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


async def grow(world, count=1):
    async with world.session() as http:
        for _ in range(count):
            assert (await world.post_envelopes(http, "Harbour", world.seal("Harbour", "IDVAS"))).status == 200
    world.clock.advance(ROUND)


def head_of(world, size, root=None):
    """A head that the log's own keys signed, over any tree."""
    keys, checkpoint = (
        world.founded.relay,
        Checkpoint("relay.test/log", size, root or secrets.token_bytes(32)),
    )
    return checkpoint, publish(sign_checkpoint(checkpoint, keys.log), checkpoint, keys.log_mldsa)


def says(asked, held=None):
    Liar.lies["head"] = lambda page: api.WitnessPage(asked=asked, held=held)


def line_of(world, party, checkpoint, ts=None):
    of = world.parties[party]
    return cosign(checkpoint, of.id, of.member.agent.witness, world.now if ts is None else ts)


async def all_take_part(world):
    """Every member cosigns once, so that from now on two of the three are needed."""
    async with world.session() as http:
        for party in ("Peacock", "IDVAS", "Harbour"):
            found = (await world.call(http, party, "GET", api.HEAD)).json()["asked"]
            checkpoint = open_checkpoint(found, world.founded.partnership.log_key)
            body = json.dumps({"size": checkpoint.size, "line": line_of(world, party, checkpoint)}).encode()
            assert (await world.call(http, party, "POST", api.HEAD, body=body)).status == 200


async def on_disk(agent):
    found = await agent.store.run(lambda c: read_kv(c, "cosigned"))
    return None if found is None else open_checkpoint(json.loads(found)["note"], agent.trust.key).size


async def refused_round(agent):
    with pytest.raises(Refusal) as caught:
        await agent.watch.round()
    return caught.value.code


async def send(agent, to="IDVAS"):
    given = await agent.agreements.give(Give.model_validate_json(json.dumps(agreement(to))))
    return await agent.office.send(Send.model_validate_json(json.dumps(form(to, gid=given["gid"]))))


# --- cosigning


async def test_a_head_is_cosigned_and_what_was_cosigned_is_on_the_disk_first(world):
    seen = []

    async def look(size, _line):
        seen.append((await on_disk(agent), size))

    async with world.relay() as relay, quiet(world, "Peacock", Liar) as agent:
        await grow(world, 3)
        Liar.lies["post"] = look
        await agent.watch.round()
        assert seen == [(3, 3)]
        assert list(relay.relay.board.asked.lines) == [world.parties["Peacock"].id]
        await agent.watch.round()
        assert len(seen) == 1  # once for each head


async def test_two_of_three_agencies_make_a_quorum_that_each_of_them_sees(world):
    async with world.relay(), quiet(world, "Peacock") as one, quiet(world, "IDVAS") as two:
        assert (one.watch.shown()["state"], one.watch.shown()["needed"]) == ("waiting", 1)
        await all_take_part(world)
        for agent in (one, two):
            assert await agent.watch.round() is True
            assert (agent.watch.shown()["needed"], agent.watch.shown()["taking_part"]) == (2, 3)
        await grow(world)
        assert await one.watch.round() is False
        assert await two.watch.round() is True
        assert await one.watch.round() is True
        for agent in (one, two):
            assert agent.trust.watched.last == world.now
            assert agent.watch.shown()["state"] == "agreed"


async def test_an_agency_that_was_off_for_a_fortnight_is_no_longer_waited_for(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        await all_take_part(world)
        await agent.watch.round()
        world.clock.advance(14 * DAY)
        await agent.book.refresh()
        assert await agent.watch.round() is False
        world.clock.advance(1)
        assert agent.watch.wanted() == 1
        assert await agent.watch.round() is True


async def test_who_took_part_is_known_over_restarts(world):
    async with world.relay():
        await all_take_part(world)
        async with quiet(world, "Peacock") as agent:
            await agent.watch.round()
        async with quiet(world, "Peacock") as agent:
            assert agent.watch.shown()["taking_part"] == 3
            await grow(world)
            assert await agent.watch.round() is False


async def test_of_two_agencies_one_is_enough(tmp_path):
    world = World.found(tmp_path, "Peacock", "IDVAS")
    async with world.relay(), quiet(world, "Peacock") as agent:
        assert await agent.watch.round() is True
        assert agent.watch.shown()["needed"] == 1


async def test_a_crash_before_the_line_left_loses_nothing(world):
    async def away(_size, _line):
        raise Refusal("RELAY_AWAY")

    async with world.relay() as relay:
        await grow(world, 2)
        async with quiet(world, "Peacock", Liar) as agent:
            Liar.lies["post"] = away
            assert await refused_round(agent) == "RELAY_AWAY"
        assert relay.relay.board.asked.lines == {}
        Liar.lies = {}
        world.clock.advance(1)
        async with quiet(world, "Peacock", Liar) as agent:
            assert agent.watch.size == 2
            await agent.watch.round()
        assert len(relay.relay.board.asked.lines) == 1


async def test_a_witness_killed_as_its_line_leaves_has_it_on_the_disk(world):
    """The files as they are at that moment are what a machine without power has afterwards."""
    home, kept = world.folder / "Peacock", world.folder / "kept"

    async def pulled(_size, _line):
        kept.mkdir()
        for part in home.glob("agent.db*"):
            shutil.copy(part, kept)
        raise Refusal("RELAY_AWAY")

    async with world.relay():
        await grow(world, 2)
        async with quiet(world, "Peacock", Liar) as agent:
            Liar.lies["post"] = pulled
            assert await refused_round(agent) == "RELAY_AWAY"
        for part in home.glob("agent.db*"):
            part.unlink()
        for part in kept.iterdir():
            shutil.copy(part, home)
        Liar.lies = {}
        async with quiet(world, "Peacock", Liar) as agent:
            assert agent.watch.size == 2
            world.clock.advance(1)
            says(head_of(world, 2)[1])
            assert await refused_round(agent) == "FORK"


async def test_a_witness_follows_the_log_as_it_grows_over_restarts(world):
    for size in (0, 1, 4, 9):
        async with world.relay(), quiet(world, "Peacock") as agent:
            await grow(world, size - agent.watch.size)
            await agent.watch.round()
            assert (agent.watch.size, await on_disk(agent)) == (size, size)
            assert agent.trust.alarm is None


async def test_who_is_no_member_or_has_no_standing_key_does_not_cosign(world):
    async with world.relay() as relay:
        async with quiet(world, "oversight") as agent:
            await agent.watch.round()
        party = world.parties["Peacock"]
        chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
        gone = chain.revoke(party.member.agent.witness.kid, "lost", world.now, world.now)
        async with world.session() as http:
            await world.post_statements(http, "Peacock", ("directory", gone))
        async with quiet(world, "Peacock") as agent:
            assert await agent.watch.round() is False
        assert relay.relay.board.asked.lines == {}


# --- refused for ever


async def test_a_forked_head_is_refused_for_ever_and_the_proof_is_written(world):
    async with world.relay() as relay:
        async with quiet(world, "Peacock", Liar) as agent:
            await grow(world, 2)
            await agent.watch.round()
            ours = relay.relay.board.asked.published.note
            _, fork = head_of(world, 2)
            world.clock.advance(1)
            says(fork)
            assert await refused_round(agent) == "FORK"
            assert (agent.trust.alarm.code, agent.trust.alarm.theirs) == ("FORK", fork)
        two = TwoNotes.parse((world.folder / "Peacock" / "two-logs.json").read_bytes())
        assert two.judge() == "forked"
        assert open_checkpoint(two.ours, two.log) == open_checkpoint(ours, two.log)
        Liar.lies = {}
        lines = dict(relay.relay.board.asked.lines)
        async with quiet(world, "Peacock", Liar) as agent:
            await grow(world)
            await agent.watch.round()
            assert (await on_disk(agent), agent.trust.alarm.code) == (2, "FORK")
        assert relay.relay.board.asked.lines == lines


async def test_a_longer_fork_is_refused_when_the_log_shows_no_way_to_it(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await grow(world, 2)
        await agent.watch.round()
        world.clock.advance(1)
        says(head_of(world, 7)[1])
        Liar.lies["consistency"] = (secrets.token_bytes(32),) * 3
        assert await refused_round(agent) == "FORK"
        assert await on_disk(agent) == 2
        two = TwoNotes.parse((world.folder / "Peacock" / "two-logs.json").read_bytes())
        assert two.judge() == "unanswered"


async def test_a_log_that_went_back_is_not_cosigned(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await grow(world, 1)
        old = (await agent.relay.head()).asked
        await grow(world, 3)
        await agent.watch.round()
        assert await on_disk(agent) == 4
        world.clock.advance(1)
        says(old)
        assert await refused_round(agent) == "ROLLBACK"
        assert (agent.trust.alarm.code, await on_disk(agent)) == ("ROLLBACK", 4)


@pytest.mark.parametrize("what", ["no second line", "no first line", "other origin", "other keys", "nothing"])
async def test_what_is_not_a_head_of_this_log_is_not_cosigned(world, what):
    keys, checkpoint = world.founded.relay, Checkpoint("relay.test/log", 1, bytes(32))
    bare, whole = sign_checkpoint(checkpoint, keys.log), head_of(world, 1, bytes(32))[1]
    other = Checkpoint("relay.tost/log", 1, bytes(32))
    stranger = World.found(world.folder / "x", "A").founded.relay
    note = {
        "no second line": bare,
        "no first line": f"{checkpoint.text()}\n{whole.removeprefix(bare)}",
        "other origin": publish(sign_checkpoint(other, keys.log), other, keys.log_mldsa),
        "other keys": publish(sign_checkpoint(checkpoint, stranger.log), checkpoint, stranger.log_mldsa),
        "nothing": "",
    }[what]
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        says(note)
        assert await refused_round(agent) == "CHECKPOINT"
        assert (await on_disk(agent), agent.trust.alarm) == (None, None)


async def test_a_witness_from_an_old_copy_takes_up_what_its_key_signed_since(world):
    home = world.folder / "Peacock"
    async with world.relay():
        await grow(world, 1)
        async with quiet(world, "Peacock", Liar) as agent:
            await agent.watch.round()
        shutil.copy(home / "agent.db", home / "old.db")
        await grow(world, 2)
        async with quiet(world, "Peacock", Liar) as agent:
            await agent.watch.round()
            assert await on_disk(agent) == 3
        for rest in home.glob("agent.db*"):
            rest.unlink()
        shutil.copy(home / "old.db", home / "agent.db")
        async with quiet(world, "Peacock", Liar) as agent:
            assert agent.watch.size == 1
            await agent.watch.round()
            assert (agent.watch.size, await on_disk(agent)) == (3, 3)


async def test_a_witness_from_an_old_copy_does_not_follow_a_fork_past_its_own_line(world):
    home = world.folder / "Peacock"
    async with world.relay() as relay:
        await grow(world, 1)
        async with quiet(world, "Peacock", Liar) as agent:
            await agent.watch.round()
        shutil.copy(home / "agent.db", home / "old.db")
        await grow(world, 2)
        async with quiet(world, "Peacock", Liar) as agent:
            await agent.watch.round()
        own = relay.relay.board.asked.text()
        for rest in home.glob("agent.db*"):
            rest.unlink()
        shutil.copy(home / "old.db", home / "agent.db")
        async with quiet(world, "Peacock", Liar) as agent:
            world.clock.advance(1)
            says(head_of(world, 3)[1], own)
            assert await refused_round(agent) == "FORK"
            assert await on_disk(agent) == 3


async def test_a_clock_that_went_back_signs_nothing(world):
    async with world.relay() as relay, quiet(world, "Peacock", Liar) as agent:
        await agent.watch.round()
        stamp = relay.relay.board.asked.lines[world.parties["Peacock"].id]
        await grow(world, 1)
        world.clock.advance(-ROUND)
        await agent.watch.round()
        assert await on_disk(agent) == 0
        assert list(relay.relay.board.asked.lines.values()) in ([], [stamp])


async def test_a_false_line_of_our_own_name_is_no_memory_of_ours(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await grow(world, 1)
        real = (await agent.relay.head()).asked
        checkpoint = open_checkpoint(real, agent.trust.key)
        line = line_of(world, "Peacock", checkpoint)
        prefix, encoded = line.rsplit(" ", 1)
        data = bytearray(base64.b64decode(encoded))
        data[-1] ^= 1
        says(f"{real}{prefix} {base64.b64encode(data).decode()}\n")
        assert await refused_round(agent) == "CHECKPOINT"
        assert agent.trust.watched.last == 0


# --- the quorum


async def test_one_key_twice_or_a_stranger_makes_no_quorum(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await all_take_part(world)
        await agent.watch.round()
        before = agent.trust.watched.last
        await grow(world)
        note = (await agent.relay.head()).asked
        checkpoint = open_checkpoint(note, agent.trust.key)
        twice = line_of(world, "IDVAS", checkpoint) + line_of(world, "IDVAS", checkpoint, world.now - 9)
        oversight = line_of(world, "oversight", checkpoint)
        not_hers = world.parties["IDVAS"].member.agent.witness
        wrong_key = cosign(checkpoint, world.parties["Harbour"].id, not_hers, world.now)
        says(note + twice + oversight + wrong_key)
        assert await agent.watch.round() is False
        assert agent.trust.watched.last == before
        says(note + twice + line_of(world, "Harbour", checkpoint))
        assert await agent.watch.round() is True


async def test_a_revoked_key_makes_no_quorum(world):
    party = world.parties["IDVAS"]
    async with world.relay(), quiet(world, "Peacock", Liar) as agent, quiet(world, "IDVAS") as other:
        await all_take_part(world)
        await agent.watch.round()
        before = agent.trust.watched.last
        await grow(world)
        await other.watch.round()
        chain = Chain(party.id, party.admin.op, party.admin.seq, party.admin.head)
        gone = chain.revoke(party.member.agent.witness.kid, "compromised", world.now + 1, world.now)
        async with world.session() as http:
            await world.post_statements(http, "IDVAS", ("directory", gone))
        world.clock.advance(1)
        await agent.book.refresh()
        assert await agent.watch.round() is False
        assert agent.trust.watched.last == before


async def test_without_a_quorum_a_day_long_sending_goes_on_with_a_warning_then_stops(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        assert agent.trust.watched.since == world.now
        await all_take_part(world)
        await agent.watch.round()
        await send(agent)
        world.clock.advance(3 * 3600)
        assert agent.watch.shown()["state"] == "late"
        await agent.outbox.flush()
        assert agent.trust.hindrance is None
        queued = await send(agent)
        world.clock.advance(QUORUM_AGE - 3 * 3600 + 1)
        await agent.book.refresh()
        assert (agent.trust.hindrance, agent.watch.shown()["state"]) == ("QUORUM", "stopped")
        with pytest.raises(Refusal) as refused:
            await send(agent)
        assert refused.value.code == "QUORUM"
        assert await agent.outbox.flush() == HINDERED
        assert (await agent.showing.message(queued["mid"]))["desks"][0]["state"] != "queued"
        assert (await agent.showing.status())["witnesses"]["state"] == "stopped"


async def test_receiving_goes_on_without_a_quorum(world):
    async with world.relay(), quiet(world, "IDVAS") as agent:
        world.clock.advance(2 * DAY)
        async with world.session() as http:
            sealed = world.seal("Harbour", "IDVAS")
            assert (await world.post_envelopes(http, "Harbour", sealed)).status == 200
        await agent.book.refresh()
        assert agent.trust.hindrance == "QUORUM"
        assert await agent.inbox.collect(0)
        assert agent.trust.alarm is None


async def test_sending_goes_on_by_itself_when_the_others_are_back(world):
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as other:
        queued = await send(agent)
        world.clock.advance(QUORUM_AGE + 1)
        for one in (agent, other):
            await one.book.refresh()
        assert agent.trust.hindrance == "QUORUM"
        await other.watch.round()
        assert not agent.watch.kick.is_set()
        assert await agent.watch.round() is True
        assert agent.watch.kick.is_set()
        assert agent.trust.hindrance is None
        await agent.consent.renew_due()
        await agent.posting.flush()
        await agent.outbox.flush()
        assert (await agent.showing.message(queued["mid"]))["desks"][0]["state"] == "queued"


async def test_a_machine_that_slept_asks_before_it_refuses(world):
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as other:
        world.clock.advance(3 * DAY)
        for one in (agent, other):
            await one.book.refresh()
        await other.watch.round()
        assert agent.trust.hindrance == "QUORUM"
        await send(agent)
        assert agent.trust.hindrance is None


async def test_what_was_seen_of_a_quorum_survives_a_restart(world):
    async with world.relay():
        async with quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as other:
            await other.watch.round()
            await agent.watch.round()
            watched = agent.trust.watched
            assert watched.last == world.now
        world.clock.advance(DAY - 1)
        async with quiet(world, "Peacock") as agent:
            assert agent.trust.watched == watched
            assert agent.trust.hindrance is None
            world.clock.advance(2)
            assert agent.trust.hindrance == "QUORUM"


async def test_an_old_quorum_served_again_is_no_newer(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent, quiet(world, "IDVAS") as other:
        await other.watch.round()
        await agent.watch.round()
        old = await agent.relay.head()
        world.clock.advance(DAY + 1)
        for one in (agent, other):
            await one.book.refresh()
        Liar.lies["head"] = lambda page: old
        await agent.watch.round()
        assert agent.trust.hindrance == "QUORUM"


async def test_running_agents_find_their_quorum_by_themselves(world):
    import asyncio

    async with (
        world.relay(),
        running(world, "Peacock", witness_every=0.2) as one,
        running(world, "IDVAS", witness_every=0.2),
    ):
        for _ in range(1200):
            state = (await one.ok("GET", "/v1/status"))["witnesses"]
            if state["taking_part"] == 2:
                break
            await asyncio.sleep(0.05)
        assert (state["state"], state["members"]) == ("agreed", 3)
