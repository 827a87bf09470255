"""The directory's log as agents hold it to account: believed, gossiped, cosigned, covered by a quorum (L28, L29)."""

import asyncio
import json
import secrets
import time
from typing import ClassVar

import pytest

from agent.client import Relay
from agent.forms import Give, Send
from schemas import api
from schemas.chain import Chain
from schemas.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.keys import OpeningKey, Use
from schemas.witness import QUORUM_AGE, cosign, publish
from tests.agent.agencies import agreement, eventually, form, quiet, running
from tests.simulated_world import World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")
ROUND, DAY = 30, 86_400
ORIGIN = "relay.test/log/keys"


class Liar(Relay):
    """The line to the real relay; a test replaces what it says of the directory and of its log."""

    lies: ClassVar[dict] = {}

    async def directory(self, after):
        return self.lies.get("directory", lambda page: page)(await super().directory(after))

    async def head(self, log=api.LOG):
        page = await super().head(log)
        return self.lies.get("head", lambda found: found)(page) if log == api.KEYS else page

    async def post_cosignature(self, size, line, log=api.LOG):
        if log == api.KEYS and "head" in self.lies:
            return await self.head(log)
        return await super().post_cosignature(size, line, log)


@pytest.fixture(autouse=True)
def honest():
    Liar.lies = {}
    yield
    Liar.lies = {}


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


def forged(world, size, root=None):
    """A head of the directory's log by its own key, over a directory that never was."""
    checkpoint = Checkpoint(ORIGIN, size, root or secrets.token_bytes(32))
    return sign_checkpoint(checkpoint, world.founded.relay.keys_log)


def chain_of(world, party):
    admin = world.parties[party].admin
    mine = world.directory.agencies[admin.agency]
    return Chain(admin.agency, admin.op, mine.seq, mine.head)


async def state(world, party, *said):
    async with world.session() as http:
        for signed in said:
            answer = await world.post_statements(http, party, ("directory", signed))
            assert answer.json()["results"][0]["status"] == "recorded", answer.body
            world.take(signed)


async def new_prekey(world, party="IDVAS"):
    key = OpeningKey(secrets.token_bytes(32))
    now = world.now
    await state(
        world, party, chain_of(world, party).add_key(Use.PREKEY, key.public, now, now + 14 * DAY, now)
    )
    return key.kid


async def send(agent, to="IDVAS"):
    given = await agent.agreements.give(Give.model_validate_json(json.dumps(agreement(to))))
    queued = await agent.office.send(Send.model_validate_json(json.dumps(form(to, gid=given["gid"]))))
    await agent.posting.flush()
    await agent.outbox.flush()
    return queued["mid"]


def proof(world, party="Peacock"):
    return TwoNotes.parse((world.folder / party / "two-directories.json").read_bytes())


async def test_a_round_cosigns_the_heads_of_both_logs(world):
    mine = world.parties["Peacock"].id
    async with world.relay() as relay, quiet(world, "Peacock") as agent:
        assert await agent.watch.round() is True
        assert set(relay.relay.board.asked.lines) == set(relay.relay.keys_board.asked.lines) == {mine}
        shown = (await agent.showing.status())["directory_witnesses"]
        assert (shown["state"], shown["size"]) == ("agreed", world.directory.size)
        assert shown["say"] == "Enough agencies vouch for the directory of agencies."


async def test_a_directory_that_does_not_fit_what_was_seen_is_a_fork_and_the_proof_names_it(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        theirs = forged(world, world.directory.size)
        with pytest.raises(Refusal, match="FORK"):
            await agent.keys_trust.believe(theirs)
        assert (agent.trust.alarm.code, agent.trust.hindrance) == ("FORK", "FORK")
    two = proof(world)
    assert (two.log.name, two.theirs, two.judge()) == (ORIGIN, theirs, "forked")
    assert not (world.folder / "Peacock" / "two-logs.json").exists()


@pytest.mark.parametrize("grow", [1, 40])
async def test_a_longer_directory_that_the_relay_cannot_join_to_ours_is_a_fork(world, grow):
    async with world.relay(), quiet(world, "Peacock") as agent:
        with pytest.raises(Refusal, match="FORK"):
            await agent.keys_trust.believe(forged(world, world.directory.size + grow))
    assert proof(world).judge() == "unanswered"


async def test_checkpoints_of_both_logs_travel_inside_every_message(world):
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as other:
        await new_prekey(world, "Harbour")
        await agent.book.refresh()
        await send(agent)
        await send(agent)
        origins = [note.partition("\n")[0] for note in agent.trust.gossip]
        assert sorted(origins) == ["relay.test/log", "relay.test/log", ORIGIN, ORIGIN]
        assert other.keys_trust.size < world.directory.size
        assert await other.inbox.collect(0)
        assert other.keys_trust.size == world.directory.size  # heard from a colleague
        assert other.trust.alarm is None


async def test_another_directory_in_a_colleagues_message_raises_the_alarm_and_the_message_is_shown(world):
    async with world.relay(), quiet(world, "Peacock") as agent, quiet(world, "IDVAS") as other:
        theirs = forged(world, world.directory.size)
        agent.keys_trust._gossip = (theirs,)  # what Peacock was shown
        await send(agent)
        await other.inbox.collect(0)
        assert len(await other.showing.inbox()) == 1
        assert other.trust.alarm.code == "FORK"
    assert proof(world, "IDVAS").theirs == theirs


async def test_a_relay_that_hides_what_a_colleague_has_seen_is_a_rollback(world):
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        old = await agent.relay.directory(world.directory.size)
        await new_prekey(world)
        async with quiet(world, "IDVAS") as other:
            await agent.trust.weigh(other.keys_trust.gossip[-1], world.now)
        Liar.lies["directory"] = lambda page: old
        with pytest.raises(Refusal, match="ROLLBACK"):
            await agent.book.refresh()
        assert agent.trust.alarm.code == "ROLLBACK"
    assert proof(world).log.name == ORIGIN


async def test_what_was_believed_of_the_directory_survives_a_restart(world):
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            await agent.watch.round()
            before = agent.keys_trust.gossip, agent.keys_trust.watched, agent.keys_watch.size
        async with quiet(world, "Peacock") as agent:
            assert before == (agent.keys_trust.gossip, agent.keys_trust.watched, agent.keys_watch.size)


# --- what a quorum covers


async def test_a_new_receiving_key_is_sealed_to_once_a_quorum_stands_behind_it(world):
    theirs = world.parties["IDVAS"].id
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.watch.round()
        before = agent.book.view().prekey(theirs, world.now).kid
        world.clock.advance(ROUND)
        new = await new_prekey(world)
        await agent.book.refresh()
        assert agent.book.view().prekey(theirs, world.now).kid == before
        world.clock.advance(ROUND)
        await agent.watch.round()
        assert agent.book.view().prekey(theirs, world.now).kid == new


async def test_it_is_so_after_a_restart_too(world):
    theirs = world.parties["IDVAS"].id
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            await agent.watch.round()
            before = agent.book.view().prekey(theirs, world.now).kid
            world.clock.advance(ROUND)
            await new_prekey(world)
            await agent.book.refresh()
        async with quiet(world, "Peacock") as agent:
            assert agent.book.view().prekey(theirs, world.now).kid == before


async def test_where_there_is_no_other_the_new_key_is_sealed_to_at_once(world):
    """A colleague whose old key is lost must not be out of reach until enough agents have looked."""
    theirs = world.parties["IDVAS"].id
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.watch.round()
        world.clock.advance(ROUND)
        new, chain = await new_prekey(world), chain_of(world, "IDVAS")
        olds = [
            k for k in world.directory.agencies[theirs].keys.values() if k.use == Use.PREKEY and k.kid != new
        ]
        await state(world, "IDVAS", *(chain.revoke(k.kid, "lost", world.now, world.now) for k in olds))
        await agent.book.refresh()
        assert agent.book.view().prekey(theirs, world.now).kid == new


async def test_an_old_quorum_renewed_for_ever_does_not_cover_what_came_after(world):
    """Else a relay could show one agency a directory of its own, as long as the true one stands still."""
    async with world.relay(), quiet(world, "Peacock", Liar) as agent:
        await agent.watch.round()
        old = open_checkpoint(agent.keys_trust.gossip[-1], agent.keys_trust.key)
        bare = publish(sign_checkpoint(old, world.founded.relay.keys_log), old, world.founded.relay.log_mldsa)

        def renewed(page):
            idvas = world.parties["IDVAS"]
            return api.WitnessPage(
                asked=bare + cosign(old, idvas.id, idvas.member.agent.witness, world.now), held=None
            )

        await new_prekey(world)
        await agent.book.refresh()
        Liar.lies["head"] = renewed
        for _ in range(5):
            world.clock.advance(QUORUM_AGE // 4)
            await agent.book.refresh()
            await agent.watch.round()
        assert agent.keys_trust.watched.last == world.now
        assert agent.keys_watch.shown()["state"] == "stopped"
        assert agent.trust.hindrance == "QUORUM"
        Liar.lies = {}
        world.clock.advance(1)
        await agent.watch.round()
        assert agent.trust.hindrance is None


async def test_without_a_quorum_for_the_directory_a_day_long_sending_stops(world):
    async with world.relay(), quiet(world, "Peacock") as agent:
        await agent.watch.round()
        for seconds, code, said in ((3 * 3600, None, "late"), (QUORUM_AGE, "QUORUM", "stopped")):
            world.clock.advance(seconds)
            await agent.book.refresh()
            await agent.watch._own_round()  # the audit log's alone: nobody vouches for the directory
            assert (agent.trust.unwitnessed, agent.trust.hindrance) == (False, code)
            assert (await agent.showing.status())["directory_witnesses"]["state"] == said
        await agent.watch.round()
        assert agent.trust.hindrance is None


async def test_a_running_agent_hears_at_once_that_a_key_ended(world):
    """It would look by itself only an hour later."""
    async with world.relay(), running(world, "IDVAS", wait=25, directory_every=3600) as idvas:
        await eventually(lambda: _knows(idvas, lambda view: view.size == world.directory.size))
        await asyncio.sleep(0.3)
        kid = world.parties["Peacock"].member.agent.msg.kid
        ended = chain_of(world, "Peacock").revoke(kid, "compromised", world.now, world.now)
        began = time.monotonic()
        await state(world, "Peacock", ended)
        peacock = world.parties["Peacock"].id
        await eventually(lambda: _knows(idvas, lambda view: view.agencies[peacock].keys[kid].revoked))
        assert time.monotonic() - began < 20


async def _knows(caller, what):
    return what(caller.agent.book.latest)
