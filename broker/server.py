"""The HTTP server around the handlers: aiohttp without what it tells strangers.

Rules of this house:
- no answer and no log line repeats anything of a request; no banner names a version;
- a connection that has not brought a whole header in time is closed, and only so many may be open;
- only requests to the relay's own name are answered;
- this is the one place that catches everything, and it says so: it answers FAULT and logs the type alone.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from broker import logs
from broker.metrics import Metrics
from broker.problems import problem
from broker.rates import Limited
from schemas.errors import Refusal

LINE = 4096
"""Bytes of a request line or a header; a signature takes 400."""
HEADERS = 32

DIRECT = web.RequestKey("direct", bool)
"""What a request is marked with that passed no router: its target is its route."""

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Connection(RequestHandler):
    """One connection. What aiohttp would say about a malformed request quotes it, so it is not asked."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- it quotes the request
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        refusal = Refusal("FORM") if status == 400 else Refusal("FAULT")
        if status != 400:
            logs.get().error("fault", error=type(exc).__name__)
        response = problem(refusal)
        response.force_close()
        return response

    def log_exception(self, *_args: Any, **_kwargs: Any) -> None:
        logs.get().error("connection")


class _Server(web.Server):
    """Makes connections of our kind, up to a number."""

    most = 0
    settings: dict[str, Any]

    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: Any) -> None:
        super().connection_made(handler, transport)
        if len(self._connections) > self.most:
            transport.abort()


class Runner(web.AppRunner):
    """Runs an application on our server.

    `direct` answers POSTs to these very targets: a router and its middlewares would cost a twentieth of an upload.
    """

    def __init__(
        self,
        app: web.Application,
        direct: Mapping[str, Answering],
        header_seconds: float,
        connections: int,
        drain_seconds: float,
    ) -> None:
        super().__init__(
            app,
            access_log=None,
            shutdown_timeout=drain_seconds,
            keepalive_timeout=header_seconds,
            lingering_time=1.0,
            auto_decompress=False,
            max_line_size=LINE,
            max_field_size=LINE,
            max_headers=HEADERS,
        )
        self._direct = direct
        self._connections = connections

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()

        def answering(request: Any) -> Awaitable[web.StreamResponse]:
            if request.method == "POST" and "Expect" not in request.headers:
                found = self._direct.get(request.raw_path)
                if found is not None:
                    request[DIRECT] = True
                    return found(request)
            return made.request_handler(request)

        server = _Server(answering, request_factory=made.request_factory, **made._kwargs)  # noqa: SLF001
        server.most = self._connections
        return server


def guard(metrics: Metrics, authority: str | None) -> Any:
    """The middleware that every request passes: own name only, refusals into problems, one figure and one line."""

    @web.middleware
    async def guarded(request: web.Request, handler: Answering) -> web.StreamResponse:
        started = time.perf_counter()
        code, response = "", None
        try:
            if authority is not None and request.headers.get("Host") != authority:
                raise Refusal("AUTHORITY")
            response = await handler(request)
        except Limited as refusal:
            code, response = refusal.code, problem(refusal, after=refusal.after)
        except Refusal as refusal:
            code, response = refusal.code, problem(refusal)
        except web.HTTPMethodNotAllowed as error:
            code, response = (
                "METHOD",
                problem(Refusal("METHOD"), allow=", ".join(sorted(error.allowed_methods))),
            )
        except web.HTTPException:
            code, response = "NOT_FOUND", problem(Refusal("NOT_FOUND"))
        except Exception as error:  # noqa: BLE001 -- the process's last resort
            logs.get().error("fault", error=type(error).__name__)
            code, response = "FAULT", problem(Refusal("FAULT"))
        route = _route(request)
        metrics.request(route, str(response.status)).inc()
        if code:
            ms = round(1000 * (time.perf_counter() - started), 1)
            logs.get().info(
                "refused", route=route, method=_method(request), status=response.status, code=code, ms=ms
            )
        return response

    return guarded


def _route(request: web.Request) -> str:
    if DIRECT in request:
        return request.raw_path
    # The template, never the path: a path may hold an id.
    resource = request.match_info.route.resource
    return "none" if resource is None else resource.canonical


def _method(request: web.Request) -> str:
    return request.method if request.method in ("GET", "POST", "HEAD") else "other"
