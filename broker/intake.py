"""Whether an envelope is taken: a pure decision (PROTOCOL.md I1-I13, C7-C12).

Rules of this house:
- `examine` asks only what the bytes and a key can answer, and runs before the transaction;
- `judge` asks everything that can change meanwhile, and runs inside it;
- what is refused for its agreement sounds the same whether the agreement is unknown, withdrawn or not for this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.turn import Agreement
from schemas.api import UPLOAD_LIMIT
from schemas.canonical import Json, b64
from schemas.consent import decide
from schemas.covering import NONE, Weighed
from schemas.decision import Decision, Outcome
from schemas.directory import Directory, Key
from schemas.directory_lookup import standing
from schemas.envelope import Envelope, Header, Upload
from schemas.errors import Refusal
from schemas.facts import Coverage, Facts, OverrideFacts, RequestFacts
from schemas.grants import check_grant, check_scope, parse_withdrawal, uncovered, written_after
from schemas.hashing import labelled
from schemas.keys import Use
from schemas.override import Override, leads
from schemas.policy import Policy
from schemas.record import SealedRecord
from schemas.recorded import print_facts
from schemas.references import onward_facts
from schemas.signing import Check, Purpose

MAX_SKEW = 300
SEALED_LATE = "The key that this is sealed to was revoked. Fetch the directory and seal it again."
"""How far a message's time may be from the relay's, in seconds."""
AUTHORISER = 18
"""The row that says what is wrong with an override."""
SAID_OF_ALL = frozenset(
    {
        "VOCABULARY", "POLICY", "PURPOSE", "NO_AGREEMENT", "PAPER_SPECIAL", "PAPER_CRIMINAL", "PAPER_RISK",
        "PAPER_INCAPABLE", "PAPER_PUBLIC", "PAPER_GATEWAY", "PAPER_BASIS", "PAPER_DATES", "PAPER_TOLD", "NO_REQUEST",
        "VIR", "ONWARD",
    }
)  # fmt: skip
"""What the rule says of a header whatever its agreement is: it may be told beside an agreement that is hidden."""
HIDDEN: frozenset[Coverage] = frozenset({"outside", "withdrawn", "unknown"})
"""What a stranger must not be able to tell apart: no such agreement, one that ended, one that is not for this."""


@dataclass(frozen=True, slots=True)
class Examined:
    """An upload whose form, wraps and record hold, and its signature once `check` does.

    `officers` are those its record names; under `mid_key` the relay remembers (sender, mid).
    """

    upload: Upload
    header: Header
    eid: bytes
    mid_key: bytes
    officers: tuple[str, ...]
    check: Check


@dataclass(frozen=True, slots=True)
class Accept:
    """It may pass. `alert` says that the rule rings a bell."""

    decision: Decision
    known: Facts

    @property
    def alert(self) -> bool:
        return bool(self.decision.outcome)


@dataclass(frozen=True, slots=True)
class Wait:
    """It waits for the sender's lead (O10)."""

    decision: Decision
    told: Refusal
    known: Facts


@dataclass(frozen=True, slots=True)
class Repeat:
    """It passed before; its leaf is at `index`."""

    index: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """It does not pass: what the sender is told, and the real code, for the sealed record only."""

    told: Refusal
    code: str
    rows: tuple[int, ...] = ()
    known: Facts | None = None
    """What the rule was asked about; None when it was not asked."""


def examine(data: bytes, requester: str, view: Directory) -> Examined:
    """Everything about an upload that its own bytes decide.

    Raises:
        Refusal: FORM, TOO_BIG, NOT_CANONICAL, VERSION, ATTACHMENTS, WRAPS, RECORD, NOT_ALLOWED, UNKNOWN_AGENCY,
            UNKNOWN_KEY.
    """
    if len(data) > UPLOAD_LIMIT:
        raise Refusal("TOO_BIG")
    upload = Upload.parse(data)
    envelope, header = upload.envelope, upload.envelope.header
    if header.sender.a != requester:
        raise Refusal("NOT_ALLOWED", "This was signed by another agency. Nothing was taken from it.")
    key = view.member(requester).keys.get(header.signer)
    if key is None or key.use != Use.MSG:
        raise Refusal("UNKNOWN_KEY")
    head = SealedRecord.parse(upload.record).head
    if head.w != "hpke" or head.ctx != header.mid:
        raise Refusal("RECORD")
    check = Check.of(key.public, Purpose.ENVELOPE, envelope.transcript, envelope.sig)
    mid_key = labelled("fenpost/v1/seen-mid", f"{header.sender.a}\x00{header.mid}".encode("ascii"))
    return Examined(upload, header, envelope.eid, mid_key, head.to, check)


def judge(
    item: Examined,
    view: Directory,
    agreement: Agreement | None,
    seen: Mapping[bytes, int | None],
    now: int,
    policy: Policy | None,
    override: Weighed = NONE,
    request: RequestFacts | None = None,
) -> Accept | Repeat | Wait | Refuse:
    """Whether this envelope passes, given everything the relay knows at this moment."""
    if (index := seen.get(item.eid)) is not None:
        return Repeat(index)
    try:
        check_times(item.header, now)
        check_parties(item.header, view, now)
        check_officers(item, view)
        if item.mid_key in seen:
            raise Refusal("ID_CLASH")
    except Refusal as refusal:
        return Refuse(refusal, refusal.code)
    coverage = covered(item.header, agreement, now)
    new_basis = switched(item.header, agreement)
    known = facts(
        item.header, coverage, view, policy, now, override.facts, new_basis=new_basis, request=request
    )
    decision = decide(known)
    if decision.passes:
        return Accept(decision, known)
    told = outward(item.header, coverage, decision)
    if AUTHORISER in decision.rows and (exact := override.code or wanting(item.header, view, now)):
        told = Refusal(exact)
    if decision.outcome == Outcome.HOLD:
        return Wait(decision, told, known)
    return Refuse(told, decision.code, decision.rows, known)


def check_times(header: Header, now: int) -> None:
    """Raises Refusal EXPIRED, FUTURE, CLOCK."""
    if header.ts - now > MAX_SKEW:
        raise Refusal("FUTURE")
    if header.exp <= now:
        raise Refusal("EXPIRED")
    if now - header.ts > MAX_SKEW:
        raise Refusal("CLOCK")


def check_parties(header: Header, view: Directory, now: int, came: int | None = None) -> None:
    """Every party is a member with that desk, the signer's key stands, every receiving key may be sealed to.

    Args:
        came: when the message came, if it waited here since: its signer's key counts as it was then.

    A sender's desk may have been closed since, as while its message waited (K14); there must be one that receives it.

    Raises:
        Refusal: UNKNOWN_AGENCY, UNKNOWN_DESK, LEFT, MOVED, UNKNOWN_KEY, REVOKED_KEY, STALE_KEY.
    """
    view.desk(header.sender.a, header.sender.d, header.ts)
    signer = view.key(header.signer, Use.MSG, header.ts, header.sender.a)
    # A message dated back by minutes must not outlive its key's revocation.
    standing(signer, now if came is None else came)
    for recipient in header.to:
        view.addressed(recipient.a, recipient.d, now, person=header.law.pd != "none")
        key = view.key(recipient.k, Use.PREKEY, header.ts, recipient.a)
        over = key.revoked is not None and now >= key.revoked
        # A thief may hold it; sealed afresh, nothing is lost. What waited here since cannot be: a key that was replaced
        # in the course of things still opens it.
        if over and (came is None or not _replaced(view, key)):
            raise Refusal("REVOKED_KEY", SEALED_LATE)


def _replaced(view: Directory, key: Key) -> bool:
    """Whether whoever ended this key only put another in its place."""
    return all(end.reason == "rotated" for end in view.agencies[key.agency].ends[key.kid])


def check_officers(item: Examined, view: Directory) -> None:
    """Raises Refusal OFFICERS unless the sender's record is sealed to exactly those whom policy asks for."""
    header = item.header
    asked = view.ig_keys({header.sender.a, *[r.a for r in header.to]}, header.ts)
    if list(item.officers) != sorted(asked):
        raise Refusal("OFFICERS")


def covered(header: Header, agreement: Agreement | None, now: int) -> Coverage:
    """What the relay can prove about the agreement that a header names."""
    if header.gid is None:
        return "none"
    if agreement is None or header.sender.a not in agreement.grant.parties():
        return "unknown"  # to whoever is no party to it, there is none (C11)
    if agreement.withdrawal is not None:
        return "withdrawn"
    found = agreement.statuses.get(header.st or "")
    status = found or max(agreement.statuses.values(), key=lambda one: one[0].exp, default=None)
    try:
        if status is None:  # forgotten when it was over; what she ruled out stays a no
            check_scope(header, agreement.grant)
            raise Refusal("STATUS_STALE")
        check_grant(header, agreement.grant, status[0], now)
    except Refusal as refusal:
        return uncovered(refusal.code)
    return "covers" if found else "stale"


def switched(header: Header, agreement: Agreement | None) -> bool:
    """Whether the message was written after its agreement, one of the sender's own, was withdrawn."""
    if agreement is None or agreement.withdrawal is None or header.sender.a not in agreement.grant.parties():
        return False
    return written_after(header, parse_withdrawal(agreement.withdrawal))


def facts(
    header: Header,
    coverage: Coverage,
    view: Directory,
    policy: Policy | None,
    now: int,
    override: OverrideFacts | None = None,
    *,
    new_basis: bool = False,
    request: RequestFacts | None = None,
) -> Facts:
    return Facts(
        header,
        coverage,
        view.party(header.sender.a),
        tuple(view.party(recipient.a) for recipient in header.to),
        policy,
        now,
        override,
        request,
        onward_facts(header),
        switched=new_basis,
        leads=(override is None and header.law.why_no != "G") or not wanting(header, view, now),
    )


def wanting(header: Header, view: Directory, now: int) -> str:
    """NO_LEAD when the sender has nobody who could authorise anything; else nothing."""
    return "" if leads(view, header.sender.a, now) else "NO_LEAD"


def outward(header: Header, coverage: Coverage, decision: Decision) -> Refusal:
    """What the sender is told of the gate's refusal."""
    code = decision.code or "UNFORESEEN"
    if header.law.agree in ("GIVEN", "LIMITED") and coverage in ("stale", *HIDDEN):
        hidden = "STATUS_STALE" if coverage == "stale" else "GRANT"
        code = next((code for code in decision.codes if code in SAID_OF_ALL), hidden)
    return Refusal(code)


def passes_without(
    header: Header,
    view: Directory,
    policy: Policy | None,
    now: int,
    override: OverrideFacts | None = None,
    *,
    new_basis: bool = False,
    request: RequestFacts | None = None,
) -> bool:
    """Whether a waiting message may go on although its agreement was withdrawn: the rule, asked again."""
    known = facts(header, "withdrawn", view, policy, now, override, new_basis=new_basis, request=request)
    return decide(known).passes


def said_of(outcome: str, decision: Decision, known: Facts, **more: Json) -> dict[str, Json]:
    """What a record says of a decision, and all that whoever reads it needs to decide again."""
    rows = list(decision.rows)
    return {"code": decision.code, "known": print_facts(known), "outcome": outcome, "rows": rows, **more}


def record_facts(
    envelope: Envelope,
    decision: Mapping[str, Json],
    agreement: Agreement | None,
    override: Override | None = None,
) -> dict[str, Any]:
    """What the relay's record says of an envelope: the sender's own bytes and signature, and what was decided.

    `override` is the one that was held against it, as two people signed it: whoever decides again weighs it again.
    """
    header = envelope.header
    said: dict[str, Any] = {
        "body": b64(envelope.body_hash),
        "decision": dict(decision),
        "header": envelope.header_bytes.decode("ascii"),
        "sig": b64(envelope.sig),
        "wm": b64(envelope.wm_hash),
    }
    if agreement is not None and header.sender.a in agreement.grant.parties():
        said["grant"] = agreement.signed.to_json()
        found = agreement.statuses.get(header.st or "")
        said["status"] = None if found is None else found[1].to_json()
        said["withdrawal"] = None if agreement.withdrawal is None else agreement.withdrawal.to_json()
    if override is not None:
        said["override"] = override.signed.to_json()
    return said
