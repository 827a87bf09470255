"""Selection: a form is its own allow-list (PROTOCOL.md M9).

What a form has a field for is taken from the case record under the same name, and nothing else can be. Where every
value came from is remembered, so that what was left out can be told apart from what was carried.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin

from schemas.categories import NOT_ASKED
from schemas.messages.asked import Block
from schemas.messages.filling import block_of, fill

B = TypeVar("B", bound=Block)
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_STEP = re.compile(r"\.?([^.\[\]]+)|\[([0-9]+)\]")


@dataclass(slots=True)
class Draft:
    """A message being made: its value, where each plain value came from, and where each field would come from."""

    value: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def filled(self, form: type[B]) -> B:
        """The finished form.

        Raises:
            Refusal: as `schemas.messages.filling.fill`, naming paths of the case record.
        """
        return fill(form, json.dumps(self.value), self.value, self.place)

    def place(self, path: str) -> str:
        """Where a path of the message stands, or would stand, in the case record."""
        top = str(next(iter(steps(path)), ""))
        return self.origin.get(path) or self.sources.get(top, top) + path[len(top) :]


def take(form: type[Block], source: Mapping[str, Any], at: str, into: str, draft: Draft) -> dict[str, Any]:
    """The fields of a form that a section of the case record answers.

    Args:
        form: the block to fill.
        source: the section; `not_asked_yet` stands for what stays behind.
        at: the section's path in the case record.
        into: the block's path in the message.
        draft: where the origins are written.
    """
    value: dict[str, Any] = {}
    for name, info in form.model_fields.items():
        if source.get(name, NOT_ASKED) != NOT_ASKED:
            value[name] = take_value(info.annotation, source[name], join(at, name), join(into, name), draft)
    return {name: item for name, item in value.items() if item not in ({}, [])}


def take_value(annotation: Any, source: Any, at: str, into: str, draft: Draft) -> Any:
    """One value of a case record, shaped as a field asks: a single value where a list goes becomes a list."""
    if isinstance(source, list):
        places = [place for place, item in enumerate(source) if item != NOT_ASKED]
        return [
            _one(annotation, source[place], f"{at}[{place}]", f"{into}[{new}]", draft)
            for new, place in enumerate(places)
        ]
    if _lists(annotation, source):
        return [_one(annotation, source, at, f"{into}[0]", draft)]
    return _one(annotation, source, at, into, draft)


def _one(annotation: Any, source: Any, at: str, into: str, draft: Draft) -> Any:
    if isinstance(source, Mapping):
        block = block_of(annotation)
        # Where the form has one plain value, a section cannot fill it: it is left out whole.
        return take(block, source, at, into, draft) if block else {}
    draft.origin[into] = at
    return source


def _lists(annotation: Any, source: Any) -> bool:
    """Whether a field holds a list of values like this one."""
    if get_origin(annotation) is tuple:
        return (block_of(annotation) is not None) == isinstance(source, Mapping)
    return any(_lists(inner, source) for inner in get_args(annotation))


def join(path: str, name: str) -> str:
    """A path one step deeper. A name that the case system made up may hold anything: it becomes one plain step."""
    step = _ODD.sub("_", name)[:60]
    return f"{path}.{step}" if path else step


def steps(path: str) -> list[str | int]:
    """A path in its steps: `needs[2]` is `needs`, 2."""
    found = _STEP.findall(path)
    return [int(place) if place else name for name, place in found]


def look(value: Any, path: str) -> Any:
    """What stands at a path; None when nothing does."""
    for step in steps(path):
        if isinstance(step, int) and isinstance(value, list):
            value = value[step] if step < len(value) else None
        elif isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        else:
            return None
    return value


def masked(value: Any, path: str, unwanted: frozenset[str]) -> Any:
    """A copy of a value with `not_asked_yet` at the unwanted paths, and at all that they leave empty.

    Nothing moves, so every path still means the same; see `asked` for taking the gaps out.
    """
    if path in unwanted:
        return NOT_ASKED
    if isinstance(value, Mapping):
        items = {name: masked(item, join(path, name), unwanted) for name, item in value.items()}
        return items if any(item != NOT_ASKED for item in items.values()) else NOT_ASKED
    if isinstance(value, list):
        found = [masked(item, f"{path}[{place}]", unwanted) for place, item in enumerate(value)]
        return found if any(item != NOT_ASKED for item in found) else NOT_ASKED
    return value


def asked(value: Any) -> Any:
    """A copy of a value without anything that was not asked."""
    if isinstance(value, Mapping):
        return {name: asked(item) for name, item in value.items() if item != NOT_ASKED}
    return [asked(item) for item in value if item != NOT_ASKED] if isinstance(value, list) else value


def paths_in(value: Any, path: str = "") -> Iterator[str]:
    """The path of every plain value."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from paths_in(item, join(path, name))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from paths_in(item, f"{path}[{place}]")
    else:
        yield path
