"""What kind of agency a member is; the header does not carry it, the directory does (PROTOCOL.md K14).

Nothing else is imported here: command lines offer these before anything heavy is loaded.
"""

from __future__ import annotations

from typing import Literal, get_args

Sector = Literal[
    "da_support",
    "idva",
    "sarc",
    "isva",
    "rape_crisis",
    "childrens_services",
    "adult_care",
    "police",
    "health",
    "education",
    "housing",
    "probation",
    "advice",
    "behaviour_change",
    "other",
]
SECTORS: tuple[Sector, ...] = get_args(Sector)
