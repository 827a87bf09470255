"""Roots that speak in an agency's name stop its agent until a person has said that it was they (PROTOCOL.md G15)."""

import secrets

import pytest

from agent.own import Acknowledge
from schemas.canonical import b64
from schemas.keys import SigningKey
from schemas.roots import RotateRoot
from tests.agent.agencies import quiet
from tests.agent.test_directory_log import chain_of, send, state
from tests.simulated_world import World


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS")


def by_roots(world, op):
    """The roots from the safe put this operational key in force, wherever the chain stands; nothing is void."""
    member = world.parties["Peacock"].member
    body = RotateRoot(
        roots=tuple(b64(root.public) for root in member.next_roots), threshold=2, op_key=b64(op.public), void_from=None,
        next_roots=tuple(SigningKey(secrets.token_bytes(32)).kid for _ in range(2)), sigs=(),
    )  # fmt: skip
    for root in member.next_roots[:2]:
        body = body.signed_by(member.id, root)
    return chain_of(world, "Peacock").rotate_root(body, op, world.now)


async def test_replaced_roots_stop_sending_until_somebody_knows_of_it(world):
    async with world.relay():
        async with quiet(world, "Peacock") as agent:
            await state(world, "Peacock", by_roots(world, SigningKey(secrets.token_bytes(32))))
            await agent.book.refresh()
            assert agent.trust.hindrance == "OWN_STATEMENT"
            mid = await send(agent)
            assert (await agent.showing.message(mid))["desks"][0]["state"] == "waiting"
        async with quiet(world, "Peacock") as agent:  # a restart forgets nothing
            assert agent.trust.hindrance == "OWN_STATEMENT"
            (waits,) = await agent.book.own_statements()
            assert waits["grave"]
            assert "replaced the root keys and the administrator's key" in waits["say"]
            await agent.office.own.acknowledge(Acknowledge(statements=(waits["n"],)))
            await agent.outbox.flush()
            assert (await agent.showing.message(mid))["desks"][0]["state"] == "queued"
