"""What one policy changes against another, in words that the two who sign it can read aloud. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from keys_tooling.moments import moment
from schemas.canonical import Json
from schemas.policy import Policy

LISTS = {
    "bases": "basis",
    "conditions": "condition",
    "schedule1": "Schedule 1 paragraph",
    "gateways": "gateway",
    "states": "state of the agreement",
    "decided_by": "decider",
    "confidence": "ground for lifting confidence",
    "purposes": "purpose",
    "why_no": "reason for not asking",
    "told": "code for what the person was told",
    "onward": "onward code",
    "vir": "attestation",
}
FIELDS = {
    "says": "its words",
    "from": "its first day",
    "to": "its last day",
    "marks": "its marks",
    "test": "its party test",
    "duty": "its duty",
    "means": "its meaning",
    "sectors": "who may receive it",
    "thread": "overrides for a whole thread",
    "need": "when it is asked",
    "parties": "its parties",
    "purposes": "its purposes",
}
DATES = frozenset({"from", "to", "effective"})


VALUES = ("thresholds", "officers", "periods", "retention")
"""What holds a value under each name."""


def changes(old: Policy, new: Policy) -> tuple[str, ...]:
    """One sentence for each change; empty when the two decide alike. Version and first day are not among them."""
    before, after = (policy.model_dump(mode="json", by_alias=True) for policy in (old, new))
    return tuple(f"{sentence.rstrip('.')}." for sentence in _changes(before, after))


def _changes(before: Mapping[str, Json], after: Mapping[str, Json]) -> Iterator[str]:
    if before["name"] != after["name"]:
        yield "The policy's name changes."
    for name in sorted(after["vocabulary"].keys() | before["vocabulary"].keys()):
        noun = LISTS.get(name, name)
        rows = (_keyed(side["vocabulary"].get(name, ()), "code") for side in (before, after))
        yield from _entries(noun, *rows)
    yield from _entries(
        "data-sharing agreement", *(_keyed(side["agreements"], "id") for side in (before, after))
    )
    yield from _entries("what is said of agency", before["flags"], after["flags"])
    for name in VALUES:
        yield from _values(name, before[name], after[name])
    for name in sorted(
        after.keys() - {"agreements", "effective", "flags", "name", "v", "version", "vocabulary"}
    ):
        if name not in VALUES and before.get(name) != after[name]:
            yield f"{name}: was {_said(name, before.get(name))}, becomes {_said(name, after[name])}."


def _keyed(rows: list[Mapping[str, Json]], key: str) -> dict[str, Mapping[str, Json]]:
    return {str(row[key]): row for row in rows}


def _entries(
    noun: str, before: Mapping[str, Mapping[str, Json]], after: Mapping[str, Mapping[str, Json]]
) -> Iterator[str]:
    for code in sorted(after.keys() - before.keys()):
        yield f"New {noun}: {code}{_dated(after[code])}."
    for code in sorted(before.keys() - after.keys()):
        yield f"No longer there: {noun} {code}."
    for code in sorted(before.keys() & after.keys()):
        for name in sorted(before[code].keys() | after[code].keys()):
            was, becomes = before[code].get(name), after[code].get(name)
            if was != becomes:
                said = f"{_said(name, was)}, becomes {_said(name, becomes)}"
                yield f"{noun[0].upper()}{noun[1:]} {code}: {FIELDS.get(name, name)} was {said}."


def _dated(row: Mapping[str, Json]) -> str:
    dates = [f"{word} {_said(word, row[word])}" for word in ("from", "to") if row.get(word) is not None]
    return f" ({' '.join(dates)})" if dates else ""


def _values(path: str, before: Json, after: Json) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() != {"n", "unit"}:
        for name in sorted(before.keys() | after.keys()):
            yield from _values(f"{path}.{name}", before.get(name), after.get(name))
    elif before != after:
        yield f"{path}: was {_said(path, before)}, becomes {_said(path, after)}."


def _said(name: str, value: Json) -> str:
    if value is None:
        return "open" if name in DATES else "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in DATES and isinstance(value, int):
        return moment(value)
    if name.endswith("_s") and isinstance(value, int):
        return duration(value)
    if isinstance(value, dict) and set(value) == {"n", "unit"}:
        unit = UNITS.get(str(value["unit"]), str(value["unit"]))
        return f"{value['n']} {unit}{'' if value['n'] == 1 else 's'}"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


UNITS = {"H": "hour", "WH": "working hour", "WD": "working day"}


def duration(seconds: int) -> str:
    """Seconds in the largest unit that fits exactly."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds and not seconds % size:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} seconds"
