"""JSON that a case system or a worker wrote: read strictly, or refused with where to look (PROTOCOL.md F3).

Nothing heavy is imported, so that a command starts at once; and nothing that somebody wrote is repeated.
"""

from __future__ import annotations

import json

from agent.limits import FORM_LIMIT
from schemas.canonical import Json, strict_json
from schemas.errors import Refusal

TAKEN = "UTF-8, nothing twice in one object, whole numbers only, at most 32 levels deep"


def legible(data: bytes) -> Json:
    """What these bytes say. Raises Refusal TOO_BIG, FORM."""
    try:
        return strict_json(data, FORM_LIMIT)
    except Refusal as refusal:
        if refusal.code != "FORM":
            raise
        raise Refusal("FORM", _sentence(refusal.__cause__)) from None


def _sentence(cause: BaseException | None) -> str:
    if isinstance(cause, json.JSONDecodeError):
        return f"This is not JSON: look at line {cause.lineno}, character {cause.colno}. Correct it, and try again."
    return f"This is not JSON as it is taken here: {TAKEN}. Correct it, and try again."
