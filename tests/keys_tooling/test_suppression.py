"""What is published shows nobody: no small count stands in a table, and none follows from all tables together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys_tooling.audit.report.bounds import Key, Sum
from keys_tooling.audit.report.figures import Axis, Figures, check_axes, name, tabulate
from keys_tooling.audit.report.suppression import Published, publish, rounded, without_peers
from schemas.errors import Refusal
from tests.keys_tooling.linear_oracle import Form, Reader

AGENCY = Axis("agency", ("a", "b", "c"))
COLOUR = Axis("colour", ("RED", "AMBER"))
TIMELY = Axis("timely", ("yes", "no"))
PAIR = Axis("agency", ("a", "b"))
Q = "2026-Q3"


def table(*axes: Axis, **cells: int) -> Figures:
    """Counts by cell: `a_RED=3`."""
    return tabulate(
        "x", Q, axes, [tuple(cell.split("_")) for cell, count in cells.items() for _ in range(count)]
    )


def form(key: Key, figures: Figures, label: str = "") -> Form:
    """A figure as a sum of the innermost cells of the table that it is in."""
    inner = [other for other in figures.counts if set(key) <= set(other)]
    axes = [{part.partition(":")[0] for part in other[2:]} for other in inner]
    deepest = [
        other for other, names in zip(inner, axes, strict=True) if not any(names < more for more in axes)
    ]
    first = {part.partition(":")[0] for part in deepest[0][2:]}
    return {label + repr(one): 1 for one in deepest if {part.partition(":")[0] for part in one[2:]} == first}


def said(
    pack: Published, figures: Figures, label: str = "", *, exactly: bool = False
) -> list[tuple[Form, int]]:
    """What a reader writes down: a range for each figure shown, and that tables agree about what they share."""
    rows: list[tuple[Form, int]] = []
    for key, shown in pack.shown.items():
        low, high = (max(8, shown - 2), shown + 2) if shown else (0, shown)
        if exactly and shown is not None:
            low = high = figures.counts[key]
        if high is not None:
            here = form(key, figures, label)
            rows += [(here, high), (minus(here), -low)] if low else [(here, high)]
    for one in figures.sums:
        whole, parts = (
            form(one.whole, figures, label),
            plus(*(form(part, figures, label) for part in one.parts)),
        )
        if whole != parts:
            rows += [(plus(whole, minus(parts)), 0), (plus(parts, minus(whole)), 0)]
    return rows


def plus(*forms: Form) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in forms:
        total.update(one)
    return dict(total)


def minus(one: Form) -> dict[str, int]:
    return {name: -weight for name, weight in one.items()}


def gives_away(reader: Reader, wanted: Form) -> bool:
    """Whether a figure is known to lie within 1 to 7."""
    high = reader.most(wanted)
    return high is not None and high < 8 and reader.least(wanted) > 0


counts = st.one_of(st.integers(0, 12), st.integers(0, 60))


@st.composite
def tables(draw: st.DrawFn) -> Figures:
    """A table with totals, or two that share their colours' totals, or one of three axes."""
    axes = draw(st.sampled_from(((AGENCY,), (AGENCY, COLOUR), (COLOUR, TIMELY, PAIR))))
    cells = [cell for cell in product(*(axis.values for axis in axes)) for _ in range(draw(counts))]
    figures = tabulate("x", Q, axes, cells)
    if axes != (AGENCY, COLOUR) or draw(st.booleans()):
        return figures
    timely = draw(st.integers(0, len(cells)))
    rows = [(colour, "yes" if at < timely else "no") for at, (_, colour) in enumerate(cells)]
    return figures | tabulate("x", Q, (COLOUR, TIMELY), rows)


@st.composite
def linked(draw: st.DrawFn) -> Figures:
    """Messages by agency, and by the kinds of sender and recipient: agencies of a kind add up to their kind."""
    kinds = {"a": "idva", "b": "idva", "c": "police"}
    cells = [cell for cell in product(kinds, ("idva", "police")) for _ in range(draw(counts))]
    by_agency = tabulate("x", Q, (AGENCY,), [(agency,) for agency, _ in cells])
    axes = (Axis("from", ("idva", "police")), Axis("to", ("idva", "police")))
    found = by_agency | tabulate("x", Q, axes, [(kinds[agency], to) for agency, to in cells])
    sums = [
        Sum(
            name("x", Q, {"from": kind}),
            tuple(name("x", Q, {"agency": a}) for a, of in kinds.items() if of == kind),
        )
        for kind in ("idva", "police")
    ]
    return Figures(found.counts, (*found.sums, *sums))


@given(tables())
@settings(max_examples=40, deadline=None)
def test_no_count_of_one_to_seven_is_shown_and_others_are_fives(figures: Figures):
    for key, shown in publish(figures).shown.items():
        count = figures.counts[key]
        assert shown is None or (shown % 5 == 0 and abs(shown - count) <= 2)
        assert not (0 < count < 8 and shown is not None)
        assert count or shown == 0


@given(st.one_of(tables(), linked()))
@settings(max_examples=20, deadline=None)
def test_no_withheld_figure_follows_from_what_is_shown(figures: Figures):
    pack = publish(figures)
    reader = Reader(said(pack, figures))
    for key, shown in pack.shown.items():
        assert shown is not None or not gives_away(reader, form(key, figures)), key


@given(st.one_of(tables(), linked()))
@settings(max_examples=20, deadline=None)
def test_not_even_for_a_reader_who_knows_the_shown_figures_exactly(figures: Figures):
    pack = publish(figures)
    reader = Reader(said(pack, figures, exactly=True))
    for key, shown in pack.shown.items():
        if shown is None:
            high = reader.most(form(key, figures))
            assert high is None or high >= 8, key


@st.composite
def twice(draw: st.DrawFn) -> tuple[Figures, Figures]:
    """A table, and the same table when a few entries more had come in."""
    axes = draw(st.sampled_from(((AGENCY,), (AGENCY, COLOUR))))
    places = list(product(*(axis.values for axis in axes)))
    first = [place for place in places for _ in range(draw(counts))]
    late = draw(st.lists(st.sampled_from(places), max_size=12))
    return tabulate("x", Q, axes, first), tabulate("x", Q, axes, first + late)


@given(twice())
@settings(max_examples=8, deadline=None)
def test_nothing_small_follows_from_two_packs_not_even_how_many_came_late(pair: tuple[Figures, Figures]):
    before = publish(pair[0])
    after = publish(pair[1], earlier=[before])
    reader = Reader(both(before, pair[0], after, pair[1]))
    for key in before.shown:
        now, then = form(key, pair[1], "now "), form(key, pair[0], "then ")
        assert not gives_away(reader, plus(now, minus(then))), ("late", key)
        assert before.shown[key] is not None or not gives_away(reader, then), ("then", key)
        assert after.shown[key] is not None or not gives_away(reader, now), ("now", key)


def both(before: Published, old: Figures, after: Published, new: Figures) -> list[tuple[Form, int]]:
    """What a reader of two packs writes down: nothing that was counted goes away."""
    grown = [(plus(form(key, old, "then "), minus(form(key, new, "now "))), 0) for key in old.counts]
    return [*said(before, old, "then "), *said(after, new, "now "), *grown]


def test_without_the_earlier_pack_the_difference_would_have_told():
    """The check is needed: two packs, each safe alone, whose difference is a small count."""
    first, second = table(AGENCY, a=18, b=12), table(AGENCY, a=18, b=13)
    reader = Reader(both(publish(first), first, publish(second), second))
    key = name("x", Q, {"agency": "b"})
    assert gives_away(reader, plus(form(key, second, "now "), minus(form(key, first, "then "))))
    assert publish(second, earlier=[publish(first)]).revised == {key}


@given(st.lists(counts, min_size=3, max_size=3), st.lists(counts, min_size=3, max_size=3))
@settings(max_examples=20, deadline=None)
def test_where_one_of_two_figures_that_are_often_equal_is_withheld_so_is_the_other(
    some: list[int], others: list[int]
):
    one, other = (
        tabulate(
            statistic,
            Q,
            (AGENCY,),
            [(a,) for a, count in zip(AGENCY.values, cells, strict=True) for _ in range(count)],
        )
        for statistic, cells in (("x", some), ("y", others))
    )
    twins = [(key, ("y", *key[1:])) for key in one.counts]
    pack = publish(one | other, twins=twins)
    for key, twin in twins:
        assert (pack.shown[key] is None) == (pack.shown[twin] is None)
    reader = Reader(said(pack, one | other, exactly=True))
    for key, shown in pack.shown.items():
        assert shown is not None or not gives_away(reader, form(key, one | other)), key


def test_another_quarter_has_nothing_to_do_with_it():
    then = publish(tabulate("x", "2026-Q2", (AGENCY,), [("a",)] * 20))
    now = table(AGENCY, a=30, b=40)
    assert publish(now, earlier=[then]).shown == publish(now).shown


def test_a_code_that_nobody_had_then_counts_as_nought():
    then = publish(tabulate("x", Q, (Axis("code", ("GRANT",)),), [("GRANT",)] * 20))
    now = tabulate("x", Q, (Axis("code", ("GRANT", "SCOPE")),), [("GRANT",)] * 20 + [("SCOPE",)] * 9)
    pack = publish(now, earlier=[then])
    assert pack.shown[name("x", Q, {"code": "SCOPE"})] is None
    assert pack.shown[name("x", Q, {"code": "GRANT"})] == 20


def test_what_was_withheld_stays_withheld():
    then = publish(table(AGENCY, a=7, b=40, c=9))
    now = publish(table(AGENCY, a=40, b=40, c=40), earlier=[then])
    assert {key for key, shown in then.shown.items() if shown is None} <= {
        key for key, shown in now.shown.items() if shown is None
    }


def test_a_second_figure_goes_with_the_first_and_the_smallest_does():
    pack = publish(table(AGENCY, a=3, b=20, c=40))
    assert by_agency(pack) == {"a": None, "b": None, "c": 40, "": 65}


def test_a_pair_of_small_ones_takes_a_third():
    """Two withheld that add up to seven or fewer are as good as shown."""
    pack = publish(table(AGENCY, a=3, b=2, c=40))
    assert by_agency(pack) == {"a": None, "b": None, "c": None, "": 45}


def test_large_figures_stay():
    pack = publish(table(AGENCY, a=8, b=12, c=13))
    assert by_agency(pack) == {"a": 10, "b": 10, "c": 15, "": 35}


def by_agency(pack: Published) -> Mapping[str, int | None]:
    return {key[2].removeprefix("agency:") if key[2:] else "": shown for key, shown in pack.shown.items()}


@pytest.mark.parametrize(
    ("count", "shown"), [(0, 0), (8, 10), (12, 10), (13, 15), (17, 15), (18, 20), (1002, 1000), (1003, 1005)]
)
def test_rounding(count: int, shown: int):
    assert rounded(count) == shown


def test_an_agency_with_fewer_than_three_peers_is_without():
    kinds = {
        "a": "idva",
        "b": "idva",
        "c": "idva",
        "d": "idva",
        "e": "sarc",
        "f": "police",
        "g": "police",
        "h": "police",
    }
    assert without_peers(kinds) == {"e", "f", "g", "h"}


@given(
    st.lists(st.integers(0, 60), min_size=4, max_size=4), st.sets(st.integers(0, 3), min_size=1, max_size=2)
)
@settings(max_examples=20, deadline=None)
def test_an_agency_set_apart_cannot_be_told_to_within_eight(cells: list[int], apart: set[int]):
    agencies = ("a", "b", "c", "d")
    rows = [(agency,) for agency, count in zip(agencies, cells, strict=True) for _ in range(count)]
    figures = tabulate("x", Q, (Axis("agency", agencies),), rows)
    keys = {name("x", Q, {"agency": agencies[at]}) for at in apart}
    pack = publish(figures, frozenset(keys))
    reader = Reader(said(pack, figures))
    for key in keys:
        assert pack.shown[key] is None
        high = reader.most(form(key, figures))
        assert not figures.counts[key] or high is None or high >= figures.counts[key] + 8


@pytest.mark.parametrize("axis", ["day", "week", "hour", "time", "date"])
def test_nothing_finer_than_a_month(axis: str):
    with pytest.raises(Refusal) as refused:
        check_axes(Q, [axis])
    assert refused.value.code == "CROSS"


@pytest.mark.parametrize(
    "period", ["2026-07-01", "2026-W30", "2026-13", "2026-Q5", "26-Q1", "2026-07-01T10:00", ""]
)
def test_a_period_is_a_month_a_quarter_or_a_year(period: str):
    with pytest.raises(Refusal) as refused:
        check_axes(period, ["colour"])
    assert refused.value.code == "CROSS"


@pytest.mark.parametrize("period", ["2026-Q3", "2026-07"])
def test_district_strand_and_ethnicity_are_never_crossed_within_a_quarter(period: str):
    with pytest.raises(Refusal) as refused:
        check_axes(period, ["ethnicity", "district", "strand"])
    assert refused.value.code == "CROSS"
    check_axes("2026", ["ethnicity", "district", "strand"])
    check_axes(period, ["ethnicity", "district"])


@pytest.mark.parametrize("axes", [["person"], ["colour", "colour"], ["agency", "colour", "timely", "month"]])
def test_an_axis_is_one_of_the_list_once_and_three_are_enough(axes: list[str]):
    with pytest.raises(Refusal) as refused:
        check_axes(Q, axes)
    assert refused.value.code == "CROSS"


def test_tables_that_contradict_each_other_are_not_joined():
    with pytest.raises(Refusal):
        table(AGENCY, a=20) | table(AGENCY, a=21)


def test_a_thing_without_a_place_is_not_left_out_in_silence():
    with pytest.raises(Refusal):
        tabulate("x", Q, (AGENCY,), [("d",)])
