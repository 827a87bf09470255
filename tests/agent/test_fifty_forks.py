"""Fifty forks shown to an agent, by the relay or by a colleague who was shown another log: each stops sending (L13-L16)."""

import random
from typing import Any, ClassVar

import pytest

from agent.client import Relay
from schemas import api
from schemas.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from schemas.errors import Refusal
from schemas.forked import TwoNotes
from schemas.merkle import Frontier, consistency_proof, leaf_hash, node_hash
from tests.agent.agencies import quiet
from tests.simulated_world import World

pytestmark = pytest.mark.filterwarnings("ignore:shutdown_timeout:DeprecationWarning")
FORKS = 50


class Liar(Relay):
    """The line to the real relay; `proof` is what it gives for how two sizes fit."""

    proof: ClassVar[Any] = None

    async def consistency(self, old, new, log=api.LOG):
        return await super().consistency(old, new, log) if Liar.proof is None else Liar.proof(old, new)


class Fork:
    """Another log of the same relay, alike up to some leaf."""

    def __init__(self, leaves: list[bytes]) -> None:
        self.hashes = [leaf_hash(leaf) for leaf in leaves]

    def root(self) -> bytes:
        frontier = Frontier()
        for digest in self.hashes:
            frontier = frontier.append(digest)
        return frontier.root()

    def node(self, level: int, at: int) -> bytes:
        if level == 0:
            return self.hashes[at]
        return node_hash(self.node(level - 1, 2 * at), self.node(level - 1, 2 * at + 1))

    def proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """What it would say for itself, which does not fit the other log."""
        return tuple(consistency_proof(min(old, len(self.hashes)), len(self.hashes), self.node))


async def test_fifty_forks_are_fifty_alarms_and_each_leaves_its_proof(tmp_path):
    world, dice = World.again(tmp_path, "Peacock", "IDVAS"), random.Random(3)
    key, log = world.founded.partnership.log_key, world.founded.relay.log
    async with world.relay() as relay, world.session() as http, quiet(world, "Peacock", Liar) as agent:
        sealed = [world.seal("IDVAS", "Peacock") for _ in range(40)]
        assert (await world.post_envelopes(http, "IDVAS", *sealed)).status == 200
        mine = await agent.trust.believe(relay.relay.log.note)
        bundle = await relay.relay.log.entries(0, mine.size)
        leaves = [bundle[at + 2 : at + 99] for at in range(0, len(bundle), 99)]
        for number in range(FORKS):
            at = dice.randrange(mine.size)
            other = [*leaves[:at], bytes(97), *leaves[at + 1 :], *[bytes([n]) * 97 for n in range(4)]]
            size = dice.randrange(at + 1, len(other) + 1)
            fork = Fork(other[:size])
            Liar.proof = (None, fork.proof, lambda _old, _new: ())[number % 3]
            theirs = sign_checkpoint(Checkpoint(key.name, size, fork.root()), log)
            agent.trust.alarm = None
            with pytest.raises(Refusal, match="FORK"):
                await agent.trust.believe(theirs)
            assert (agent.trust.alarm.code, agent.trust.hindrance) == ("FORK", "FORK")
            two = TwoNotes(key, agent.trust.alarm.ours, agent.trust.alarm.theirs)
            assert {head.root for head in two.heads()} == {mine.root, fork.root()}
            assert two.judge() == ("forked" if size == mine.size else "unanswered")
        Liar.proof = None
        assert open_checkpoint(agent.trust.gossip[0], key) == mine  # nothing of it was believed
