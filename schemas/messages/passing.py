"""Asking whether a message may be passed on, and the answer (PROTOCOL.md M20, M21).

Rules of this house:
- both are about a message, named by its id, and about nobody: no words, so nothing of a person can get in;
- leave is for named agencies and one purpose, and only whoever wrote the message gives it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from schemas.categories import NOT_ASKED, Holds
from schemas.envelope import AgencyId, Id16
from schemas.lawful import Purpose
from schemas.messages.asked import Asked, Block, Codes, Day
from schemas.messages.handling import ReplyTo


class OnwardAsk(Block):
    """`onward.ask`, version 1: may this message of yours be passed on? Required: source, to, purpose, reply_to.desk."""

    type: Annotated[Literal["onward.ask"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    source: Annotated[Id16, Holds(None, "O")]
    to: Annotated[Codes[AgencyId], Holds("ask", "O")]
    purpose: Annotated[Purpose, Holds("ask", "O")]
    needed_by: Annotated[Asked[Day], Holds("ask", "O")] = NOT_ASKED
    reply_to: ReplyTo


class OnwardAnswer(Block):
    """`onward.answer`, version 1: it may, or may not. Required: source, to, purpose, answer, reply_to.desk."""

    type: Annotated[Literal["onward.answer"], Holds(None, "O")]
    v: Annotated[Literal[1], Holds(None, "O")]
    source: Annotated[Id16, Holds(None, "O")]
    to: Annotated[Codes[AgencyId], Holds("response", "O")]
    purpose: Annotated[Purpose, Holds("response", "O")]
    answer: Annotated[Literal["yes", "no"], Holds("response", "O")]
    until: Annotated[Asked[Day], Holds("response", "O")] = NOT_ASKED
    reply_to: ReplyTo
