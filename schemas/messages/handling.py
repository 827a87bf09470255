"""What goes round a message: needs, reasons, statements, the way back, visits (PROTOCOL.md M7: blocks B10 to B14)."""

from __future__ import annotations

from typing import Annotated, Literal

from schemas.categories import NOT_ASKED, Holds, When
from schemas.envelope import DeskId
from schemas.messages.asked import Asked, Block, Codes, Day
from schemas.messages.text import Short, Text

Strand = Literal[
    "da", "sv", "fgm", "forced_marriage", "stalking", "hba", "cse", "exploitation", "trafficking"
]
"""Kinds of harm. A case may carry several; men and boys are harmed by each of them too."""
FAMILY_STRANDS = frozenset({"fgm", "forced_marriage", "hba"})
"""Strands where family or community may be the danger: there may be one chance to help."""

Need = Literal[
    "housing",
    "money",
    "health",
    "mental_health",
    "substances",
    "legal",
    "immigration_advice",
    "parenting",
    "practical",
    "faith_culture",
    "disability",
]
Handling = Literal[
    "person_does_not_know",
    "do_not_phone",
    "do_not_text",
    "do_not_write",
    "do_not_visit",
    "no_family_contact",
    "named_desk_only",
    "small_community",
    "source_protected",
    "sl_copied",
    "none",
]
AlsoHolds = Literal["special", "criminal"]
Visit = Literal["ok", "in_pairs", "no"]
StatementKind = Literal["fact", "reported", "opinion"]

_SPECIAL_STRANDS = When(frozenset({"sv", "fgm"}), marks="S")
_HEALTH_NEEDS = When(frozenset({"health", "mental_health", "substances", "disability"}), "health")

Strands = Annotated[Codes[Strand], Holds("ask", "O", (_SPECIAL_STRANDS,))]
Needs = Annotated[Asked[Codes[Need]], Holds("needs", "S", (_HEALTH_NEEDS,))]
"""B10. Help wanted, never status: `immigration_advice` says that advice is wanted and nothing else."""
HandlingBanner = Annotated[Asked[Codes[Handling]], Holds("contact", "O")]
"""B11's handling codes, at the top of the form: a desk reads them before it reads anything else.

They go with `contact`, not with `reasons`: a limit on reasons must never take "do not phone" off a message.
"""
FreeTextHolds = Annotated[
    Asked[Codes[AlsoHolds]],
    Holds(None, "O", (When(frozenset({"special"}), marks="S"), When(frozenset({"criminal"}), marks="C"))),
]
"""The author's own word that the free text touches on article 9 or offence data: no program can tell."""


class Reasons(Block):
    """B11. The sealed twin of the header's legal codes: why, in words."""

    necessity: Annotated[Text, Holds("reasons", "P")]
    told_detail: Annotated[Text, Holds("reasons", "P")]
    why_no_text: Annotated[Asked[Text], Holds("reasons", "P")] = NOT_ASKED
    risk_if_shared: Annotated[Asked[Text], Holds("reasons", "P")] = NOT_ASKED
    risk_if_not: Annotated[Asked[Text], Holds("reasons", "P")] = NOT_ASKED
    authoriser_name_role: Annotated[Asked[Short], Holds("reasons", "O")] = NOT_ASKED


class Statement(Block):
    """B12. One thing that was seen, reported or thought, and by whom: never all three in one sentence.

    Marked special and criminal as a whole: in a safeguarding concern it nearly always is, and no program can tell.
    """

    text: Annotated[Text, Holds("statements", "SC")]
    kind: Annotated[StatementKind, Holds("statements", "O")]
    said_by_role: Annotated[Short, Holds("statements", "T")]
    date: Annotated[Asked[Day], Holds("statements", "O")] = NOT_ASKED


class ReplyTo(Block):
    """B13. The desk of the sending agency that waits for the answer."""

    desk: Annotated[DeskId, Holds(None, "O")]
    ooh_desk: Annotated[Asked[DeskId], Holds(None, "O")] = NOT_ASKED
    worker_role: Annotated[Asked[Short], Holds(None, "O")] = NOT_ASKED


class StaffSafety(Block):
    """B14. Shown before an address or a number is."""

    visit: Annotated[Visit, Holds("staff_safety", "O")]
    hazard: Annotated[Asked[Text], Holds("staff_safety", "CT")] = NOT_ASKED
