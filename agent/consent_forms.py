"""What a case system says about an agreement, as strict models for the REST face and the commands (PROTOCOL.md J2)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from agent.forms import Json, Role
from schemas.envelope import Frozen
from schemas.lawful import KeptFor, Purpose
from schemas.messages.asked import Day
from schemas.messages.text import Text

Agency = Annotated[str, Field(min_length=1, max_length=120)]
Version = Annotated[int, Field(ge=0, le=2**31)]


class Ask(Frozen):
    """An answer to being asked again. What is left out of the lists stays as it was.

    `evidence` is the `consent.grant` form without type, v and gid. `own_accord`: the person raised it. `seen` is the
    version that the asker saw; another one refuses.
    """

    to: tuple[Agency, ...] | None = Field(default=None, min_length=1, max_length=63)
    purposes: tuple[Purpose, ...] | None = Field(default=None, min_length=1)
    categories: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=64)
    evidence: Json
    own_accord: bool = False
    seen: Version | None = None


class Refuse(Frozen):
    """The person said no. Nothing has to be given with it; before `ask_again_after` nobody asks again."""

    own_words: Text | None = None
    ask_again_after: Day | None = None
    own_accord: bool = False
    seen: Version | None = None


class CannotGive(Frozen):
    """A safeguarding lead assessed that the person cannot decide now. The note stays here."""

    best_interests: Text
    assessed_by: Role
    review_on: Day
    seen: Version | None = None


class Regain(Frozen):
    """The person can decide again, is old enough, or competent: they are asked afresh."""

    assessed_by: Role
    seen: Version | None = None


class Settle(Frozen):
    """A safeguarding lead settled what a stop at another agency means.

    everywhere: it ends here too. there: it holds for those agencies alone. asked-again: the person, asked alone, said
    that it goes on.
    """

    means: Literal["everywhere", "there", "asked-again"]
    role: Role
    alone: bool = False


class Answer(Frozen):
    """What became of everything that is held here under a withdrawn agreement; `passed_to` names members."""

    did: Literal["deleted", "kept"]
    why: KeptFor | None = None
    passed_to: tuple[Agency, ...] = Field(default=(), max_length=64)
    outside: bool = False

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if (self.did == "kept") != (self.why is not None):
            raise ValueError("keeping has a reason")
        return self
