"""Reading a request's body and query: bounded in size and in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.client_exceptions import ClientError
from aiohttp.web_exceptions import HTTPException

from schemas import api
from schemas.errors import Refusal

DIGITS = 16


@dataclass(frozen=True, slots=True)
class Pace:
    """A body must bring `rate` bytes a second, judged over `seconds`."""

    seconds: float
    rate: int


async def read_body(request: web.Request, kind: str, pace: Pace) -> bytes:
    """The whole body of a request with this content type.

    Raises:
        Refusal: MEDIA, TOO_BIG, SLOW, FORM (it ended early).
    """
    headers = request.headers
    if headers.get("Content-Type", "") != kind or "Content-Encoding" in headers:
        raise Refusal("MEDIA")
    if (request.content_length or 0) > api.MAX_BODY:
        raise Refusal("TOO_BIG")
    try:
        return await _read(request, pace)
    except TimeoutError as error:
        raise Refusal("SLOW") from error
    except (ClientError, HTTPException, ConnectionError) as error:
        raise Refusal("FORM") from error


async def _read(request: web.Request, pace: Pace) -> bytes:
    if request.content.is_eof():  # it came with its header, as most do
        body = request.content.read_nowait()
        if len(body) > api.MAX_BODY:
            raise Refusal("TOO_BIG")
        return body
    pieces, size, since = list[bytes](), 0, 0
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(pace.seconds) as patience:
        while piece := await request.content.readany():
            size, since = size + len(piece), since + len(piece)
            if size > api.MAX_BODY:
                raise Refusal("TOO_BIG")
            pieces.append(piece)
            if since >= pace.rate * pace.seconds:
                since = 0
                patience.reschedule(loop.time() + pace.seconds)
    return b"".join(pieces)


def numbers(query: Mapping[str, str], defaults: Mapping[str, int | None], *others: str) -> dict[str, int]:
    """The whole numbers in a query; what has no default must be given.

    Only these and `others` may stand in it, and nothing twice.

    Raises:
        Refusal: FORM.
    """
    if len(query) != len(set(query)) or not set(query) <= {*defaults, *others}:
        raise Refusal("FORM")
    found = {}
    for name, default in defaults.items():
        value = _number(query[name]) if name in query else default
        if value is None:
            raise Refusal("FORM", detail=(name,))
        found[name] = value
    return found


def _number(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > DIGITS or str(int(text)) != text:
        raise Refusal("FORM")
    return int(text)
