"""The loopback face of the running keys: rows of the desk's table of routes (PROTOCOL.md G16)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from aiohttp import web
from pydantic import Field

from agent.forms import Json, read_form
from agent.rotation import Rotation
from schemas.envelope import Frozen
from schemas.keys import Use


class RotationAsk(Frozen):
    """Which keys are to be replaced now; `dry_run` only says what that would publish, and whom it touches."""

    uses: tuple[Literal["msg", "auth", "consent", "prekey", "witness"], ...] = Field(
        min_length=1, max_length=5
    )
    dry_run: bool = False


class Desk(Protocol):
    """What a row may use."""

    @property
    def rotation(self) -> Rotation: ...


Handle = Callable[[Desk, web.Request], Awaitable[tuple[int, Json]]]
Row = tuple[str, str, str, Handle, type[Frozen] | None, int]


async def state(desk: Desk, _request: web.Request) -> tuple[int, Json]:
    return 200, await desk.rotation.state()


async def rotate(desk: Desk, request: web.Request) -> tuple[int, Json]:
    form = read_form(RotationAsk, await request.read())
    return 200, await desk.rotation.rotate([Use(use) for use in form.uses], dry_run=form.dry_run)


ROTATION = "/v1/keys/rotation"
ROWS: tuple[Row, ...] = (
    (
        "GET",
        ROTATION,
        "The agent's running keys, what is due when, and who seals to old ones.",
        state,
        None,
        200,
    ),
    ("POST", ROTATION, "Replace running keys now.", rotate, RotationAsk, 200),
)
