"""The loopback face for overrides and holds: rows of the desk's table of routes (PROTOCOL.md O4-O13, G6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from agent.forms import Json, read_form
from agent.office import Office
from agent.override_forms import Authorise, OverrideAsk, Requested
from schemas.envelope import Frozen
from schemas.signing import Signed


class Desk(Protocol):
    """What a row may use."""

    @property
    def office(self) -> Office: ...


Handle = Callable[[Desk, web.Request], Awaitable[tuple[int, Json]]]
Row = tuple[str, str, str, Handle, type[Frozen] | None, int]


async def draft(desk: Desk, request: web.Request) -> tuple[int, Json]:
    return 201, await desk.office.overrides.draft(read_form(OverrideAsk, await request.read()))


async def ask(desk: Desk, request: web.Request) -> tuple[int, Json]:
    form = read_form(Requested, await request.read())
    return 200, await desk.office.overrides.ask(request.match_info["oid"], form.s)


async def authorise(desk: Desk, request: web.Request) -> tuple[int, Json]:
    form = read_form(Authorise, await request.read())
    signed = Signed.from_json({"s": form.s, "t": form.t})
    return 200, await desk.office.overrides.authorise(request.match_info["oid"], signed)


async def one(desk: Desk, request: web.Request) -> tuple[int, Json]:
    return 200, await desk.office.overrides.one(request.match_info["oid"])


async def listed(desk: Desk, _request: web.Request) -> tuple[int, Json]:
    return 200, await desk.office.overrides.listed()


async def holds(desk: Desk, _request: web.Request) -> tuple[int, Json]:
    return 200, await desk.office.overrides.holds()


ONE = "/v1/overrides/{oid}"
ROWS: tuple[Row, ...] = (
    ("POST", "/v1/overrides", "Draft an override for an author to sign.", draft, OverrideAsk, 201),
    ("GET", "/v1/overrides", "Overrides, newest first, and what was told about them.", listed, None, 200),
    ("GET", ONE, "An override with its reason, for the lead to read.", one, None, 200),
    ("POST", f"{ONE}/request", "The author's signature: now a lead can see it.", ask, Requested, 200),
    ("POST", f"{ONE}/authorise", "The lead's signature: now it counts.", authorise, Authorise, 200),
    ("GET", "/v1/holds", "What waits for a lead, or for her signature.", holds, None, 200),
)
