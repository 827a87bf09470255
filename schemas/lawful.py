"""The codes that a header, or a member's entry, may carry (PROTOCOL.md H3, K14).

What the programs turn on is a closed list here. What the law and the partnership may add to (bases, gateways,
purposes, reasons) is only spelt here: which of them there are is the policy's business (schemas.vocabulary), and
which fit together the consent rule's (schemas.consent). Nothing is free text.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

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
_Short = Field(max_length=32)
Purpose = Annotated[str, _Short, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]
Agreement = Annotated[str, _Short, Field(pattern=r"^[A-Z][A-Z_]*$")]
"""How the person's agreement stands: a word in capitals, so that no "Yes" or "true" is ever taken for one."""
AgreedBy = Annotated[str, _Short, Field(pattern=r"^[A-Z][A-Z_]*$")]
Basis = Annotated[str, _Short, Field(pattern=r"^([0-9][0-9a-z]*(:[a-z]+)?|[A-Z]+)$")]
SpecialCondition = Annotated[str, _Short, Field(pattern=r"^9[a-z]+$")]
Schedule1 = Annotated[str, _Short, Field(pattern=r"^s1:[0-9]+[A-Z]*$")]
Gateway = Annotated[str, _Short, Field(pattern=r"^[A-Z][A-Z0-9/-]*$")]
Confidence = Annotated[str, _Short, Field(pattern=r"^[a-z][a-z_]*$")]
WhyNo = Annotated[str, _Short, Field(pattern=r"^[A-Z]$")]
Told = Annotated[str, _Short, Field(pattern=r"^[A-Z][A-Z_]*$")]
Onward = Annotated[str, _Short, Field(pattern=r"^[A-Z][A-Z_]*$")]
Attestation = Annotated[str, _Short, Field(pattern=r"^[A-Z][A-Z-]*$")]
PersonalData = Literal["none", "personal"]
Retention = Literal["R1", "R2", "R3", "R4", "R5", "R6"]
ReceiptState = Literal["collected", "opened", "taken-on", "rejected"]
RejectReason = Literal[
    "wrong-recipient", "over-shared", "cannot-read", "no-authority", "gate-fault", "not-confirmed"
]
"""Why a recipient gives a message back. Two are said by its agent alone: gate-fault, the relay should have stopped it;
not-confirmed, nobody said in time that the agreement still stands."""
KeptFor = Literal["legal-duty", "safeguarding", "legal-claims", "own-record"]
"""Why a recipient keeps something although the agreement that it came under was withdrawn."""

RAGS: tuple[Rag, ...] = get_args(Rag)
"""Most urgent first: the order in which a mailbox hands out what waits."""
