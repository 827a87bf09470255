"""Canaries: every telling string of a case record, looked for in every spelling that a leak might take."""

from __future__ import annotations

import base64
import gzip
import json
import urllib.parse
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SHORTEST = 8
"""Shorter strings (codes, ages, weekdays) stand in innocent places and would cry wolf."""


def canaries_of(case: Any, public: tuple[str, ...] = ()) -> list[str]:
    """The distinct strings of a case record that only this person's record holds: names, words, numbers, places.

    Codes of the closed vocabularies are no canaries: they are lower-case words joined by underscores. Nor is what
    stands in a `public` name anyway, such as the town that an agency is named for.
    """
    telling = {text for text in _strings(case) if len(text) >= SHORTEST and not _is_code(text)}
    return sorted(text for text in telling if not any(text in name for name in public))


def spellings(text: str) -> dict[str, bytes]:
    """How a text may look where it leaked: name of the encoding -> bytes to look for."""
    plain = text.encode()
    return {
        "utf-8": plain,
        "utf-8, lower case": text.lower().encode(),
        "utf-16, little endian": text.encode("utf-16-le"),
        "utf-16, big endian": text.encode("utf-16-be"),
        "json escapes": json.dumps(text)[1:-1].encode(),
        "percent": urllib.parse.quote(text).encode(),
        "form": urllib.parse.quote_plus(text).encode(),
        "hex": plain.hex().encode(),
        "hex, upper case": plain.hex().upper().encode(),
        "reversed": plain[::-1],
        **{f"base64, {at} bytes in": _base64_core(plain, at, b"+/") for at in range(3)},
        **{f"base64url, {at} bytes in": _base64_core(plain, at, b"-_") for at in range(3)},
    }


def search(paths: Iterable[Path], canaries: Iterable[str]) -> list[tuple[str, str]]:
    """(file name, encoding) of every canary found; the text itself is not repeated."""
    wanted = [(name, spelled) for text in canaries for name, spelled in spellings(text).items()]
    found: list[tuple[str, str]] = []
    for path in paths:
        for data in _layers(path.read_bytes()):
            found += [(path.name, name) for name, spelled in wanted if spelled in data]
    return found


def _layers(data: bytes) -> Iterator[bytes]:
    """The bytes of a file, and what they unpack to if they are packed."""
    yield data
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            yield unpack(data)
        except (OSError, zlib.error, EOFError):
            continue


def _base64_core(plain: bytes, offset: int, letters: bytes) -> bytes:
    """The letters that stand for `plain` wherever base64 meets it `offset` bytes into a group of three."""
    encoded = base64.b64encode(bytes(offset) + plain, altchars=letters).rstrip(b"=")
    first = (offset * 8 + 5) // 6
    whole = (offset + len(plain)) * 8 // 6
    return encoded[first:whole]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def _is_code(text: str) -> bool:
    return text.replace("_", "").replace("-", "").replace(".", "").isalnum() and text == text.lower()
