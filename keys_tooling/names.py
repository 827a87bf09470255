"""The names of desks, which people read and choose by. Agencies' names are schemas.names. Pure."""

from __future__ import annotations

import re

from schemas.errors import Refusal

MAX_DESKS = 32
_DESK = re.compile(r"[a-z][a-z0-9-]{0,31}")


def check_desks(desks: tuple[str, ...]) -> tuple[str, ...]:
    """The desks, if each is a desk id and none stands twice.

    Raises:
        Refusal: SETTINGS.
    """
    if not 1 <= len(desks) <= MAX_DESKS or len(set(desks)) != len(desks):
        raise Refusal(
            "SETTINGS", "An agency has 1 to 32 desks, each named once. Correct --desk.", detail=("desk",)
        )
    if not all(_DESK.fullmatch(desk) for desk in desks):
        raise Refusal(
            "SETTINGS",
            "A desk is a role in small letters, digits and hyphens, such as 'referrals'. Correct --desk.",
            detail=("desk",),
        )
    return desks
