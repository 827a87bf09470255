"""The loopback face for agreements and recalls: rows of the desk's table of routes (PROTOCOL.md J1-J8, G6)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from agent.consent_forms import Answer, Ask, CannotGive, Refuse, Regain, Settle
from agent.forms import Give, Json, Withdraw, read_form
from agent.office import Office
from schemas.agreement import Act
from schemas.envelope import Frozen


class Desk(Protocol):
    """What a row may use."""

    @property
    def office(self) -> Office: ...


Handle = Callable[[Desk, web.Request], Awaitable[tuple[int, Json]]]
Row = tuple[str, str, str, Handle, type[Frozen] | None, int]


async def give(desk: Desk, request: web.Request) -> tuple[int, Json]:
    return 201, await desk.office.agreements.give(read_form(Give, await request.read()))


def ask(act: Act) -> Handle:
    async def handle(desk: Desk, request: web.Request) -> tuple[int, Json]:
        form = read_form(Ask, await request.read())
        return 200, await desk.office.agreements.ask(request.match_info["gid"], act, form)

    return handle


async def refuse(desk: Desk, request: web.Request) -> tuple[int, Json]:
    form = read_form(Refuse, await request.read() or b"{}")
    name = request.match_info.get("gid")
    return (201 if name is None else 200), await desk.office.agreements.refuse(name, form)


async def cannot_give(desk: Desk, request: web.Request) -> tuple[int, Json]:
    form = read_form(CannotGive, await request.read())
    name = request.match_info.get("gid")
    return (201 if name is None else 200), await desk.office.agreements.cannot_give(name, form)


async def regain(desk: Desk, request: web.Request) -> tuple[int, Json]:
    form = read_form(Regain, await request.read())
    return 200, await desk.office.agreements.regain(request.match_info["gid"], form)


async def settle(desk: Desk, request: web.Request) -> tuple[int, Json]:
    form = read_form(Settle, await request.read())
    return 200, await desk.office.agreements.settle(request.match_info["gid"], form)


async def withdraw(desk: Desk, request: web.Request) -> tuple[int, Json]:
    if data := await request.read():
        read_form(Withdraw, data)
    name = request.match_info["gid"]
    answer = await desk.office.agreements.withdraw(name)
    shown = await desk.office.agreements.view.agreement(name)
    return 200, {**answer, "stopped_at_the_relay": shown["stopped_at_the_relay"]}


async def agreement(desk: Desk, request: web.Request) -> tuple[int, Json]:
    return 200, await desk.office.agreements.view.agreement(request.match_info["gid"])


async def listing(desk: Desk, _request: web.Request) -> tuple[int, Json]:
    return 200, await desk.office.agreements.view.listing()


async def owed(desk: Desk, _request: web.Request) -> tuple[int, Json]:
    return 200, await desk.office.agreements.owed()


async def answer(desk: Desk, request: web.Request) -> tuple[int, Json]:
    form = read_form(Answer, await request.read())
    return 200, await desk.office.agreements.answer(request.match_info["gid"], form)


ONE = "/v1/consent/{gid}"
ROWS: tuple[Row, ...] = (
    ("POST", "/v1/consent", "Record an agreement.", give, Give, 201),
    ("GET", "/v1/consent", "Every agreement made here; what needs somebody first.", listing, None, 200),
    ("POST", "/v1/consent/refused", "Record that a person said no.", refuse, Refuse, 201),
    ("POST", "/v1/consent/cannot-give", "Record that a person cannot decide.", cannot_give, CannotGive, 201),
    ("GET", ONE, "An agreement as this agent knows it.", agreement, None, 200),
    ("POST", f"{ONE}/give", "The person, asked again, agrees to all of it.", ask("give"), Ask, 200),
    ("POST", f"{ONE}/limit", "The person agrees to part of it.", ask("limit"), Ask, 200),
    ("POST", f"{ONE}/renew", "The person agrees that it goes on.", ask("renew"), Ask, 200),
    ("POST", f"{ONE}/refuse", "The person, asked again, says no.", refuse, Refuse, 200),
    ("POST", f"{ONE}/withdraw", "End an agreement.", withdraw, Withdraw, 200),
    ("POST", f"{ONE}/cannot-give", "The person cannot decide now.", cannot_give, CannotGive, 200),
    ("POST", f"{ONE}/regain", "The person can decide again.", regain, Regain, 200),
    ("POST", f"{ONE}/settle", "A lead settles a stop at another agency.", settle, Settle, 200),
    ("GET", "/v1/recalls", "Withdrawn agreements about which people still have to answer.", owed, None, 200),
    ("POST", "/v1/recalls/{gid}", "Say what became of what is held.", answer, Answer, 200),
)
