"""What stayed behind, for the worker to read (PROTOCOL.md M9).

Everything of the case record that was asked and was not carried is here: a whole section in one line where all of it
stayed for the same reason, otherwise value by value. Paths only, never what stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.selection import join
from schemas.withholding import Reason, why


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One thing of the case record that was not carried: its path there, a stable code, and why in plain words."""

    path: str
    reason_code: str
    why: str


def left_out(
    case: Mapping[str, Any], carried: frozenset[str], ruled: Mapping[str, Reason]
) -> tuple[LeftOut, ...]:
    """All of a case record that was not carried, in its order."""
    return tuple(
        entry for name, item in case.items() for entry in _below(item, join("", name), carried, ruled)[0]
    )


def _below(
    value: Any, path: str, carried: frozenset[str], ruled: Mapping[str, Reason]
) -> tuple[list[LeftOut], bool]:
    """What was left out at and below a path, and whether all of it was."""
    if isinstance(value, Mapping):
        steps = [(item, join(path, name)) for name, item in value.items()]
    elif isinstance(value, list):
        steps = [(item, f"{path}[{place}]") for place, item in enumerate(value)]
    else:
        return ([], False) if path in carried else ([LeftOut(path, *why(path, ruled))], True)
    found = [_below(item, step, carried, ruled) for item, step in steps]
    entries = [entry for below, _ in found for entry in below]
    whole = all(entire for _, entire in found)
    reasons = {(entry.reason_code, entry.why) for entry in entries}
    if whole and len(reasons) == 1:
        return [LeftOut(path, *reasons.pop())], True
    return entries, whole
