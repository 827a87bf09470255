"""What the override desk may be asked, as strict models (PROTOCOL.md O4-O9)."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from agent.forms import To
from schemas.envelope import DeskId, Frozen, Hash32, Id16
from schemas.lawful import Basis, Purpose, WhyNo


class ThreadAsk(Frozen):
    """A whole thread of risk, with named desks, for at most four weeks."""

    thread: Id16
    to: tuple[To, ...] = Field(min_length=1, max_length=64)
    from_desk: DeskId
    categories: tuple[str, ...] = Field(min_length=1, max_length=64)
    purpose: Purpose
    basis: Basis
    why: WhyNo = "G"
    days: Annotated[int, Field(ge=1, le=28)]


class OverrideAsk(Frozen):
    """An author's request for one message that waits or has gone (`mid`), or for a thread; `author` is her key's id.

    `basis` and `why` are for a message that names none itself; `basis` also for one that has gone on another basis
    than it should have. Left out, they are the message's own.
    """

    author: Hash32
    reason: Annotated[str, Field(min_length=1, max_length=4000)]
    mid: Id16 | None = None
    basis: Basis | None = None
    why: WhyNo | None = None
    thread: ThreadAsk | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        if (self.mid is None) == (self.thread is None):
            raise ValueError("either mid or thread")
        if self.thread is not None and (self.basis, self.why) != (None, None):
            raise ValueError("a thread names its own basis and reason")
        return self


class Requested(Frozen):
    """The author's signature over the core that was drafted."""

    s: Annotated[str, Field(max_length=100)]


class Authorise(Frozen):
    """The lead's signed statement."""

    s: Annotated[str, Field(max_length=100)]
    t: Annotated[str, Field(max_length=16 * 1024)]
