"""Reading a message's text: strict JSON, without the traps that make two readers differ (PROTOCOL.md M1, M16)."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from schemas.errors import Refusal

PAYLOAD_LIMIT = 64 * 1024
_DIGITS = 17


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


def refused(code: str, say: str, detail: tuple[str, ...] = ()) -> Refusal:
    """A refusal that the sender can cure."""
    return Refusal(code, say, party="sender", detail=detail)


def _not_json() -> Refusal:
    return refused("NOT_JSON", "The message is not a JSON object. Check the program that wrote it.")


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
