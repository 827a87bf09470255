"""What a quarter's pack counts: exact figures by statistic, each along axes that may be published. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keys_tooling.audit.queries.question import Desk
from keys_tooling.audit.queries.shares import GIVEN_STATES
from keys_tooling.audit.report import timeliness
from keys_tooling.audit.report.bounds import Key
from keys_tooling.audit.report.figures import NOTHING, Axis, Figures, name, tabulate
from keys_tooling.audit.report.periods import Period, month_of, months_until
from keys_tooling.audit.report.suppression import without_peers
from schemas.audit import Event
from schemas.categories import CATEGORIES
from schemas.lawful import RAGS

COLOURS = Axis("colour", RAGS)
TIMELY = Axis("timely", (timeliness.IN_TIME, timeliness.LATE, timeliness.NEVER))


@dataclass(frozen=True, slots=True)
class Counted:
    """A table of a pack: what it says, along which axes, and its figures."""

    statistic: str
    says: str
    axes: tuple[Axis, ...]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Pack:
    """All tables of a quarter. `apart` are figures of agencies without peers; `unread` messages are not counted."""

    tables: tuple[Counted, ...]
    apart: frozenset[Key]
    unread: int

    @property
    def figures(self) -> Figures:
        found = NOTHING
        for table in self.tables:
            found |= table.figures
        return found


def count(desk: Desk, period: Period) -> Pack:
    """Raises Refusal CROSS, FORM."""
    rows = [row for row in desk.rows(Event.ACCEPT) if period.holds(row.ts)]
    refused = [row for row in desk.rows(Event.REFUSE) if period.holds(row.ts)]
    overrides = [row for row in desk.overrides if period.holds(row.ts)]
    delivered, unread = timeliness.deliveries(desk, period)
    members = {a.id: a.sector for a in desk.view.agencies.values() if a.member}
    agencies = Axis("agency", tuple(sorted(members, key=lambda one: (desk.name(one), one))))
    sectors = tuple(sorted(set(members.values())))
    source, target = Axis("from", sectors), Axis("to", sectors)
    months = _months(period)
    reasons = Axis(
        "reason", tuple(sorted({row.why_no or row.reason or "none" for row in overrides}) or ("none",))
    )
    unasked = [
        row for row in rows if row.pd != "none" and _state(desk, row.agree, row.ts) not in GIVEN_STATES
    ]
    whys = Axis("reason", tuple(sorted({row.why_no or "none" for row in unasked}) or ("none",)))
    codes = Axis("code", tuple(sorted({row.code or "none" for row in refused}) or ("none",)))
    kinds = Axis("category", tuple(sorted(CATEGORIES)))

    def made(statistic: str, says: str, axes: tuple[Axis, ...], cells: Iterator[tuple[str, ...]]) -> Counted:
        return Counted(statistic, says, axes, tabulate(statistic, period.stamp, axes, cells))

    tables = (
        made("sent", "Messages sent, by agency and colour", (agencies, COLOURS),
             ((row.sender.agency, row.rag) for row in rows if row.sender.agency in members)),
        made("timely", "How timely they were taken on, by receiving agency and colour", (agencies, COLOURS, TIMELY),
             ((one.agency, one.colour, one.state) for one in delivered
              if one.agency in members and one.state in TIMELY.values)),
        made("overridden", "Overrides, by reason and month", (reasons, months),
             ((row.why_no or row.reason or "none", month_of(row.ts)) for row in overrides)),
        made("unasked", "Shared without the person's agreement, by reason and month", (whys, months),
             ((row.why_no or "none", month_of(row.ts)) for row in unasked)),
        made("refused", "Refused by the gate, by code and month", (codes, months),
             ((row.code or "none", month_of(row.ts)) for row in refused)),
        made("flows", "Messages between kinds of agency", (source, target),
             ((members[row.sender.agency], sector) for row in rows if row.sender.agency in members
              for sector in sorted({members[p.agency] for p in row.to if p.agency in members}))),
        made("held", "Kinds of information, by kind of receiving agency", (kinds, target),
             ((kind, sector) for row in rows for kind in row.cat
              for sector in sorted({members[p.agency] for p in row.to if p.agency in members}))),
    )  # fmt: skip
    alone = without_peers(members)
    apart = {key for table in tables for key in table.figures.counts if _agency(key) in alone}
    return Pack(tables, frozenset(apart), unread)


def _agency(key: Key) -> str:
    return next((part.removeprefix("agency:") for part in key[2:] if part.startswith("agency:")), "")


def _state(desk: Desk, agree: str, ts: int) -> str:
    policy = desk.policy(ts)
    return agree.lower() if policy is None else policy.states.get(agree, "")


def _months(period: Period) -> Axis:
    year, quarter = period.stamp.split("-Q")
    return Axis("month", months_until(f"{year}-{int(quarter) * 3:02}", 3))


def figure(table: Counted, period: str, *values: str) -> Key:
    """The name of one figure of a table, by its value on each axis."""
    return name(table.statistic, period, {a.name: v for a, v in zip(table.axes, values, strict=True)})
