"""When the operational key and the roots are due to be followed, to the second; and that neither ever ends by itself."""

import pytest

from schemas.directory import Directory
from schemas.keys import Use
from schemas.people import SOON, URGENT
from schemas.succession import LASTS, successions
from tests.schemas.test_directory_kept import again
from tests.tools.rotations import NOW, by, ceremony, chain_of, named
from tests.tools.vector_world import ALDER, DAY, T0, directory

YEAR, TWO_YEARS = 365 * DAY, 730 * DAY
NEW_OP = named("alder op 2")


def due(view: Directory, at: int) -> list[tuple[str, int, int, bool]]:
    found = successions(view.agencies[ALDER.id], at)
    return [(str(one.use), one.since, one.due, one.urgent) for one in found]


def test_the_lives_are_those_of_the_table():
    assert (LASTS[Use.OP], LASTS[Use.ROOT]) == (YEAR, TWO_YEARS)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (SOON + 1, []),
        (SOON, [("op", T0, T0 + YEAR, False)]),
        (URGENT + 1, [("op", T0, T0 + YEAR, False)]),
        (URGENT, [("op", T0, T0 + YEAR, True)]),
        (-1, [("op", T0, T0 + YEAR, True)]),
        (-300 * DAY, [("op", T0, T0 + YEAR, True)]),
    ],
)
def test_an_operational_key_is_told_of_sixty_days_before_and_presses_fourteen_before_and_ever_after(
    before: int, expected: list
):
    assert due(directory(), T0 + YEAR - before) == expected


@pytest.mark.parametrize(
    ("before", "expected"), [(SOON + 1, []), (SOON, [False]), (URGENT, [True]), (-1, [True])]
)
def test_roots_are_told_of_in_the_same_way_after_two_years(before: int, expected: list[bool]):
    found = due(directory(), T0 + TWO_YEARS - before)
    assert [urgent for use, _since, _due, urgent in found if use == "root"] == expected


def test_whoever_replaced_the_operational_key_is_reminded_a_year_after_that():
    view = directory()
    view.apply(chain_of(ALDER).rotate_op(NEW_OP, NOW))
    assert due(view, NOW + YEAR - SOON - 1) == []
    assert due(view, NOW + YEAR) == [("op", NOW, NOW + YEAR, True)]
    assert [use for use, *_ in due(view, T0 + TWO_YEARS)] == ["op", "root"]


def test_whoever_used_the_next_roots_is_reminded_of_both_anew():
    view = directory()
    view.apply(chain_of(ALDER).rotate_root(ceremony(ALDER, op=NEW_OP), NEW_OP, NOW))
    assert due(view, NOW + YEAR - SOON - 1) == []
    assert due(view, NOW + TWO_YEARS) == [
        ("op", NOW, NOW + YEAR, True), ("root", NOW, NOW + TWO_YEARS, True),
    ]  # fmt: skip


def test_roots_that_can_never_be_followed_ask_nothing_of_anybody():
    from dataclasses import replace

    agency = replace(directory().agencies[ALDER.id], committed=frozenset())
    assert [one.use for one in successions(agency, T0 + TWO_YEARS)] == [Use.OP]


def test_a_key_that_is_long_overdue_speaks_for_its_agency_as_before():
    view, late = directory(), T0 + 10 * YEAR
    view.apply(chain_of(ALDER).add_key(Use.MSG, named("late").public, late, late + DAY, late))
    assert view.key(named("late").kid, Use.MSG, late, ALDER.id).agency == ALDER.id
    chain = chain_of(ALDER)
    view = directory()
    view.apply(chain.rotate_op(NEW_OP, late))
    view.apply(by(chain, NEW_OP).revoke(ALDER.msg.kid, "left", late, late))
    assert due(view, late) == [("root", T0, T0 + TWO_YEARS, True)]


def test_the_dates_are_kept_with_the_view():
    view = directory()
    view.apply(chain_of(ALDER).rotate_op(NEW_OP, NOW))
    found = again(view).agencies[ALDER.id]
    assert (found.op_since, found.roots_since) == (NOW, T0)
