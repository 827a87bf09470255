"""The agent's diagnostic log: for whoever runs it, never the record of what happened.

Rules of this house:
- an event and its fields are named in ALLOWED, or they are not printed: what is new is hidden until somebody decides;
- no field can carry what a person wrote; an exception gives its type and nothing of its text;
- other libraries may warn, without their words.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    {
        "attempts", "code", "count", "error", "event", "kind", "level", "method", "ms", "party", "port", "retry",
        "route", "seconds", "size", "state", "status", "task", "timestamp",
    }
)  # fmt: skip
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
Fields = MutableMapping[str, Any]


def allow_listed(_logger: object, _method: str, fields: Fields) -> Fields:
    """Drop every field that is not in ALLOWED, and every value that is not plain."""
    kept = {name: value for name, value in fields.items() if name in ALLOWED}
    return {
        name: value if isinstance(value, str | int | float | bool) else type(value).__name__
        for name, value in kept.items()
    }


class _TextlessHandler(logging.Handler):
    """Other libraries' warnings: who and how grave, without their words, which may quote anything."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning(
            "library",
            kind=record.name.split(".")[0],
            error=record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "",
        )


def begin(level: str) -> None:
    """Log JSON lines to stderr from now on."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow_listed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_TextlessHandler()], level=logging.WARNING, force=True)


log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
