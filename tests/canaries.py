"""Canaries: every telling string of a case record, looked for in every spelling that a leak might take."""

from __future__ import annotations

import base64
import codecs
import copy
import json
import quopri
import re
import urllib.parse
import zlib
from collections.abc import Callable, Iterable, Iterator
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


def new_token(draw: Callable[[int], bytes]) -> str:
    """Letters that stand nowhere by chance, for texts that are sown where a real case has words."""
    return "".join(chr(ord("a") + byte % 26) for byte in draw(14)).capitalize()


def sown(value: Any, token: str, fits: Callable[[Any], bool]) -> tuple[Any, int]:
    """A record with the token in every text that may hold free words, and in how many those are.

    Args:
        fits: whether a changed record is still one; what may not be changed, such as a code or a date, stays.
    """
    count = 0
    for place in _places(value):
        for words in (f"{token} {count}", f"{token}{count}"):
            changed = _with(value, place, words)
            if fits(changed):
                value, count = changed, count + 1
                break
    return value, count


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from _places(item, (*at, key))


def _with(value: Any, place: tuple[Any, ...], words: str) -> Any:
    if not place:
        return words
    copied = copy.copy(value)
    copied[place[0]] = _with(value[place[0]], place[1:], words)
    return copied


def spellings(text: str) -> dict[str, bytes]:
    """How a text may look where it leaked: name of the encoding -> bytes to look for."""
    plain = text.encode()
    wide = json.dumps(text)[1:-1]
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
        "utf-8, upper case": text.upper().encode(),
        "utf-32, little endian": text.encode("utf-32-le"),
        "json in json": json.dumps(wide)[1:-1].encode(),
        "json escapes of every letter": "".join(f"\\u{ord(char):04x}" for char in text).encode(),
        "percent of every byte": "".join(f"%{byte:02X}" for byte in plain).encode(),
        "quoted-printable": quopri.encodestring(plain).strip(),
        "quoted-printable of every byte": "".join(f"={byte:02X}" for byte in plain).encode(),
        "html numbers": "".join(f"&#{ord(char)};" for char in text).encode(),
        "hex with spaces": plain.hex(" ").encode(),
        "rot13": codecs.encode(text, "rot13").encode(),
        **{f"base32, {at} bytes in": _base32_core(plain, at) for at in range(5)},
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


PACKED = re.compile(rb"\x1f\x8b\x08|[\x58\x68\x78][\x01\x5e\x9c\xda]")
"""Where a gzip or zlib stream may begin."""
UNPACKED = 1 << 20
"""Bytes of a stream that are looked at; a first look takes 512, because most beginnings are by chance."""


def _layers(data: bytes) -> Iterator[bytes]:
    """The bytes of a file, and what every packed stream anywhere in it unpacks to."""
    yield data
    view = memoryview(data)
    for at in (found.start() for found in PACKED.finditer(data)):
        try:
            zlib.decompressobj(wbits=47).decompress(view[at : at + 512])
            unpacked = zlib.decompressobj(wbits=47).decompress(view[at : at + UNPACKED], UNPACKED)
        except zlib.error:
            continue
        if len(unpacked) >= SHORTEST:
            yield unpacked


def _base32_core(plain: bytes, offset: int) -> bytes:
    """As `_base64_core`, for base32: letters stand for five bits each."""
    encoded = base64.b32encode(bytes(offset) + plain).rstrip(b"=")
    return encoded[(offset * 8 + 4) // 5 : (offset + len(plain)) * 8 // 5]


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
