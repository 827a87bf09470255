"""The loopback face for what people say of their own chain, a second agent, safety numbers (PROTOCOL.md G15, K10)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from agent.forms import Json, read_form
from agent.office import Office
from agent.own import Acknowledge, Compared
from schemas.envelope import Frozen


class Desk(Protocol):
    """What a row may use."""

    @property
    def office(self) -> Office: ...


Handle = Callable[[Desk, web.Request], Awaitable[tuple[int, Json]]]
Row = tuple[str, str, str, Handle, type[Frozen] | None, int]


async def acknowledge(desk: Desk, request: web.Request) -> tuple[int, Json]:
    return 200, await desk.office.own.acknowledge(read_form(Acknowledge, await request.read()))


async def number(desk: Desk, request: web.Request) -> tuple[int, Json]:
    return 200, await desk.office.own.number(request.match_info["agency"])


async def compared(desk: Desk, request: web.Request) -> tuple[int, Json]:
    return 201, await desk.office.own.compared(read_form(Compared, await request.read()))


ROWS: tuple[Row, ...] = (
    (
        "POST",
        "/v1/acknowledged",
        "Say that something in the agency's own name is right.",
        acknowledge,
        Acknowledge,
        200,
    ),
    (
        "GET",
        "/v1/safety-numbers/{agency}",
        "The number to compare with an agency, and who did.",
        number,
        None,
        200,
    ),
    ("POST", "/v1/safety-numbers", "Mark a number as compared.", compared, Compared, 201),
)
