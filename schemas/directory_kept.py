"""The directory's view (PROTOCOL.md K15) as bytes, for a program that keeps it beside the statements, and back again.

Rules of this house:
- this is no wire format: whoever keeps it reads it with the very rules that made it, or replays the statements;
- nothing is checked here but the shape: that these are the bytes which were kept is for who kept them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from pydantic import ConfigDict, TypeAdapter, ValidationError

from schemas.directory import Directory
from schemas.directory_view import Said, View
from schemas.errors import Refusal
from schemas.merkle import Frontier
from schemas.policing import Timeline
from schemas.published import Agency, Moved
from schemas.retention import Retention


class _Frame(NamedTuple):
    """The view but for its agencies, and but for what is young: whoever asks for that knows it (L27)."""

    oversight: str
    frontier: Frontier
    policies: Timeline
    countersigned: Mapping[str, int]
    retentions: tuple[Retention, ...]
    moves: Mapping[str, tuple[Moved, ...]]
    said: tuple[Said, ...]


class _Part(NamedTuple):
    """An agency, and its key ids beside its `keys`: those of roots and operational keys, and what it committed to."""

    agency: Agency
    others: tuple[str, ...]


_BYTES = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
_FRAME = TypeAdapter(_Frame, config=_BYTES)
_PART = TypeAdapter(_Part, config=_BYTES)


def parts_of(view: View) -> Iterator[bytes]:
    """The view in parts: what belongs to no agency first, then an agency each, in the view's order."""
    yield _FRAME.dump_json(
        _Frame(
            view.oversight, view.frontier, view.policies, view.countersigned, view.retentions, view.moves,
            tuple(view.said),
        )
    )  # fmt: skip
    others: dict[str, list[str]] = {agency: [] for agency in view.agencies}
    for kid, agency in view.ids.items():
        if kid not in view.agencies[agency].keys:
            others[agency].append(kid)
    for one in view.agencies.values():
        yield _PART.dump_json(_Part(one, tuple(others[one.id])))


def view_of(parts: Iterable[bytes]) -> Directory:
    """The view that was kept in these parts. Raises Refusal FORM for anything else."""
    rest = iter(parts)
    try:
        frame = _FRAME.validate_json(next(rest, b""))
        view = Directory(frame.oversight)
        view.frontier, view.policies, view.retentions = frame.frontier, frame.policies, frame.retentions
        view.countersigned, view.moves = dict(frame.countersigned), dict(frame.moves)
        view.said = list(frame.said)
        for agency, others in map(_PART.validate_json, rest):
            view.put(agency)
            view.note((*agency.keys, *others), agency.id)
    except ValidationError:
        raise Refusal("FORM") from None
    return view
