"""What somebody fills in who decides not to share, and what of it is logged (PROTOCOL.md G12, G13)."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from agent.forms import Role
from agent.ring import HeldKeys
from agent.send import subject_of
from schemas.directory import Directory
from schemas.envelope import DeskId, Frozen
from schemas.lawful import Purpose
from schemas.messages.asked import Day
from schemas.messages.text import Text
from schemas.nondisclosure import Weighed, WhyNotShared


class Away(Frozen):
    """A desk that it would have gone to: the agency by its id or exact name, the desk if one was meant."""

    agency: Annotated[str, Field(min_length=1, max_length=120)]
    desk: DeskId = "any"


class NotShared(Frozen):
    """A decision not to share.

    `to` names members, `to_others` in words whoever is no member: one of the two is needed. `why` is a code and
    `because` the reasoning; `risk_if_shared` and `risk_if_not` are what was weighed; `persons_view` is what the person
    said about it, when there was a safe way to ask; `review_on` is the day by which somebody looks at it again.
    """

    case_ref: Annotated[str, Field(min_length=1, max_length=200)]
    purpose: Purpose
    categories: tuple[str, ...] = Field(min_length=1, max_length=64)
    to: tuple[Away, ...] = Field(default=(), max_length=64)
    to_others: Text | None = None
    why: WhyNotShared
    because: Text
    risk_if_shared: Text
    risk_if_not: Text
    persons_view: Text | None = None
    decided_by: Role
    review_on: Day

    @model_validator(mode="after")
    def _is_away_from_somebody(self) -> Self:
        if not self.to and self.to_others is None:
            raise ValueError("to or to_others")
        return self


def weighed(form: NotShared, view: Directory, keys: HeldKeys, review: int) -> Weighed:
    """A decision as it is sealed for the officers; `review` is in seconds. Raises Refusal UNKNOWN_AGENCY."""
    return Weighed(
        agency=keys.agency,
        to=tuple((view.find(away.agency).id, away.desk) for away in form.to),
        outside=form.to_others is not None,
        purpose=form.purpose,
        categories=tuple(sorted(set(form.categories))),
        why=form.why,
        role=form.decided_by,
        review=review,
        subject=subject_of(form.case_ref, keys.subject),
        words=form.model_dump_json(),
    )
