"""Reading a message: strict JSON, and what is wrong with it in words (PROTOCOL.md M1, M16).

Rules of this house:
- a refusal names fields of our own forms and nothing else: no value, and no key that somebody else made up;
- everything that is missing is named at once;
- foreign exceptions end here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.categories import NOT_ASKED
from schemas.errors import Refusal
from schemas.messages.asked import Block

PAYLOAD_LIMIT = 64 * 1024
B = TypeVar("B", bound=Block)
_LISTED = 40
_DIGITS = 17

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


def read_object(data: str | bytes) -> tuple[str, dict[str, Any]]:
    """Read one JSON object strictly: its text, and its value.

    Raises:
        Refusal: TOO_BIG, NOT_UTF8, DUPLICATE_KEY, BAD_NUMBER or NOT_JSON.
    """
    try:
        raw = data.encode() if isinstance(data, str) else data
        if len(raw) > PAYLOAD_LIMIT:
            raise Refusal("TOO_BIG", party="sender")
        text = raw.decode()
    except UnicodeError as error:
        raise refused(
            "NOT_UTF8", "The message is not UTF-8 text. Save it as UTF-8 and send it again."
        ) from error
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_float=_number, parse_constant=_number, parse_int=_integer
        )
    except (ValueError, RecursionError) as error:
        raise refused(
            "NOT_JSON", "The message is not a JSON object. Check the program that wrote it."
        ) from error
    if not isinstance(value, dict):
        raise _not_json()
    return text, value


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
    for name, field in form.model_fields.items():
        if field.is_required() and name not in given:
            yield path + name
    yield from (path + name for name in form.owed(given))
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


def refused(code: str, say: str, detail: tuple[str, ...] = ()) -> Refusal:
    """A refusal that the sender can cure."""
    return Refusal(code, say, party="sender", detail=detail)


def _not_json() -> Refusal:
    return refused("NOT_JSON", SAY["NOT_JSON"].format("its text"))


def _refusal(
    form: type[Block], value: Mapping[str, Any], errors: list[ErrorDetails], place: Callable[[str], str]
) -> Refusal:
    found: dict[str, dict[str, None]] = {}  # code -> field paths, in order, each once
    for error in errors:
        code = _code(error)
        found.setdefault(code, {}).update(dict.fromkeys(_paths(code, error)))
    if "MISSING" in found:
        found["MISSING"].update(dict.fromkeys(missing_in(form, value)))
    code = next(code for code in _ORDER if code in found)
    paths = tuple(map(place, found[code]))[:_LISTED]
    return refused(code, SAY[code].format(", ".join(paths)), paths)


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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise refused(
            "DUPLICATE_KEY",
            "The message names a field twice, and two readers could take it differently. "
            "Correct the program that wrote it.",
        )
    return value


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS:
        _number(digits)
    return int(digits)


def _number(_: str) -> NoReturn:
    raise refused(
        "BAD_NUMBER", "The message holds a number that no form carries. Only whole numbers are used."
    )
