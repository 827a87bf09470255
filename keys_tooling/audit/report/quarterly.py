"""The partnership pack of a quarter: for publication, so small numbers are withheld."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from keys_tooling.audit.queries.question import Desk
from keys_tooling.audit.report.counting import Counted, Pack, count, figure
from keys_tooling.audit.report.figures import ALL
from keys_tooling.audit.report.page import WITHHELD, Chart, Section, Table
from keys_tooling.audit.report.periods import Period
from keys_tooling.audit.report.suppression import Published, publish

NOT_HERE = (
    (
        "Attendance and actions of the forum, how fresh the directory of services is, how language "
        "is used, and who may "
        "still have access: these stand in no entry of the log. Add them by hand."
    ),
    (
        "Ages, ethnicity and other demographics stand in no header and no entry, on purpose. "
        "Agencies count them in their "
        "own case systems."
    ),
)


def sections(
    desk: Desk, period: Period, earlier: Sequence[Published]
) -> tuple[tuple[Section, ...], Published]:
    """The pack, and what it publishes, to be kept for the next."""
    pack = count(desk, period)
    shown = publish(pack.figures, pack.apart, earlier, pack.twins)
    found = [_section(desk, table, shown, period.stamp) for table in pack.tables]
    return (_about(desk, pack, shown), *found, Section("What this pack cannot hold", NOT_HERE)), shown


def _about(desk: Desk, pack: Pack, shown: Published) -> Section:
    own = desk.agency == desk.view.oversight
    whose = (
        "all entries of the partnership"
        if own
        else f"the entries that concern {desk.name(desk.agency)}, and no others"
    )
    said = [
        f"Counted from {whose}.",
        (
            f"“{WITHHELD.capitalize()}” stands for a small figure, for one that would give a small "
            "figure away, and for those "
            "of an agency with fewer than three others of its kind. A nought is a nought."
        ),
    ]
    if pack.unread:
        said.append(
            f"Of timeliness, {pack.unread} messages are left out: the policy of their time is not here."
        )
    if shown.revised:
        said.append(
            f"{len(shown.revised)} figures changed since an earlier pack of this quarter. They are "
            "withheld, because the "
            "difference would tell how few came late."
        )
    return Section("How to read this", tuple(said))


def _section(desk: Desk, table: Counted, shown: Published, period: str) -> Section:
    if len(table.axes) == 1:
        return _single(desk, table, shown, period)
    last = table.axes[-1].values
    heads = [axis.values for axis in table.axes[:-1]]

    def line(*values: str) -> tuple[int | None, ...]:
        return tuple(shown.shown[figure(table, period, *values, one)] for one in last)

    places = [place for place in product(*heads) if any(value != 0 for value in line(*place))]
    names = [axis.name for axis in table.axes[:-1]]
    rows = tuple(
        " · ".join(_label(desk, axis, value) for axis, value in zip(names, place, strict=True))
        for place in places
    )
    columns = tuple(_label(desk, table.axes[-1].name, value) for value in last)
    of = " and ".join(names).capitalize()
    values = tuple(line(*place) for place in places)
    cells = Chart(table.drawn, table.says, of, rows, columns, values, added=False)
    charts: tuple[Chart, ...] = (cells,)
    if table.statistic == "overridden":
        months = tuple((shown.shown[figure(table, period, ALL, month)],) for month in last)
        charts = (Chart("columns", "Overrides by month", "Month", last, ("Overrides",), months), cells)
    elif table.statistic == "timely":
        lines = tuple(tuple(shown.shown[figure(table, period, ALL, c, t)] for t in last) for c in heads[1])
        charts = (
            Chart("stacked", "How timely, by colour", "Colour", heads[1], columns, lines, added=False),
            cells,
        )
    return Section(table.says, charts=charts, tables=(_totals(desk, table, shown, period),))


def _single(desk: Desk, table: Counted, shown: Published, period: str) -> Section:
    """A list of figures that are no parts of a whole."""
    [axis] = table.axes
    found = [(value, shown.shown[figure(table, period, value)]) for value in axis.values]
    found = [(value, count) for value, count in found if count != 0]
    rows = tuple(_label(desk, axis.name, value) for value, _ in found)
    values = tuple((count,) for _, count in found)
    return Section(
        table.says,
        ("A message has several kinds, so these add up to no total.",),
        charts=(Chart(table.drawn, table.says, axis.name.capitalize(), rows, ("Messages",), values),),
    )


def _totals(desk: Desk, table: Counted, shown: Published, period: str) -> Table:
    """Every total along one axis, and the whole."""
    rows: list[tuple[str, str, int | str]] = []
    for at, axis in enumerate(table.axes):
        for value in axis.values:
            place = [ALL] * len(table.axes)
            place[at] = value
            count = shown.shown[figure(table, period, *place)]
            if count != 0:
                rows.append(
                    (
                        axis.name.capitalize(),
                        _label(desk, axis.name, value),
                        WITHHELD if count is None else count,
                    )
                )
    whole = shown.shown[figure(table, period, *[ALL] * len(table.axes))]
    rows.append(("All", "", WITHHELD if whole is None else whole))
    return Table(f"Totals: {table.says.lower()}", ("Of", "Which", "Count"), tuple(rows))


def _label(desk: Desk, axis: str, value: str) -> str:
    if axis == "agency":
        return desk.name(value)
    if axis == "timely":
        return value.capitalize()
    return value.replace("_", " ") if axis in ("from", "to", "category") else value
