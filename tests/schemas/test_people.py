"""What is due about people's keys, to the second."""

import pytest

from schemas.keys import Use
from schemas.people import QUARTER, SOON, URGENT, reminders
from tests.tools.rotations import NOW, Staffed, named
from tests.tools.vector_world import ALDER, DAY

EXP = NOW + 80 * DAY


@pytest.fixture
def world() -> Staffed:
    found = Staffed()
    found.take(found.alder.add_key(Use.PERSON, named("ann").public, NOW, EXP, NOW, "lead-77"))
    return found


def due(world: Staffed, at: int) -> list[tuple[str, int, bool]]:
    found = reminders(world.view.agencies[ALDER.id], at)
    return [(one.why, one.at, one.urgent) for one in found if one.key.kid == named("ann").kid]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (EXP - SOON - 1, []),
        (EXP - SOON, [("ends", EXP, False)]),
        (EXP - URGENT - 1, [("ends", EXP, False)]),
        (EXP - URGENT, [("ends", EXP, True)]),
        (EXP - 1, [("ends", EXP, True)]),
        (EXP, []),
    ],
)
def test_an_end_is_told_sixty_days_before_and_presses_fourteen_before(
    world: Staffed, at: int, expected: list
):
    assert due(world, at) == expected


def test_whoever_has_a_later_key_is_not_reminded(world: Staffed):
    world.take(world.alder.add_key(Use.PERSON, named("ann 2").public, NOW, EXP + 1, NOW, "lead-77"))
    assert due(world, EXP - URGENT) == []
    world.take(world.alder.revoke(named("ann 2").kid, "lost", NOW, NOW))
    assert due(world, EXP - URGENT) == [("ends", EXP, True)]


def test_a_quarter_after_the_last_look_somebody_looks_again():
    world = Staffed()
    world.take(world.alder.add_key(Use.PERSON, named("ann").public, NOW, NOW + 300 * DAY, NOW, "lead-77"))
    assert due(world, NOW + QUARTER - 1) == []
    assert due(world, NOW + QUARTER) == [("look", NOW, True)]
    world.take(world.alder.recertify((named("ann").kid,), NOW + DAY))
    assert due(world, NOW + QUARTER) == []
    assert due(world, NOW + DAY + QUARTER) == [("look", NOW + DAY, True)]


def test_a_key_that_names_nobody_cannot_be_looked_over():
    world = Staffed()
    key = named("an officer's")
    world.take(world.alder.add_key(Use.IG_AUTH, key.public, NOW, NOW + 300 * DAY, NOW))
    found = reminders(world.view.agencies[ALDER.id], NOW + 290 * DAY)
    assert [one.why for one in found if one.key.kid == key.kid] == ["ends"]


def test_running_keys_are_the_agents_to_renew(world: Staffed):
    for at in (EXP - SOON, EXP - URGENT, NOW + QUARTER):
        found = reminders(world.view.agencies[ALDER.id], at)
        assert {one.key.use for one in found} <= {Use.PERSON, Use.IG, Use.IG_AUTH, Use.POLICY}
