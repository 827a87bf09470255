"""The loopback REST face for case systems (PROTOCOL.md G6).

Rules of this house:
- every request carries the token; Host is ours and a foreign Origin is refused, so no web page can reach in;
- one table of routes makes the application and its OpenAPI document;
- an error is problem+json and names fields, never what somebody wrote.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from agent import alarm_routes, consent_routes, override_routes, own_routes, rotation_routes
from agent.alarms import AlarmDesk
from agent.explaining import with_steps
from agent.extract import Extracted
from agent.forms import Json, Reject, Send, TakeOn, read_form
from agent.limits import FORM_LIMIT
from agent.logs import log
from agent.nondisclosure import Nondisclosures
from agent.nondisclosure_forms import NotShared
from agent.office import Office
from agent.rotation import Rotation
from agent.showing import Showing
from agent.statement import Review, Statements, Tell
from schemas.api import PROBLEM
from schemas.canonical import encode
from schemas.envelope import Frozen
from schemas.errors import Refusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
STATUS = {
    "UNAUTHENTICATED": 401, "NOT_ALLOWED": 403, "NOT_FOUND": 404, "METHOD": 405, "CONFLICT": 409, "ENDED": 409,
    "TOO_BIG": 413, "DISK_FULL": 507, "STORE": 500, "RELAY_AWAY": 503, "STALE_DIRECTORY": 503,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Route:
    """One thing a case system may ask: `act` gives the answer's JSON and status."""

    method: str
    path: str
    says: str
    act: Callable[[Desk, web.Request], Awaitable[tuple[int, Json]]]
    body: type[Frozen] | None = None
    done: int = 200


class Desk:
    """The application's acts."""

    def __init__(
        self,
        office: Office,
        showing: Showing,
        statements: Statements,
        nondisclosures: Nondisclosures,
        alarms: AlarmDesk,
        rotation: Rotation,
    ) -> None:
        self.alarms = alarms
        self.rotation = rotation
        self.office = office
        self.showing = showing
        self.statements = statements
        self.nondisclosures = nondisclosures

    async def send(self, request: web.Request) -> tuple[int, Json]:
        form = read_form(Send, await request.read())
        answer = await self.office.send(form, request.headers.get("Idempotency-Key"))
        return (200 if answer["repeat"] else 202), answer

    async def sent(self, _request: web.Request) -> tuple[int, Json]:
        return 200, {"messages": await self.showing.sent()}

    async def message(self, request: web.Request) -> tuple[int, Json]:
        return 200, await self.showing.message(request.match_info["mid"])

    async def inbox(self, request: web.Request) -> tuple[int, Json]:
        return 200, {"items": await self.showing.inbox(every=request.query.get("all") == "1")}

    async def received(self, request: web.Request) -> tuple[int, Json]:
        asked = await self.office.agreements.look(request.match_info["id"])
        return 200, {**await self.showing.received(request.match_info["id"]), "agreement_asked": asked}

    async def take_on(self, request: web.Request) -> tuple[int, Json]:
        place = request.match_info["id"]
        await self.office.take_on(place, read_form(TakeOn, await request.read()))
        return 200, await self.showing.received(place)

    async def reject(self, request: web.Request) -> tuple[int, Json]:
        place = request.match_info["id"]
        await self.office.reject(place, read_form(Reject, await request.read()))
        return 200, await self.showing.received(place)

    async def statement(self, request: web.Request) -> tuple[int, Json]:
        return 201, await self.statements.make(read_form(Tell, await request.read()))

    async def kept(self, _request: web.Request) -> tuple[int, Json]:
        return 200, {"messages": await self.statements.kept()}

    async def review(self, request: web.Request) -> tuple[int, Json]:
        return 200, await self.statements.review(read_form(Review, await request.read()))

    async def extract(self, request: web.Request) -> tuple[int, Json]:
        return 201, await self.statements.extract(read_form(Extracted, await request.read()))

    async def reconciliation(self, request: web.Request) -> tuple[int, Json]:
        return 200, await self.showing.reconciliation(every=request.query.get("all") == "1")

    async def not_shared(self, request: web.Request) -> tuple[int, Json]:
        return 201, await self.nondisclosures.record(read_form(NotShared, await request.read()))

    async def not_shared_list(self, _request: web.Request) -> tuple[int, Json]:
        return 200, {"decisions": await self.nondisclosures.list()}

    async def status(self, _request: web.Request) -> tuple[int, Json]:
        return 200, await self.showing.status()

    async def openapi(self, _request: web.Request) -> tuple[int, Json]:
        from agent.openapi import document

        return 200, document()


ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/messages", "Queue a message.", Desk.send, Send, 202),
    Route("GET", "/v1/messages", "What was sent, newest first.", Desk.sent),
    Route("GET", "/v1/messages/{mid}", "Where a sent message stands, desk by desk.", Desk.message),
    Route("GET", "/v1/inbox", "What waits to be taken on; all=1 also shows what has ended.", Desk.inbox),
    Route("GET", "/v1/inbox/{id}", "A received message.", Desk.received),
    Route("POST", "/v1/inbox/{id}/take-on", "Take a message on.", Desk.take_on, TakeOn),
    Route("POST", "/v1/inbox/{id}/reject", "Give a message back.", Desk.reject, Reject),
    *(Route(*row) for row in (*consent_routes.ROWS, *override_routes.ROWS)),
    *(Route(*row) for row in alarm_routes.ROWS),
    *(Route(*row) for row in own_routes.ROWS),
    *(Route(*row) for row in rotation_routes.ROWS),
    Route("POST", "/v1/statements", "Make a person's sharing statement.", Desk.statement, Tell, 201),
    Route("GET", "/v1/statements/reviews", "Messages that the person may not be told of yet.", Desk.kept),
    Route("POST", "/v1/statements/reviews", "Say whether a message may be told.", Desk.review, Review),
    Route("POST", "/v1/extracts", "Write an extract for the IG officer.", Desk.extract, Extracted, 201),
    Route(
        "GET",
        "/v1/reconciliation",
        "What the daily lists of other agencies brought to light; all=1 also shows what has settled.",
        Desk.reconciliation,
    ),
    Route("POST", "/v1/nondisclosures", "Record a decision not to share.", Desk.not_shared, NotShared, 201),
    Route("GET", "/v1/nondisclosures", "Decisions not to share, newest first.", Desk.not_shared_list),
    Route("GET", "/v1/status", "The agent's own state.", Desk.status),
    Route("GET", "/v1/openapi.json", "This face as OpenAPI 3.1.", Desk.openapi),
)


def build(
    office: Office,
    showing: Showing,
    statements: Statements,
    nondisclosures: Nondisclosures,
    alarms: AlarmDesk,
    rotation: Rotation,
    token: str,
    hosts: Callable[[], frozenset[str]],
) -> web.Application:
    """The application; `hosts` are the values of Host that are ours, known once the port is."""
    desk = Desk(office, showing, statements, nondisclosures, alarms, rotation)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        route = request.match_info.route.resource.canonical if request.match_info.route.resource else "none"
        try:
            _admit(request, token, hosts())
            response = await handler(request)
        except Refusal as refusal:
            response = problem(refusal)
            log.info("asked", route=route, method=request.method, status=response.status, code=refusal.code)
        except web.HTTPException as error:
            code = {404: "NOT_FOUND", 405: "METHOD", 413: "TOO_BIG"}.get(error.status, "FORM")
            response = problem(Refusal(code), error.status)
        except Exception as error:  # noqa: BLE001 - the last resort: an answer without the error's words
            log.error("fault", route=route, error=type(error).__name__)
            response = problem(Refusal("FAULT", "The agent has a fault. Nothing was done; see its log."), 500)
        response.headers.update(
            {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "fenpost"}
        )
        return response

    application = web.Application(middlewares=[guard], client_max_size=FORM_LIMIT)
    for route in ROUTES:
        application.router.add_route(route.method, route.path, _handler(desk, route))
    return application


def _handler(desk: Desk, route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        status, value = await route.act(desk, request)
        return web.Response(
            body=json.dumps(value, ensure_ascii=False).encode(),
            status=status,
            content_type="application/json",
        )

    return handle


def _admit(request: web.Request, token: str, hosts: frozenset[str]) -> None:
    if request.headers.get("Host", "").lower() not in hosts:
        raise Refusal("NOT_ALLOWED", "Ask the agent by its loopback address.")
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower() not in {f"http://{host}" for host in hosts}:
        raise Refusal("NOT_ALLOWED", "Web pages may not ask the agent.")
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(given, f"Bearer {token}".encode()):
        raise Refusal("UNAUTHENTICATED", "Give the agent's token, from api.token in its folder.")


def problem(refusal: Refusal, status: int | None = None) -> web.Response:
    """A refusal as problem+json (RFC 9457)."""
    number = status or STATUS.get(refusal.code, 503 if refusal.retry else 422)
    body = with_steps(refusal, {
        "code": refusal.code,
        "detail": list(refusal.detail),
        "party": refusal.party,
        "retry": refusal.retry,
        "say": refusal.say,
        "status": number,
        "title": refusal.code.replace("_", " ").lower(),
        "type": f"urn:fenpost:problem:{refusal.code}",
    })  # fmt: skip
    return web.Response(body=encode(body), status=number, content_type=PROBLEM)
