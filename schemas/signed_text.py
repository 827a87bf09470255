"""A statement inside another, whole: what is signed over it covers its signature too (PROTOCOL.md F7)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.envelope import Frozen
from schemas.signing import STATEMENT_LIMIT


class SignedText(Frozen):
    """A signed statement inside another."""

    s: Annotated[str, Field(max_length=100)]
    t: Annotated[str, Field(max_length=STATEMENT_LIMIT)]
