"""The closed lists of codes that a header, or a member's entry, may carry (PROTOCOL.md H3, K14).

Nothing here is free text, and there is no code for immigration enforcement. Codes name the law of England in 2026:
UK GDPR articles 6 and 9, Data Protection Act 2018 schedule 1, the Data (Use and Access) Act 2025 annex 1 list, and
the statutes that open a gateway. Which of them fit together is the consent rule's business (schemas.consent).
"""

from __future__ import annotations

from typing import Literal, get_args

MessageClass = Literal[
    "REFER",
    "RESPOND",
    "UPDATE",
    "SAFEGUARD",
    "MEETING",
    "INFOREQ",
    "INFOGIVE",
    "CONSENT",
    "CORRECT",
    "DIRECTORY",
    "FEEDBACK",
    "ADMIN",
]
Rag = Literal["RED", "AMBER", "GREEN"]
Purpose = Literal[
    "SUPPORT",
    "RISK_MGMT",
    "CHILD_PROT",
    "ADULT_PROT",
    "CRIME",
    "HOUSING",
    "HEALTH",
    "FORUM",
    "RIGHTS",
    "STATS",
]
Agreement = Literal[
    "GIVEN",
    "LIMITED",
    "NOT_SOUGHT",
    "REFUSED",
    "WITHDRAWN",
    "EXPIRED",
    "CANNOT_GIVE",
    "NOT_APPLICABLE",
]
AgreedBy = Literal["SELF", "CHILD_COMPETENT", "PR_NOT_HARM", "ATTORNEY", "BEST_INTERESTS"]
PersonalData = Literal["none", "personal"]
Basis = Literal[
    "6a",
    "6c",
    "6d",
    "6e",
    "6ea:safeguarding",
    "6ea:emergency",
    "6ea:crime",
    "6ea:request",
    "6ea:security",
    "6f",
    "LE",
]
SpecialCondition = Literal["9a", "9c", "9f", "9g", "9h"]
Schedule1 = Literal[
    "s1:6",
    "s1:8",
    "s1:10",
    "s1:17",
    "s1:18",
    "s1:19",
    "s1:29",
    "s1:30",
    "s1:33",
    "s1:36",
]
Gateway = Literal[
    "CA04-16LA",
    "CA89-17",
    "CA89-47",
    "CA04-10/11",
    "CA04-16H",
    "CARE-42",
    "CARE-45",
    "CARE-6",
    "CDA-115",
    "DAA21",
    "HA-213B",
    "MSA-52",
    "FGM-5B",
    "CJA-325",
    "PCSC-44A",
    "MCA",
    "CLDC",
]
Confidence = Literal["agreement", "public_interest", "statute"]
WhyNo = Literal["A", "B", "C", "D", "E", "F", "G"]
Told = Literal["YES", "BY", "UNSAFE", "NA"]
Onward = Literal["NONE", "ASK", "WITHIN_PURPOSE"]
Retention = Literal["R1", "R2", "R3", "R4", "R5", "R6"]
ReceiptState = Literal["collected", "opened", "taken-on", "rejected"]
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
RejectReason = Literal["wrong-recipient", "over-shared", "cannot-read", "no-authority", "gate-fault"]
"""Why a recipient gives a message back. gate-fault is said by its agent alone: the relay should have stopped it."""
KeptFor = Literal["legal-duty", "safeguarding", "legal-claims", "own-record"]
"""Why a recipient keeps something although the agreement that it came under was withdrawn."""

RAGS: tuple[Rag, ...] = get_args(Rag)
"""Most urgent first: the order in which a mailbox hands out what waits."""
GATEWAYS: tuple[Gateway, ...] = get_args(Gateway)
SECTORS: tuple[Sector, ...] = get_args(Sector)
"""What kind of agency a member is; the header does not carry it, the directory does (K14)."""
DUTY_GATEWAYS: frozenset[Gateway] = frozenset({"CA04-16LA", "CA89-47", "DAA21", "FGM-5B"})
"""Gateways under which a statute requires the sharing (why_no = E)."""
