"""The consent rule: one pure table that decides whether a message may pass (PROTOCOL.md C7-C12).

Rules of this house:
- every row is evaluated; the strictest outcome wins: BLOCK > HOLD > DELIVER+ALERT > DELIVER;
- two exceptions, and no third: a statutory duty (row 12) switches off the rows about agreement, and break-glass
  (row 16) turns a HOLD and the blocks named in BREAKABLE into DELIVER+ALERT;
- a paperwork fault never stops a RED; a clear "no" always stops a GREEN;
- the sender's agent warns with it, the relay gates with it, the recipient checks with it, an auditor re-derives it.

Row numbers are those of the partnership's rule table. Rows that need statements which this version does not carry
yet (overrides, requests for information, onward conditions) join the same table when it does; until then what they
would permit is refused, and what no row foresees is held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from schemas.directory import Party
from schemas.envelope import Header, Law
from schemas.errors import KINDS
from schemas.lawful import DUTY_GATEWAYS, Agreement, Gateway
from schemas.policy import Policy

Coverage = Literal["none", "covers", "outside", "withdrawn", "stale", "unknown"]
"""What is provable about the agreement that a header names: none is named, it covers this message, it does not,
it was withdrawn, its status is older than a day, or nobody holds such an agreement."""


class Outcome(IntEnum):
    """What happens to the message, mildest first."""

    DELIVER = 0
    DELIVER_ALERT = 1
    HOLD = 2
    BLOCK = 3


@dataclass(frozen=True, slots=True)
class OverrideFacts:
    """What is known of the override that covers a message: who asked, who authorised, in which role, for what.

    `valid`: both signatures hold, by keys that count, within its dates. `covers`: it is for this message and everybody
    in it. `author` and `authoriser` are whatever tells two people apart; `authoriser_role` is a role of the policy.
    """

    authoriser_role: str
    author: str
    authoriser: str
    scope: Literal["msg", "thread"]
    valid: bool
    covers: bool
    reason: str


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """What is known of the request that an answer names: whether it is open, and which categories were asked for."""

    open: bool
    asked: frozenset[str]


@dataclass(frozen=True, slots=True)
class OnwardFacts:
    """What its source said of a message that is passed on: its onward code, its purpose, whether leave was given."""

    source: str
    purpose: str
    granted: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the rule may know. `parties` are the recipients, in header order.

    `policy` is the one in force at `now`; None when it cannot be had. `switched` says that the agreement which the
    message names was withdrawn before it was written, so that another basis came in its place. `leads` says
    whether the sender's agency has a safeguarding lead whose key counts.
    """

    header: Header
    coverage: Coverage
    sender: Party
    parties: tuple[Party, ...]
    policy: Policy | None
    now: int
    override: OverrideFacts | None = None
    request: RequestFacts | None = None
    onward: OnwardFacts | None = None
    switched: bool = False
    leads: bool = True

    @property
    def law(self) -> Law:
        return self.header.law

    @property
    def agree(self) -> Agreement:
        """The agreement as it really stands: a withdrawal on record outweighs what the header says.

        Only a refusal, and a capacity that was lost since, say more than the record does; "not asked" says less.
        """
        said = self.law.agree
        gone = self.coverage == "withdrawn" and said not in ("REFUSED", "CANNOT_GIVE")
        return "WITHDRAWN" if gone else said

    @property
    def personal(self) -> bool:
        """Whether it is about somebody; a "none" that the same header contradicts does not open the gate."""
        law, header = self.law, self.header
        marked = law.spec or law.crim or law.child or law.adult_at_risk
        about = header.cls in ("REFER", "SAFEGUARD") or not IMPERSONAL.issuperset(header.cat)
        return law.pd == "personal" or marked or about

    @property
    def red(self) -> bool:
        return self.header.rag == "RED"

    @property
    def agreed(self) -> bool:
        return self.agree in ("GIVEN", "LIMITED")

    @property
    def unasked(self) -> bool:
        return self.agree in ("NOT_SOUGHT", "EXPIRED", "CANNOT_GIVE", "NOT_APPLICABLE")

    @property
    def said_no(self) -> bool:
        """She said no to this: refused, withdrew, or agreed to something else (row 9)."""
        return self.agree in ("REFUSED", "WITHDRAWN") or (self.agreed and self.coverage == "outside")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row's word."""

    outcome: Outcome
    code: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: its number and what it says of these facts, or None when it does not speak."""

    number: int
    judge: Callable[[Facts], Verdict | None]


@dataclass(frozen=True, slots=True)
class Decision:
    """The rule's answer: the outcome, a refusal code when it does not pass, and the rows that decided."""

    outcome: Outcome
    code: str
    rows: tuple[int, ...]

    @property
    def passes(self) -> bool:
        return self.outcome <= Outcome.DELIVER_ALERT

    @property
    def next_step(self) -> str:
        return KINDS[self.code].say if self.code else ""


IMPERSONAL = frozenset({"ask", "reasons", "response"})
"""The only categories that a message about nobody may name."""
BREAKABLE = frozenset({"SCOPE", "REFUSED", "REASON", "GRANT"})
SWITCHED_OFF_BY_DUTY = frozenset({9, 10, 11, 13, 14, 15, 17})
NEVER_BROKEN = frozenset({1, 3, 6, 13, 20})
DELIVER = Verdict(Outcome.DELIVER)
ENQUIRERS = frozenset({"childrens_services", "police", "health", "education"})
"""Who makes, or must help with, enquiries about a child at risk (Children Act 1989 s.47)."""


def _all_in(parties: tuple[Party, ...], sectors: frozenset[str]) -> bool:
    return all(party.sector in sectors for party in parties)


# Every recipient must be inside the gateway: a duty towards one desk is no reason to tell the desk beside it.
OPEN: Mapping[Gateway, Callable[[Party, tuple[Party, ...]], bool]] = {
    "CDA-115": lambda _, to: all(p.flags.cda_relevant for p in to),
    "CA04-16LA": lambda sender, to: all(p.flags.s16la_member for p in (sender, *to)),
    "CA89-47": lambda _, to: _all_in(to, ENQUIRERS),
    "DAA21": lambda sender, to: sender.sector == "police" and _all_in(to, frozenset({"education"})),
    "FGM-5B": lambda _, to: _all_in(to, frozenset({"police"})),
}
"""The gateways with a party test (C9): whether this sender and these recipients are inside."""


def _paper(facts: Facts, code: str) -> Verdict:
    """A fixable fault: a RED goes and rings a bell, anything else waits for the fix."""
    return Verdict(Outcome.DELIVER_ALERT if facts.red else Outcome.BLOCK, code)


def _no_personal_data(facts: Facts) -> Verdict | None:
    return None if facts.personal else DELIVER


def _special(facts: Facts) -> Verdict | None:
    return _paper(facts, "PAPER_SPECIAL") if facts.law.spec and facts.law.b9 is None else None


def _criminal(facts: Facts) -> Verdict | None:
    law = facts.law
    authority = facts.sender.flags.public_authority and law.b6 in ("6e", "LE")
    bare = not law.s1 and (law.hc is None or not law.hc.s1)
    return _paper(facts, "PAPER_CRIMINAL") if law.crim and bare and not authority else None


def _at_risk(facts: Facts) -> Verdict | None:
    law = facts.law
    named = "s1:18" in law.s1 or (law.hc is not None and "s1:18" in law.hc.s1)
    return _paper(facts, "PAPER_RISK") if named and not (law.child or law.adult_at_risk) else None


def _incapable(facts: Facts) -> Verdict | None:
    law = facts.law
    named = law.b9 == "9c" or "s1:30" in law.s1
    return _paper(facts, "PAPER_INCAPABLE") if named and facts.agree != "CANNOT_GIVE" else None


def _public_basis(facts: Facts) -> Verdict | None:
    bases = (facts.law.b6, None if facts.law.hc is None else facts.law.hc.b6)
    private = any(basis is not None and basis.startswith(("6f", "6ea:")) for basis in bases)
    return _paper(facts, "PAPER_PUBLIC") if private and facts.sender.flags.public_authority else None


def _gateway(facts: Facts) -> Verdict | None:
    shut = any(gw in OPEN and not OPEN[gw](facts.sender, facts.parties) for gw in facts.law.gw)
    return _paper(facts, "PAPER_GATEWAY") if shut else None


def _presumed(facts: Facts) -> Verdict | None:
    presumes = {"s1:10", "s1:18"} & set(facts.law.s1)
    return _paper(facts, "PAPER_PRESUMED") if presumes and facts.agree == "GIVEN" else None


def _unbased(facts: Facts) -> Verdict | None:
    return _paper(facts, "PAPER_BASIS") if facts.personal and facts.law.b6 is None else None


def _consent_only(facts: Facts) -> Verdict | None:
    inside = facts.agreed and facts.coverage == "covers"
    return Verdict(Outcome.BLOCK, "CONSENT_ONLY") if facts.law.consent_only and not inside else None


def _within(facts: Facts) -> Verdict | None:
    return DELIVER if facts.agreed and facts.coverage == "covers" else None


def _unproven(facts: Facts) -> Verdict | None:
    unproven = facts.agreed and facts.coverage in ("none", "stale", "unknown")
    return _paper(facts, "GRANT") if unproven and facts.personal else None


def _no_reason(facts: Facts) -> Verdict | None:
    silent = facts.unasked and facts.law.why_no is None and facts.personal
    return _paper(facts, "REASON") if silent else None


def _unasked(facts: Facts) -> Verdict | None:
    if not (facts.unasked and facts.law.why_no in ("A", "B", "C", "D")):
        return None
    if facts.red:
        return Verdict(Outcome.DELIVER_ALERT, "LEAD_AFTER")
    if facts.header.rag == "AMBER" or facts.agree == "CANNOT_GIVE":
        return Verdict(Outcome.HOLD, "HOLD_LEAD")
    return Verdict(Outcome.BLOCK, "ASK_FIRST")


def _duty(facts: Facts) -> Verdict | None:
    # Every one of these duties is owed to a child; without one in the message, naming a duty is only a word.
    named = facts.law.child and DUTY_GATEWAYS.intersection(facts.law.gw)
    owed = facts.law.why_no == "E" and named and _gateway(facts) is None
    return DELIVER if owed else None


def _basis_gone(facts: Facts) -> Verdict | None:
    rests = facts.law.b6 == "6a" or facts.law.b9 == "9a"
    return Verdict(Outcome.BLOCK, "BASIS") if facts.said_no and rests else None


def _overriding(facts: Facts) -> Verdict | None:
    asked = facts.said_no and facts.law.why_no == "G" and facts.header.rag != "GREEN"
    return Verdict(Outcome.HOLD, "HOLD_LEAD") if asked else None


def _refused(facts: Facts) -> Verdict | None:
    final = facts.said_no and (facts.header.rag == "GREEN" or facts.law.why_no is None)
    code = "SCOPE" if facts.coverage == "outside" and facts.agreed else "REFUSED"
    return Verdict(Outcome.BLOCK, code) if final else None


def _break_glass(facts: Facts) -> Verdict | None:
    return Verdict(Outcome.DELIVER_ALERT, "LEAD_AFTER") if facts.red and facts.law.why_no == "F" else None


def _no_request(facts: Facts) -> Verdict | None:
    # This version carries no requests, so no answer can point at an open one.
    return _paper(facts, "NO_REQUEST") if facts.header.cls == "INFOGIVE" else None


def _unattested(facts: Facts) -> Verdict | None:
    # `vir` is empty in this version, so no request can carry what row 20 asks for.
    return Verdict(Outcome.BLOCK, "VIR") if facts.header.cls == "INFOREQ" else None


def _unforeseen(facts: Facts) -> Verdict | None:
    foreseen = facts.header.cls in (
        "REFER",
        "RESPOND",
        "UPDATE",
        "SAFEGUARD",
        "CONSENT",
        "DIRECTORY",
        "ADMIN",
        "INFOREQ",
        "INFOGIVE",
    )
    reasoned = (
        facts.law.why_no not in ("E", "F", "G") or facts.red or facts.said_no or _duty(facts) is not None
    )
    if foreseen and reasoned:
        return None
    return Verdict(Outcome.DELIVER_ALERT if facts.red else Outcome.HOLD, "UNFORESEEN")


def _override(facts: Facts) -> Verdict | None:
    return _paper(facts, "OVERRIDE") if facts.header.ovr is not None else None


TABLE: tuple[Row, ...] = (
    Row(2, _no_personal_data),
    Row(5, _special),
    Row(5, _criminal),
    Row(5, _at_risk),
    Row(5, _incapable),
    Row(5, _public_basis),
    Row(5, _gateway),
    Row(5, _presumed),
    Row(5, _unbased),
    Row(6, _consent_only),
    Row(7, _within),
    Row(9, _unproven),
    Row(10, _no_reason),
    Row(11, _unasked),
    Row(12, _duty),
    Row(13, _basis_gone),
    Row(14, _overriding),
    Row(15, _refused),
    Row(16, _break_glass),
    Row(18, _override),
    Row(19, _no_request),
    Row(20, _unattested),
    Row(23, _unforeseen),
)


def decide(facts: Facts) -> Decision:
    """Whether this message may pass, why, and what to do if not (C7)."""
    spoken = [(row.number, verdict) for row in TABLE if (verdict := row.judge(facts)) is not None]
    numbers = {number for number, _ in spoken}
    if 12 in numbers:
        spoken = [(n, v) for n, v in spoken if n not in SWITCHED_OFF_BY_DUTY]
    if 16 in numbers:
        spoken = [(n, _broken(n, v)) for n, v in spoken]
    if not spoken:
        spoken = [(23, Verdict(Outcome.DELIVER_ALERT if facts.red else Outcome.HOLD, "UNFORESEEN"))]
    worst = max(verdict.outcome for _, verdict in spoken)
    deciding = [(n, v) for n, v in spoken if v.outcome == worst]
    code = "" if worst == Outcome.DELIVER else next((v.code for _, v in deciding if v.code), "")
    return Decision(worst, code, tuple(sorted({n for n, _ in deciding})))


def _broken(number: int, verdict: Verdict) -> Verdict:
    stopped = verdict.outcome == Outcome.HOLD or (
        verdict.outcome == Outcome.BLOCK and verdict.code in BREAKABLE
    )
    if stopped and number not in NEVER_BROKEN:
        return Verdict(Outcome.DELIVER_ALERT, "LEAD_AFTER")
    return verdict
