"""Why an officer opens entries, and what she does with them (PROTOCOL.md U2). Codes only; nothing else is loaded."""

from __future__ import annotations

from typing import Literal, get_args

Act = Literal["read", "query", "report", "export", "headers", "handover", "shares"]
"""What the officer does with the entries. `export` takes them out of her folder, opened."""
Why = Literal[
    "routine",
    "access_request",
    "complaint",
    "breach",
    "review",
    "court_order",
    "regulator",
    "handover",
    "other",
]
"""Why. `routine` is what her post asks of her: the weekly, monthly and quarterly look."""
WORDS = 500
"""Letters that she may add in her own words."""
WHYS: tuple[Why, ...] = get_args(Why)
