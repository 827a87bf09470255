"""The alarm's part of the loopback face (PROTOCOL.md L27)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from agent.alarms import AlarmDesk, Lift
from agent.forms import Json, read_form
from schemas.envelope import Frozen


class Desk(Protocol):
    """What a row may use."""

    @property
    def alarms(self) -> AlarmDesk: ...


Handle = Callable[[Desk, web.Request], Awaitable[tuple[int, Json]]]
Row = tuple[str, str, str, Handle, type[Frozen] | None, int]


async def show(desk: Desk, _request: web.Request) -> tuple[int, Json]:
    return 200, await desk.alarms.show()


async def lift(desk: Desk, request: web.Request) -> tuple[int, Json]:
    return 200, await desk.alarms.lift(read_form(Lift, await request.read()))


ROWS: tuple[Row, ...] = (
    ("GET", "/v1/alarm", "The alarm about the log, and losses that were gone on from.", show, None, 200),
    ("POST", "/v1/alarm/lift", "Go on after a loss that relay and oversight signed.", lift, Lift, 200),
)
