"""The operator's log: JSON lines with an allow-list. The audit log is another thing (broker.ledger).

Rules of this house:
- a field that is not in ALLOWED is dropped, whoever wrote it, and an event says one of a few fixed words;
- of an exception only its type is told; other libraries' messages are dropped, their level and logger stay;
- no agency, desk, id or size of a message is ever logged.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "route", "method", "status", "code", "error", "ms", "port", "admin_port",
        "count", "size", "revision", "logger",
    }
)  # fmt: skip
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def allow_listed(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep the allowed keys, and of their values only plain ones."""
    return {
        key: value if isinstance(value, str | int | float) else type(value).__name__
        for key, value in event.items()
        if key in ALLOWED
    }


class _Textless(logging.Handler):
    """What other libraries say, without their words: those may quote a request."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        get().warning("library", logger=record.name.split(".")[0], error=error)


def configure(level: str, stream: TextIO | None = None) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow_listed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Textless()], level=logging.WARNING, force=True)


def get() -> Any:
    return structlog.get_logger()
