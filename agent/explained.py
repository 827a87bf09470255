"""A refusal with lawful next steps (PROTOCOL.md G11). It imports little: every command waits for this module."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.errors import Refusal


class Explained(Refusal):
    """A refusal by the consent rule, with what its author may do: `steps` as JSON."""

    def __init__(self, code: str, say: str, steps: Iterable[dict[str, Any]]) -> None:
        super().__init__(code, say)
        self.steps = tuple(steps)
