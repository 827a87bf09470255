"""A reading for people and for programs. Whatever others wrote is made harmless before it reaches a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keys_tooling.audit.inert import plain
from keys_tooling.audit.read import Reading
from keys_tooling.audit.told import FAULTS, Place, Told
from schemas.canonical import Json

COLUMNS = ("Entry", "Time (UTC)", "Event", "From", "To", "Message", "Categories", "Decision", "Case")
SHORT = 12
"""Letters of a case reference in the table; --json has all of it."""


def entries(reading: Reading, width: int) -> str:
    """The entries as a table of at most `width` columns, and the faults below it."""
    rows = Table(*COLUMNS, box=SIMPLE, show_edge=False, pad_edge=False)
    for told in reading.entries:
        rows.add_row(*(Text(cell) for cell in _cells(told, reading)))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, highlight=False, markup=False, emoji=False).print(rows)
    faults = [f"entry {told.index}: {FAULTS[fault]}" for told in reading.entries for fault in told.faults]
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*(lines if reading.entries else []), *faults])


def table(reading: Reading, width: int) -> str:
    """The entries as a table of at most `width` columns, the faults below it, and what stays closed."""
    stay = "1 entry belongs to another agency and stays closed."
    if reading.closed != 1:
        stay = f"{reading.closed:,} entries belong to other agencies and stay closed."
    if any((key.person or "").startswith("share-") for key in reading.agency.ig.values()):
        stay += (
            "\nUnder dual control some of these may be yours: neither the relay's nor the sender's record of them "
            "opens to one officer alone. Take your second officer's shares first: fenpost-audit handover take"
        )
    return "\n".join(
        [
            f"Entries of {plain(named(reading.agency.id, reading))}: {len(reading.entries):,}",
            "",
            *filter(None, (entries(reading, width),)),
            stay,
        ]
    )


def facts(reading: Reading) -> dict[str, Json]:
    """The reading as `read --json` prints it."""
    return {
        "agency": reading.agency.id,
        "closed": reading.closed,
        "entries": [_entry(told, reading) for told in reading.entries],
        "faulty": reading.faulty,
        "name": named(reading.agency.id, reading),
        "opened": len(reading.entries),
    }


def _entry(told: Told, reading: Reading) -> dict[str, Json]:
    decision = told.decision
    return {
        "author": told.author,
        "cat": list(told.cat),
        "cls": told.cls,
        "decision": None if decision is None else {"outcome": decision.outcome, "code": decision.code},
        "eid": told.eid,
        "event": told.event,
        "faults": list(told.faults),
        "from": None if told.sender is None else _place(told.sender, reading),
        "gid": told.gid or None,
        "index": told.index,
        "mid": told.mid or None,
        "pur": told.pur,
        "rag": told.rag,
        "ref": told.ref or None,
        "rows": [] if decision is None else list(decision.rows),
        "rule": told.rule,
        "time": time(told.ts),
        "to": [_place(place, reading) for place in told.to],
        "ts": told.ts,
        "what": told.what or None,
    }


def _cells(told: Told, reading: Reading) -> tuple[str, ...]:
    decision = told.decision
    cells = (
        f"{'! ' if told.faults else ''}{told.index}",
        time(told.ts),
        told.event,
        "" if told.sender is None else _named(told.sender, reading),
        ", ".join(_named(place, reading) for place in told.to),
        " ".join(filter(None, (told.cls, told.rag, told.pur, told.what))),
        " ".join(told.cat),
        "" if decision is None else " ".join((decision.outcome, decision.code, _rows(decision.rows))).strip(),
        told.ref[:SHORT],
    )
    return tuple(plain(cell) for cell in cells)


def _rows(rows: list[int]) -> str:
    return f"(row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))})" if rows else ""


def _place(place: Place, reading: Reading) -> dict[str, Json]:
    return {"a": place.agency, "d": place.desk or None, "name": named(place.agency, reading)}


def _named(place: Place, reading: Reading) -> str:
    name = named(place.agency, reading)
    return f"{name} / {place.desk}" if place.desk else name


def named(agency: str, reading: Reading) -> str:
    known = reading.view.agencies.get(agency)
    if known is None:
        return "an agency that the directory does not know"
    return known.name or ("oversight" if agency == reading.view.oversight else agency)


def time(ts: int) -> str:
    try:
        return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return str(ts)
