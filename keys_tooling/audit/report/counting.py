"""What a quarter's pack counts: exact figures by statistic, each along axes that may be published. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keys_tooling.audit.opened import Row
from keys_tooling.audit.queries.question import Desk
from keys_tooling.audit.queries.shares import GIVEN_STATES
from keys_tooling.audit.report import timeliness
from keys_tooling.audit.report.bounds import Key, Sum
from keys_tooling.audit.report.figures import NOTHING, Axis, Figures, name, tabulate
from keys_tooling.audit.report.page import Drawn
from keys_tooling.audit.report.periods import Period, month_of, months_until
from keys_tooling.audit.report.suppression import without_peers
from schemas.audit import Event
from schemas.categories import CATEGORIES
from schemas.lawful import RAGS

COLOURS = Axis("colour", RAGS)
CATEGORY = Axis("category", tuple(sorted(CATEGORIES)))
TIMELY = Axis("timely", (timeliness.IN_TIME, timeliness.LATE, timeliness.NEVER))
SEVERAL, OTHERS, NO_CODE = "several kinds", "others", "none"


@dataclass(frozen=True, slots=True)
class Counted:
    """A table of a pack: what it says, along which axes, and its figures."""

    statistic: str
    says: str
    drawn: Drawn
    axes: tuple[Axis, ...]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Pack:
    """All tables of a quarter, and their figures with every sum that readers know to hold between tables.

    `apart` are figures of agencies and kinds of agency without peers; `twins` see `publish`; `unread` messages
    are not counted.
    """

    tables: tuple[Counted, ...]
    figures: Figures
    apart: frozenset[Key]
    twins: tuple[tuple[Key, Key], ...]
    unread: int


def count(desk: Desk, period: Period) -> Pack:
    """Raises Refusal CROSS, FORM."""
    members = {a.id: str(a.sector) for a in desk.view.agencies.values() if a.member}
    rows = [r for r in desk.rows(Event.ACCEPT) if period.holds(r.ts) and r.sender.agency in members]
    refused = [row for row in desk.rows(Event.REFUSE) if period.holds(row.ts)]
    overrides = [row for row in desk.overrides if period.holds(row.ts)]
    unasked = [r for r in rows if r.pd != "none" and _state(desk, r.agree, r.ts) not in GIVEN_STATES]
    delivered, unread = timeliness.deliveries(desk, period)
    agencies = Axis("agency", tuple(sorted(members, key=lambda one: (desk.name(one), one))))
    sectors = tuple(sorted(set(members.values())))
    months = _months(period)
    stamp = period.stamp

    def made(
        statistic: str, says: str, drawn: Drawn, axes: tuple[Axis, ...], cells: Iterable[tuple[str, ...]]
    ) -> Counted:
        return Counted(statistic, says, drawn, axes, tabulate(statistic, stamp, axes, cells))

    reasons = [(row.why_no or row.reason or NO_CODE, month_of(row.ts)) for row in overrides]
    whys = [(row.why_no or NO_CODE, month_of(row.ts)) for row in unasked]
    codes = [(row.code or NO_CODE, month_of(row.ts)) for row in refused]
    taken = [
        (o.agency, o.colour, o.state) for o in delivered if o.agency in members and o.state in TIMELY.values
    ]
    kinds = tabulate("held", stamp, (CATEGORY,), ((kind,) for row in rows for kind in row.cat))
    tables = (
        made("sent", "Messages sent, by agency and month", "stacked", (agencies, months),
             ((row.sender.agency, month_of(row.ts)) for row in rows)),
        made("timely", "How timely they were taken on, by receiving agency and colour", "stacked",
             (agencies, COLOURS, TIMELY), taken),
        made("overridden", "Overrides, by reason and month", "grid", (_axis("reason", reasons), months), reasons),
        made("unasked", "Shared without the person's agreement, by reason and month", "grid",
             (_axis("reason", whys), months), whys),
        made("refused", "Refused by the gate, by code and month", "grid", (_axis("code", codes), months), codes),
        made("sent", "Messages between kinds of agency", "grid",
             (Axis("from", sectors), Axis("to", (*sectors, SEVERAL, OTHERS))),
             ((members[row.sender.agency], _kind(row, members)) for row in rows)),
        # A message has several kinds, so they add up to nothing that is known.
        Counted("held", "Messages with each kind of information", "stacked", (CATEGORY,),
                Figures({key: count for key, count in kinds.counts.items() if key[2:]}, ())),
    )  # fmt: skip
    figures = _linked(tables, members, stamp)
    return Pack(tables, figures, _apart(figures, members), _twins(figures, sectors, stamp), unread)


def _axis(axis: str, cells: list[tuple[str, str]]) -> Axis:
    return Axis(axis, tuple(sorted({first for first, _ in cells})) or (NO_CODE,))


def _kind(row: Row, members: Mapping[str, str]) -> str:
    """The kind of agency that a message went to, so that each message counts once."""
    found = {members.get(place.agency, OTHERS) for place in row.to}
    return found.pop() if len(found) == 1 else SEVERAL


def _linked(tables: tuple[Counted, ...], members: Mapping[str, str], stamp: str) -> Figures:
    """All figures. Those of one kind's agencies add up to their kind's, and readers can add."""
    found = NOTHING
    for table in tables:
        found |= table.figures
    counts, sums = dict(found.counts), list(found.sums)
    for sector in sorted(set(members.values())):
        own = [agency for agency, of in members.items() if of == sector]
        for statistic, axis in (("sent", "from"), ("timely", "sector")):
            parts = tuple(name(statistic, stamp, {"agency": agency}) for agency in own)
            whole = name(statistic, stamp, {axis: sector})
            counts[whole] = sum(counts[part] for part in parts)
            sums.append(Sum(whole, parts))
    return Figures(counts, tuple(sums))


def _apart(figures: Figures, members: Mapping[str, str]) -> frozenset[Key]:
    """What says something of an agency without peers, or of a kind whose agencies have none."""
    alone = without_peers(members)
    parts = {f"agency:{agency}" for agency in alone}
    parts |= {f"{axis}:{members[agency]}" for agency in alone for axis in ("from", "to", "sector")}
    return frozenset(key for key in figures.counts if not parts.isdisjoint(key[2:]))


def _twins(figures: Figures, sectors: tuple[str, ...], stamp: str) -> tuple[tuple[Key, Key], ...]:
    """A message mostly has one recipient, and an override one message: these are often equal."""
    pairs = [(name("sent", stamp, {}), name("timely", stamp, {}))]
    pairs += [(name("sent", stamp, {"to": s}), name("timely", stamp, {"sector": s})) for s in sectors]
    pairs += [(key, ("unasked", *key[1:])) for key in figures.counts if key[0] == "overridden"]
    return tuple(pair for pair in pairs if pair[1] in figures.counts)


def _state(desk: Desk, agree: str, ts: int) -> str:
    policy = desk.policy(ts)
    return agree.lower() if policy is None else policy.states.get(agree, "")


def _months(period: Period) -> Axis:
    year, quarter = period.stamp.split("-Q")
    return Axis("month", months_until(f"{year}-{int(quarter) * 3:02}", 3))


def figure(table: Counted, period: str, *values: str) -> Key:
    """The name of one figure of a table, by its value on each axis."""
    return name(table.statistic, period, {a.name: v for a, v in zip(table.axes, values, strict=True)})
