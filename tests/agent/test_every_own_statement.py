"""Whatever is said in an agency's name, or of it, and was not made here waits for a person, in words (PROTOCOL.md G15)."""

import secrets
from typing import get_args

import pytest

from agent.own_chain import GRAVE, SAYS
from schemas.directory_statement import Statement
from schemas.keys import SigningKey, Use
from tests.agent.agencies import quiet
from tests.agent.test_directory_log import chain_of, state
from tests.simulated_world import FLAGS, World

DAY = 24 * 3600
UNKNOWN = "a statement that this program does not know"


@pytest.fixture
def world(tmp_path):
    return World.again(tmp_path, "Peacock", "IDVAS", "Harbour")


def operations():
    return set(get_args(Statement.model_fields["op"].annotation))


def test_every_operation_has_a_sentence():
    assert operations() - {"add-key"} == SAYS.keys()
    assert operations() >= GRAVE


async def test_each_statement_that_somebody_else_made_is_shown_once(world):
    """The administrator's key, or oversight's, in other hands: one after the other, and none is passed over."""
    mine, now = world.parties["Peacock"].id, world.now
    lead = SigningKey(secrets.token_bytes(32))

    def own():
        return chain_of(world, "Peacock")

    def oversight():
        return chain_of(world, "oversight")

    witness = world.parties["Peacock"].member.agent.witness.kid
    steps = [
        ("Peacock", lambda: own().add_key(Use.PERSON, lead.public, now, now + 300 * DAY, now, "lead-7")),
        ("Peacock", lambda: own().recertify((lead.kid,), now)),
        ("Peacock", lambda: own().roster("intake", ("idva",), now)),
        ("Peacock", lambda: own().revoke(witness, "rotated", now + DAY, now)),
        ("oversight", lambda: oversight().admit(mine, "Peacock", ("intake", "other"), FLAGS, now)),
        ("oversight", lambda: oversight().alias(mine, world.parties["Harbour"].id, now + DAY, now)),
        ("oversight", lambda: oversight().leave(mine, now + DAY, None, now)),
        ("Peacock", lambda: own().rotate_op(SigningKey(secrets.token_bytes(32)), now)),
    ]
    async with world.relay(), quiet(world, "Peacock") as agent:
        for count, (party, said) in enumerate(steps, 1):
            await state(world, party, said())
            await agent.book.refresh()
            shown = await agent.book.own_statements()
            assert len(shown) == count, (party, shown)
        assert [one["op"] for one in shown if one["grave"]] == ["leave", "rotate-op"]
        assert not [one["say"] for one in shown if UNKNOWN in one["say"]]
