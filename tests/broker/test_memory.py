"""Keys are overwritten when they are over, and never while something is still sealed under them."""

import secrets

import pytest

from broker.drafts import Draft, answered, packed, unpacked
from broker.epochs import LIFE, Epochs
from broker.memory import wipe
from tests.simulated_world import World

NOW = 1_800_000_000


@pytest.fixture
def epochs(world: World) -> Epochs:
    found = Epochs(secrets.token_bytes)
    found.renew(NOW, world.directory, 0)
    return found


def test_what_is_wiped_is_zeros_wherever_it_is_held():
    secret = secrets.token_bytes(32)
    also = [secret]
    wipe(secret)
    assert also[0] == bytes(32)


def test_a_key_that_a_turn_is_still_sealing_under_is_left_alone_until_it_is_not(epochs: Epochs):
    keys, _ = epochs.sealing(set(epochs.keys))
    held = keys[0]
    kept = bytearray(held)
    del keys
    epochs.forget(NOW + LIFE)
    assert not epochs.keys
    assert held == kept, "somebody holds it"
    assert len(epochs._over) == 1
    del held
    epochs.forget(NOW + LIFE + 1)
    assert not epochs._over


def test_keys_of_an_epoch_that_another_replaces_are_wiped_too(epochs: Epochs, world: World):
    epochs.renew(NOW + 1, world.directory, 5)
    assert len(epochs._over) == len(epochs.keys)
    epochs.forget(NOW + 1)
    assert not epochs._over
    assert epochs.keys, "the running ones stay"


def test_a_batch_is_sealed_with_its_own_keys_and_leaves_the_senders_alone():
    drafts = [
        Draft(
            *(secrets.token_bytes(32) for _ in range(3)),
            (secrets.token_bytes(32),),
            b"",
            b'{"n":%d}' % n,
            b"",
        )
        for n in range(3)
    ]
    again = [(draft.keys[0][:], bytes(bytearray(draft.rk))) for draft in drafts]
    batch = packed(drafts)
    assert [one.rk for one in unpacked(batch)] == [draft.rk for draft in drafts]
    answered(batch)
    assert [(draft.keys[0], draft.rk) for draft in drafts] == again
