"""Canonical bytes: the one spelling of a clear JSON object (PROTOCOL.md F1-F4).

Rules of this house:
- a parser accepts one spelling: what it read must print to the same bytes;
- signatures and hashes cover the received bytes, never a re-encoding of them;
- nothing here knows what an object means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NoReturn

import orjson
from pydantic_core import SchemaValidator, core_schema, from_json, to_jsonable_python

from schemas.errors import Refusal

MAX_DEPTH = 6
FILE_DEPTH = 32
"""How deep JSON that a person's own system wrote may nest; clear signed objects stop at MAX_DEPTH."""
MAX_INT = 2**53 - 1

Json = Any  # what json gives: None, bool, int, str, list, dict


def encode(value: Json) -> bytes:
    """Print a value in its one canonical spelling (F1): ASCII, sorted keys, no spaces, no floats.

    Raises:
        Refusal: NOT_CANONICAL when the value has no such spelling.
    """
    text = _printed(value, MAX_DEPTH)
    # It leaves beyond ASCII, and DEL, as they are; the canonical spelling escapes them. Elsewhere the two agree.
    return text if text.isascii() and b"\x7f" not in text else _PRINTER.encode(value).encode("ascii")


def decode(data: bytes, limit: int) -> Json:
    """Read one canonical value of at most `limit` bytes (F2).

    Raises:
        Refusal: TOO_BIG, FORM (not strict JSON) or NOT_CANONICAL (not the only spelling).
    """
    if len(data) > limit:
        raise Refusal("TOO_BIG")
    try:
        # A quick parser suffices here: whatever it forgave would not print to the same bytes.
        value = from_json(data, allow_inf_nan=False)
        if encode(value) == data:
            return value
    except (ValueError, Refusal):
        pass
    _printed(_load(data, limit), MAX_DEPTH)  # says FORM where it is not strict JSON at all
    raise Refusal("NOT_CANONICAL")


def strict_json(data: bytes | str, limit: int) -> Json:
    """Read JSON without its traps (F3).

    Refused are duplicate keys, NaN, floats, huge integers, lone surrogates, nesting deeper than FILE_DEPTH, and
    bytes that are not UTF-8 (json.loads alone would guess UTF-16, and pass half a character on).

    Raises:
        Refusal: TOO_BIG, FORM.
    """
    value = _load(data, limit)
    try:
        _printed(value, FILE_DEPTH)
    except Refusal as error:
        raise Refusal("FORM") from error
    return value


def _load(data: bytes | str, limit: int) -> Json:
    if len(data) > limit:
        raise Refusal("TOO_BIG")
    try:
        return _READER.decode(data if isinstance(data, str) else data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal("FORM") from error


def b64(data: bytes) -> str:
    """base64url without padding (RFC 4648 section 5)."""
    # A printer of JSON makes it four times as quick as binascii does, where it is a record's kilobytes.
    text: str = to_jsonable_python(data, bytes_mode="base64")
    return text.rstrip("=")


def b64_bytes(data: bytes) -> bytes:
    """The same as ASCII bytes."""
    return b64(data).encode("ascii")


def unb64(text: str, size: int | None = None) -> bytes:
    """Read base64url in its one spelling, of exactly `size` bytes when given.

    Raises:
        Refusal: FORM.
    """
    try:
        # A reader of JSON is four times as quick as binascii where it is a key's kilobytes. That it is lenient is no
        # matter: whatever it forgave does not print to the same text.
        data: bytes = _BYTES.validate_json(f'"{text}"')
    except ValueError:
        raise Refusal("FORM") from None
    if b64(data) != text or (size is not None and len(data) != size):
        raise Refusal("FORM")
    return data


def _printed(value: Json, depth: int) -> bytes:
    """The spelling of a value that nests no deeper than this, its escapes aside. Raises Refusal NOT_CANONICAL."""
    _check_kinds(value, depth)
    try:
        # It refuses keys that are no text, integers beyond MAX_INT, and lone surrogates: they have an escape but are no
        # character, so two parsers disagree about them.
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    except TypeError as error:
        raise Refusal("NOT_CANONICAL") from error


def _check_kinds(value: Json, depth: int) -> None:
    """Refuse what nests too deep, and what would be printed although it has no spelling: floats, dates, tuples."""
    layer: list[Iterable[Json]] = [(value,)]
    while layer:
        if depth < 0:
            raise Refusal("NOT_CANONICAL")
        depth -= 1
        inner: list[Iterable[Json]] = []
        for items in layer:
            for item in items:
                kind = type(item)
                if kind in _PLAIN:
                    continue
                if kind is dict:
                    inner.append(item.values())
                elif kind is list:
                    inner.append(item)
                else:
                    raise Refusal("NOT_CANONICAL")
        layer = inner


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


def _integer(text: str) -> int:
    if len(text) > 17:
        raise ValueError("integer too long")
    return int(text)


def _not_json(_text: str) -> NoReturn:
    raise ValueError("not a number that Fenpost carries")


_PLAIN = frozenset({str, int, bool, type(None)})
_BYTES = SchemaValidator(
    core_schema.bytes_schema(), core_schema.CoreConfig(val_json_bytes="base64", hide_input_in_errors=True)
)
# Made once: json.dumps and json.loads make theirs anew for every call. No circle gets past _check_kinds.
_PRINTER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, check_circular=False)
_READER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_not_json, parse_constant=_not_json, parse_int=_integer
)
