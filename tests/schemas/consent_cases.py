"""Headers, parties and facts for the tests of the consent rule."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.canonical import encode
from schemas.consent import decide
from schemas.decision import Decision, Outcome
from schemas.directory import Party
from schemas.directory_statement import Flags
from schemas.envelope import Address, Header, Law, Recipient
from schemas.facts import Facts, OnwardFacts, OverrideFacts, RequestFacts
from schemas.policy import Policy, founding
from tests.tools.forge import LAW, b
from tests.tools.vector_world import ALDER, BIRCH, CEDAR, T0, seed

POLICY = founding()
PRIVATE = Flags(public_authority=False, s16la_member=False, cda_relevant=False)
PUBLIC = Flags(public_authority=True, s16la_member=True, cda_relevant=True)
CHARITY, CLINIC, SCHOOL = (Party(PRIVATE, sector) for sector in ("da_support", "health", "education"))
COUNCIL, POLICE = Party(PUBLIC, "childrens_services"), Party(PUBLIC, "police")
GO, ALERT, HOLD, STOP = Outcome.DELIVER, Outcome.DELIVER_ALERT, Outcome.HOLD, Outcome.BLOCK
UNASKED = {"agree": "NOT_SOUGHT", "agree_by": None, "agree_ver": None, "b6": "6f"}
NO = {**UNASKED, "agree": "REFUSED"}
DUTY = {"why_no": "E", "gw": ("CA89-47",), "child": True}


def header(law: dict[str, Any], **fields: Any) -> Header:
    block = {
        **{name: tuple(value) if isinstance(value, list) else value for name, value in LAW.items()},
        **law,
    }
    base = {
        "v": 1, "mid": b(seed("m")[:16]), "thr": b(seed("t")[:16]), "from": Address(a=ALDER.id, d="duty"), "signer": ALDER.msg.kid,
        "to": (Recipient(a=BIRCH.id, d="idva", k=BIRCH.prekey.kid),), "ts": T0, "exp": T0 + 60, "cls": "REFER", "rag": "AMBER",
        "pur": "SUPPORT", "cat": ("ask", "person"), "law": Law(**block), "gid": None, "ovr": None, "st": None, "att": (),
        "kc": b(seed("k")), "ar": b(seed("a")),
    }  # fmt: skip
    return Header.model_validate({**base, **fields})


def changed(**fields: Any) -> Policy:
    """The founding policy with some of its parts replaced."""
    return Policy.parse(encode({**json.loads(POLICY.text), **fields}))


UNSHARED = changed(agreements=[])
NO_GLASS = changed(break_glass=False)
SIGNED = OverrideFacts("lead", "author-1", "lead-1", "msg", valid=True, covers=True, reason="G")
THREAD = replace(SIGNED, scope="thread")
NOBODY = OverrideFacts("", "", "", "msg", valid=False, covers=False, reason="G")
ALONE = replace(SIGNED, authoriser="author-1")
CLERK = replace(SIGNED, authoriser_role="author")
OPEN = RequestFacts(open=True, asked=frozenset({"ask", "person", "risk"}))
KEEP = OnwardFacts("NONE", "SUPPORT", granted=False)


@dataclass(frozen=True)
class Case:
    """What is asked, and the answer: outcome, code, and one row that must be among those that decided."""

    name: str
    row: int
    outcome: Outcome
    code: str = ""
    law: dict[str, Any] = field(default_factory=dict)
    rag: str = "AMBER"
    coverage: str = "covers"
    sender: Party = CHARITY
    parties: tuple[Party, ...] = (CLINIC,)
    cls: str = "REFER"
    more: dict[str, Any] = field(default_factory=dict)
    known: dict[str, Any] = field(default_factory=dict)
    """What else is known: policy, now, override, request, onward, switched, leads."""

    def facts(self) -> Facts:
        fields = {"rag": self.rag, "cls": self.cls, **self.more}
        to = tuple(Recipient(a=CEDAR.id, d=f"d{n}", k=CEDAR.prekey.kid) for n in range(len(self.parties)))
        known = {"policy": POLICY, "now": T0, **self.known}
        return Facts(header(self.law, to=to, **fields), self.coverage, self.sender, self.parties, **known)

    def decision(self) -> Decision:
        return decide(self.facts())
