"""Filling a form, and what is wrong with an answer in words (PROTOCOL.md M16).

Rules of this house:
- a refusal names fields of our own forms and nothing else: no value, and no key that somebody else made up;
- everything that is missing is named at once;
- foreign exceptions end here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.categories import NOT_ASKED
from schemas.errors import Refusal
from schemas.messages.asked import Block
from schemas.messages.reading import refused

B = TypeVar("B", bound=Block)
_LISTED = 40

SAY: Mapping[str, str] = {
    "NOT_JSON": "The message is not a JSON object ({}). Check the program that wrote it.",
    "UNKNOWN_FIELD": "Something was given that has no place in this form: in {}. Take it out.",
    "MISSING": "Still needed: {}. Fill these in; nothing was sent.",
    "TOO_LONG": "Longer than this form carries: {}. Say it more shortly; the recipient can ask for more.",
    "BAD_TEXT": "Holds characters that not every screen shows alike: {}. Type these again by hand.",
    "UNKNOWN_CODE": "Not one of the answers that the form offers: {}. Choose one from the list.",
    "BAD_VALUE": "Not filled in the way that the form asks: {}. Correct these.",
    "UNSAFE_CONTACT": "A number or address is given for a channel that the person did not call safe: {}. "
    "Unknown means no. Take it out, or ask the person first.",
    "ADDRESS_WITHHELD": "An address is given that is not marked shareable: {}. Take it out, or ask the person first.",
    "DIGITAL_UNSAFE": "The device is shared or watched, so nothing may be sent to it: {}. "
    "Choose another way with the person, or name a device that is safe.",
    "COLOUR_TOO_LOW": "Where family may be the danger, AMBER is the lowest colour: {}.",
    "NOT_ALONE": "Agreement counts only when the person was asked alone: {}. Ask again when nobody can overhear.",
}
# Where several things are wrong, the first of these is said: what does not belong, then what is missing.
_ORDER = tuple(SAY)
_CODES: Mapping[str, str] = {
    "json_invalid": "NOT_JSON",  # an escape for half a character: json reads it, nothing can print it
    "extra_forbidden": "UNKNOWN_FIELD",
    "missing": "MISSING",
    "owed": "MISSING",
    "text_blank": "MISSING",
    "string_too_short": "MISSING",
    "too_short": "MISSING",
    "string_too_long": "TOO_LONG",
    "too_long": "TOO_LONG",
    "text_form": "BAD_TEXT",
    "literal_error": "UNKNOWN_CODE",
}


def fill(
    form: type[B], text: str, value: Mapping[str, Any], place: Callable[[str], str] = lambda path: path
) -> B:
    """Fill a form from JSON text; `value` is the same JSON, read.

    `place` names a field to whoever must act: where it stands in a case record, say.

    Raises:
        Refusal: one of the codes of this module's list, naming every field that it concerns.
    """
    try:
        return form.model_validate_json(text)
    except ValidationError as error:
        raise _refusal(form, value, error.errors(include_url=False), place) from None


def missing_in(form: type[Block], value: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Every field that a form still needs, at every depth, however much else is wrong with the value."""
    given = {name: item for name, item in value.items() if item != NOT_ASKED}
    required = [
        name for name, field in form.model_fields.items() if field.is_required() and name not in given
    ]
    for name in dict.fromkeys((*required, *form.owed(given))):
        # Of a block that is missing whole, its own required fields are what somebody must fill in.
        inner = _sole_block(form.model_fields[name].annotation) if name in form.model_fields else None
        absent = inner is not None and name not in given
        yield from missing_in(inner, {}, f"{path}{name}.") if inner and absent else (path + name,)
    for name, item in given.items():
        inner = block_of(form.model_fields[name].annotation) if name in form.model_fields else None
        if inner is None:
            continue
        if isinstance(item, Mapping):
            yield from missing_in(inner, item, f"{path}{name}.")
        elif isinstance(item, list):
            for place, one in enumerate(item):
                if isinstance(one, Mapping):
                    yield from missing_in(inner, one, f"{path}{name}[{place}].")


def block_of(annotation: Any) -> type[Block] | None:
    """The block that a field holds, one or several of; None when it holds plain values."""
    if isinstance(annotation, type) and issubclass(annotation, Block):
        return annotation
    return next(filter(None, map(block_of, get_args(annotation))), None)


def _sole_block(annotation: Any) -> type[Block] | None:
    """The block that is a field's first way to answer: not a list of blocks, not a block among other answers."""
    while not isinstance(annotation, type):
        parts = get_args(annotation)
        if not parts or get_origin(annotation) is tuple:
            return None
        annotation = parts[0]
    return annotation if issubclass(annotation, Block) else None


def _refusal(
    form: type[Block], value: Mapping[str, Any], errors: list[ErrorDetails], place: Callable[[str], str]
) -> Refusal:
    found: dict[str, dict[str, None]] = {}  # code -> field paths, in order, each once
    for error in errors:
        if error["type"] == "too_short" and _explained(error, errors):
            continue
        code = _code(error)
        found.setdefault(code, {}).update(dict.fromkeys(_paths(code, error)))
    if "MISSING" in found:
        every = [*found["MISSING"], *missing_in(form, value)]
        found["MISSING"] = {path: None for path in every if not any(p.startswith(f"{path}.") for p in every)}
    code = next(code for code in _ORDER if code in found)
    paths = tuple(map(place, found[code]))[:_LISTED]
    return refused(code, SAY[code].format(", ".join(paths)), paths)


def _explained(error: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """Whether a list is short only because what stands in it was refused."""
    place = error["loc"]
    return any(other is not error and other["loc"][: len(place)] == place for other in errors)


def _code(error: ErrorDetails) -> str:
    if error["type"] in SAY:
        return error["type"]
    if error["type"] not in ("extra_forbidden", "text_form") and error["input"] == NOT_ASKED:
        return "MISSING"  # a required field may not be put off
    return _CODES.get(error["type"], "BAD_VALUE")


def _paths(code: str, error: ErrorDetails) -> Iterator[str]:
    place = [part for part in error["loc"] if not str(part).startswith("~")]
    if code == "UNKNOWN_FIELD":
        place.pop()  # whoever made that key up may have put a name in it
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    fields = error.get("ctx", {}).get("fields", ())
    yield from (f"{path}.{field}" if path else field for field in fields)
    if not fields:
        yield path or "the form"
