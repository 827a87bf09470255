"""Pages that are being sent: what a withdrawal took back must stop travelling, also in a page that is half sent.

Rules of this house:
- a page is registered before its first byte leaves, and until its last byte was handed to the operating system;
- a withdrawal that reached the log breaks off every page that holds what it took back, before anybody is told that it
  was withdrawn; an agent that loses a page asks again, and nothing was ended by the sending;
- who reads too slowly is left: a page must get on at the pace that bodies must;
- a page that was read before such a withdrawal and would be sent after it is read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from broker.problems import HEADERS
from broker.reading import Pace
from schemas import api
from schemas.errors import Refusal

AT_ONCE = 16 * 1024
"""Bytes that the operating system takes from us in any case: such a page is never half sent."""
UNSENT = 64 * 1024
"""Bytes that the operating system may hold unsent, where it lets us say so (Linux)."""
UNSENT_LIMIT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


@dataclass(frozen=True, slots=True)
class Page:
    """The bytes of a mailbox page, the envelopes in it, and the count of withdrawals when it was read."""

    body: bytes
    eids: frozenset[bytes]
    read: int


class Underway:
    """The pages under way. `withdrawals` counts the turns that took something back."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self.withdrawals = 0
        self._sending: dict[object, tuple[frozenset[bytes], asyncio.Transport]] = {}

    def stop(self, eids: set[bytes]) -> None:
        """Break off every page that holds one of these."""
        if not eids:
            return
        self.withdrawals += 1
        for held, transport in list(self._sending.values()):
            if not eids.isdisjoint(held):
                _break_off(transport)

    def stands(self, page: Page) -> bool:
        """Whether nothing was taken back since this page was read."""
        return page.read == self.withdrawals

    async def send(self, request: web.Request, page: Page) -> web.StreamResponse:
        """Answer with a page that stands.

        Raises:
            Refusal: UNAVAILABLE when the connection is gone.
        """
        headers = {**HEADERS, "Content-Type": api.BINARY}
        transport = request.transport
        if len(page.body) <= AT_ONCE:
            return web.Response(body=page.body, headers=headers)
        if transport is None:
            raise Refusal("UNAVAILABLE")
        _keep_close(transport)
        response = web.StreamResponse(headers={**headers, "Content-Length": str(len(page.body))})
        patience = self._pace.seconds + len(page.body) / self._pace.rate
        with self._registered(page, transport), contextlib.suppress(ConnectionError):
            try:
                async with asyncio.timeout(patience):
                    await response.prepare(request)
                    await response.write(page.body)
                    await response.write_eof()
            except TimeoutError:
                _break_off(transport)
        return response

    @contextlib.contextmanager
    def _registered(self, page: Page, transport: asyncio.Transport) -> Iterator[None]:
        ticket = object()
        self._sending[ticket] = (page.eids, transport)
        try:
            yield
        finally:
            del self._sending[ticket]


def _keep_close(transport: asyncio.Transport) -> None:
    """Nothing may wait unseen, here or in the operating system: writing then takes as long as the sending does."""
    transport.set_write_buffer_limits(0)
    connection = transport.get_extra_info("socket")
    if connection is not None and UNSENT_LIMIT is not None:
        connection.setsockopt(socket.IPPROTO_TCP, UNSENT_LIMIT, UNSENT)


def _break_off(transport: asyncio.Transport) -> None:
    """End a connection at once; what the operating system still has of it is thrown away, not sent to its end."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
