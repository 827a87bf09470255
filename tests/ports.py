"""Ports for relays and agents of tests, from where no outgoing connection is given one.

A port that the system hands out (bind to 0) may be taken again, by any connection that somebody makes, before the
server that it was meant for binds it. Below the ephemeral range that does not happen; each test worker has its own part.
"""

from __future__ import annotations

import os
import secrets
import socket

FIRST, SPAN, WORKERS = 12_000, 2_000, 10


def free_port() -> int:
    """A port of this worker's that nobody listens on at this moment."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw")) % WORKERS
    while not is_free(port := FIRST + worker * SPAN + secrets.randbelow(SPAN)):
        pass
    return port


def is_free(port: int) -> bool:
    """Whether nobody listens on it at this moment."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
