"""Refusals with lawful next steps, as every face of the agent shows them (PROTOCOL.md G11).

A step holds codes and sentences of ours, never anything that the author wrote: it may stand in a file, a log of a case
system or on a screen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from agent.explained import Explained
from schemas.api import Problem
from schemas.envelope import Frozen
from schemas.errors import Refusal
from schemas.explaining import Explanation, Step


class NextStep(Frozen):
    """One way on: what people do, or, with `law`, entries for the law block and what the rule then says."""

    code: str
    say: str
    law: dict[str, Any] = Field(default_factory=dict)
    leads_to: str = ""


class Refused(Problem):
    """A refusal, and the ways on where the rule knows any."""

    steps: tuple[NextStep, ...] = ()


def explained(explanation: Explanation) -> Explained:
    """The refusal that an author is shown."""
    return Explained(explanation.code, explanation.say, shown(explanation.steps))


def shown(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """Steps as JSON."""
    return [
        {"code": step.code, "say": step.say, "law": dict(step.law), "leads_to": step.leads_to}
        for step in steps
    ]


def with_steps(refusal: Refusal, value: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a refusal, and its steps where it has any."""
    return {**value, "steps": list(refusal.steps)} if isinstance(refusal, Explained) else value
