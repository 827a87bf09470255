"""Dates and algorithms with which a key may enter the directory (PROTOCOL.md K12), to the second."""

import pytest

from schemas.errors import Refusal
from schemas.keys import LIFE, OpeningKey, Use
from tests.tools.rotations import NOW, chain_of, named
from tests.tools.vector_world import ALDER, DAY, directory, seed

SEALABLE = LIFE[Use.PREKEY]


def prekey(nbf: int, exp: int):
    return chain_of(ALDER).add_key(Use.PREKEY, OpeningKey(seed("a prekey of its own")).public, nbf, exp, NOW)


@pytest.mark.parametrize(
    ("nbf", "exp"),
    [(NOW, NOW + SEALABLE + 1), (NOW, NOW + 15 * DAY), (NOW - 1, NOW + SEALABLE), (NOW, NOW), (NOW, NOW - 1)],
    ids=["a second too long", "a day too long", "begins too early", "no second", "ends first"],
)
def test_a_receiving_key_that_could_be_sealed_to_for_longer_than_it_is_held_is_refused(nbf: int, exp: int):
    view = directory()
    with pytest.raises(Refusal, match="KEY"):
        view.apply(prekey(nbf, exp))
    assert view.agencies[ALDER.id] == directory().agencies[ALDER.id]


def test_fourteen_days_are_not_too_long():
    view = directory()
    signed = prekey(NOW, NOW + SEALABLE)
    view.apply(signed)
    (found,) = (
        key for key in view.agencies[ALDER.id].keys.values() if (key.use, key.nbf) == (Use.PREKEY, NOW)
    )
    assert found.stands(NOW + SEALABLE - 1)
    assert not found.stands(NOW + SEALABLE)


@pytest.mark.parametrize("use", [use for use in LIFE if use is not Use.POLICY])
def test_a_key_whose_days_are_over_before_they_begin_is_refused(use: Use):
    key = OpeningKey(seed("another")) if use in (Use.PREKEY, Use.IG) else named("another")
    person = "lead-9" if use is Use.PERSON else None
    with pytest.raises(Refusal, match="KEY"):
        directory().apply(chain_of(ALDER).add_key(use, key.public, NOW, NOW, NOW, person))
